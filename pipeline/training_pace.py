"""How fast training goes, and how long it will take."""

from __future__ import annotations

import copy
import math
import time

import torch
from torch import nn

from ffpipe.pipeline.batches import TrainBatches
from ffpipe.pipeline.objectives import Objective
from ffpipe.pipeline.optimisation import make_optimiser
from ffpipe.pipeline.validation import Validation
from ffpipe.stages.arithmetic import Precision

#: Steps that are timed for the estimate; one more before them warms the caches.
_TIMED_STEPS = 2


class Pace:
    """Rate over the last half minute or so, as an average that forgets."""

    def __init__(self) -> None:
        self._last = time.monotonic()
        self._step = self._faces = 0.0

    def add(self, faces: int) -> float:
        """Faces per second, after a step of `faces`."""
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        keep = math.exp(-seconds / 30) if self._step else 0.0
        self._step = keep * self._step + (1 - keep) * seconds
        self._faces = keep * self._faces + (1 - keep) * faces
        return self._faces / max(self._step, 1e-9)


def estimate_seconds(
    model: nn.Module,
    train: TrainBatches,
    validation: Validation | None,
    objective: Objective,
    epochs: int,
    device: torch.device,
    precision: Precision,
) -> float:
    """How long the run will take, from a few steps of a copy of the model.

    Neither the model (weights, BatchNorm) nor any random generator is touched.
    """
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        step = _time_steps(copy.deepcopy(model).to(device), train, objective, device, precision)
    per_face = step / train.sampler.batch_size
    # A forward pass alone is about a third of a step's work.
    checked = 0 if validation is None else len(validation.rows)
    return epochs * (train.steps * step + checked * per_face / 3)


def _time_steps(
    model: nn.Module, train: TrainBatches, objective: Objective, device: torch.device, precision: Precision
) -> float:
    optimiser = make_optimiser("adam", model.parameters(), 0.0, 0.0)
    model.train()
    objective.to(device)
    seconds = []
    batches = train.epoch(0)
    began = time.perf_counter()
    for batch, _ in zip(batches, range(1 + _TIMED_STEPS), strict=False):
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            total = objective(model, batch.to(device)).total
        torch.autograd.backward(total)
        optimiser.step()
        float(total.detach())  # waits for the device
        now = time.perf_counter()
        seconds.append(now - began)
        began = now
    batches.close()  # type: ignore[attr-defined]
    return min(seconds[1:] or seconds)
