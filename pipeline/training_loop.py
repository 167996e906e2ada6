"""The training loop: pure torch, in one process or one of several ranks, resumable at any step to the bit.

It needs torch, torchvision, timm, safetensors and NumPy alone, so that it also runs where Ray, pyarrow and the
decoders are missing (with `packed.PackedFaces`).
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import training_state
from ffpipe.pipeline.batches import Batch, TrainBatches
from ffpipe.pipeline.objectives import Objective, Supervised
from ffpipe.pipeline.optimisation import make_optimiser, make_schedule
from ffpipe.pipeline.optimiser_names import OptimiserName, ScheduleName
from ffpipe.pipeline.training_pace import Pace
from ffpipe.pipeline.training_state import Position
from ffpipe.pipeline.validation import Validation, score_faces
from ffpipe.stages.arithmetic import Arithmetic, Precision


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How to train.

    precision is of the networks; spectral operators stay in float32. accumulate: batches per update, whose
    gradients are averaged. momentum is SGD's.
    patience: epochs without a better validation AUC after which training stops; None never stops.
    save_seconds: time between stored states within an epoch; the end of an epoch always stores one.
    """

    epochs: int
    learning_rate: float
    weight_decay: float = 0.0
    optimiser: OptimiserName = "adam"
    momentum: float = 0.0
    schedule: ScheduleName = "constant"
    seed: int = 0
    device: str = "cpu"
    precision: Precision = "float32"
    accumulate: int = 1
    patience: int | None = None
    save_seconds: float = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training stands after a step; rate in faces per second over all ranks, parts those of the loss."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rate: float
    parts: Mapping[str, float] = field(default_factory=dict)


class Observer:
    """Hears of a run as it goes; the base hears nothing."""

    def begin(self, first_step: int) -> None:
        """Training starts or goes on at this step, counted over all epochs."""

    def step(self, progress: Progress, total_step: int) -> None:
        """A step is done; called from rank 0 alone."""

    def epoch(self, entry: dict[str, Any], total_step: int) -> None:
        """An epoch is done and validated; called from rank 0 alone."""

    def end(self) -> None:
        """Training is over, or was cut short by an error."""


@dataclass(frozen=True, slots=True)
class LoopResult:
    """What a run measured: an entry per epoch, a loss per step, and where the best epoch's weights are."""

    history: list[dict[str, Any]]
    losses: list[float]
    best: dict[str, Any]
    best_weights: Path


class TrainingLoop:
    """Trains a detector from `folder`'s stored state, or from the start where there is none.

    The best epoch is the one of highest validation AUC over frames, of equals the one of lowest validation
    loss; without validation it is the last. `wrap` prepares the model for several ranks (DDP). Python's,
    NumPy's and torch's global random generators are seeded at the start.
    """

    def __init__(
        self,
        model: nn.Module,
        train: TrainBatches,
        validation: Validation | None,
        settings: LoopSettings,
        folder: Path,
        observer: Observer | None = None,
        wrap: Callable[[nn.Module], nn.Module] | None = None,
        objective: Objective | None = None,
    ) -> None:
        self.device = torch.device(settings.device)
        self.model = model.to(self.device)
        self.train, self.validation = train, validation
        self.settings, self.folder = settings, folder
        self.observer = observer or Observer()
        self._ranks = dist.get_world_size() if dist.is_initialized() else 1
        self._rank = dist.get_rank() if dist.is_initialized() else 0
        self.objective = objective or Supervised()
        self.objective.to(self.device)
        self.optimiser = make_optimiser(
            settings.optimiser,
            self.model.parameters(),
            settings.learning_rate,
            settings.weight_decay,
            settings.momentum,
        )
        updates = settings.epochs * -(-train.steps // settings.accumulate)
        self.schedule = make_schedule(settings.schedule, self.optimiser, updates)
        self.position = Position()
        self._wrapped = wrap(self.model) if wrap else self.model
        self._saved_at = time.monotonic()

    def run(self) -> LoopResult:
        """Train to the end. Raises UsageError where the loss is no number, StorageError where saving fails."""
        self._restore()
        self.observer.begin(len(self.position.losses))
        try:
            while not self.position.finished:
                self._epoch()
        finally:
            self.observer.end()
        assert self.position.best is not None and self.position.best_file is not None
        best_file = self.folder / self.position.best_file
        return LoopResult(self.position.history, self.position.losses, self.position.best, best_file)

    def _epoch(self) -> None:
        began, position = time.monotonic(), self.position
        pace = Pace()
        self._wrapped.train()
        for batch in self.train.epoch(position.epoch, position.step):
            self._step(batch.to(self.device))
            position.step += 1
            self._report(pace, len(batch))
            self._save_if_due()
        self._close_epoch(time.monotonic() - began)

    def _step(self, batch: Batch) -> None:
        """One batch: forward, backward, and an update at the end of each `accumulate` batches."""
        settings, position = self.settings, self.position
        with torch.autocast(self.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            losses = self.objective(self._wrapped, batch)
        value = self._over_ranks(losses.total.detach())
        if not math.isfinite(value):
            raise UsageError(
                f"the loss became {value} in epoch {position.epoch + 1}, step {position.step + 1}: training "
                f"diverged; try a learning rate below {settings.learning_rate:g} (--learning-rate)"
            )
        position.losses.append(value)
        for name, part in losses.parts.items():
            position.parts.setdefault(name, []).append(self._over_ranks(part.detach()))
        torch.autograd.backward(losses.total / self._batches_of_update())
        if (position.step + 1) % settings.accumulate == 0 or position.step + 1 == self.train.steps:
            self.optimiser.step()
            self.schedule.step()
            self.optimiser.zero_grad(set_to_none=True)

    def _batches_of_update(self) -> int:
        """Batches that the present update averages over: an epoch's last one may have fewer."""
        size = self.settings.accumulate
        begun = self.position.step // size * size
        return min(size, self.train.steps - begun)

    def _over_ranks(self, loss: Tensor) -> float:
        if self._ranks > 1:
            loss = loss.clone()
            dist.all_reduce(loss)
            loss /= self._ranks
        return float(loss.item())

    def _report(self, pace: Pace, faces: int) -> None:
        position = self.position
        rate = pace.add(faces * self._ranks)
        if self._rank == 0:
            progress = Progress(
                epoch=position.epoch + 1,
                epochs=self.settings.epochs,
                step=position.step,
                steps=self.train.steps,
                loss=position.losses[-1],
                rate=rate,
                parts={name: values[-1] for name, values in position.parts.items()},
            )
            self.observer.step(progress, len(position.losses))

    def _close_epoch(self, seconds: float) -> None:
        position = self.position
        entry: dict[str, Any] = {
            "epoch": position.epoch + 1,
            "train_loss": self._mean(position.losses),
            **{f"train_{name}": self._mean(values) for name, values in position.parts.items()},
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            **self._validate(),
        }
        if self._is_better(entry):
            position.best, position.best_file = entry, f"best-{position.epoch:04d}.safetensors"
            if self._rank == 0:
                position.best_sha256 = training_state.write_tensors(
                    self.folder / position.best_file, training_state.pack_weights(self.model)
                )
        position.best_sha256 = _gather(position.best_sha256)[0]
        position.history.append(entry)
        position.epoch, position.step = position.epoch + 1, 0
        position.finished = position.epoch >= self.settings.epochs or self._out_of_patience()
        self.save()
        if self._rank == 0:
            self.observer.epoch({**entry, "seconds": seconds}, len(position.losses))

    def _mean(self, values: list[float]) -> float:
        """Over the epoch's steps."""
        return math.fsum(values[-self.train.steps :]) / self.train.steps

    def _validate(self) -> dict[str, Any]:
        if self.validation is None:
            return {}
        if self._ranks > 1:
            for buffer in self.model.buffers():
                dist.broadcast(buffer, 0)
        logits = score_faces(
            self.model, self.validation.batches, self.device, Arithmetic(self.settings.precision)
        )
        return self.validation.figures(logits)

    def _is_better(self, entry: dict[str, Any]) -> bool:
        best = self.position.best
        return best is None or self.validation is None or _merit(entry) > _merit(best)

    def _out_of_patience(self) -> bool:
        best, patience = self.position.best, self.settings.patience
        return best is not None and patience is not None and self.position.epoch - best["epoch"] >= patience

    def _save_if_due(self) -> None:
        whole = self.position.step % self.settings.accumulate == 0 and self.position.step < self.train.steps
        due = whole and time.monotonic() - self._saved_at >= self.settings.save_seconds
        if self._ranks > 1:
            vote = torch.tensor(float(due and self._rank == 0), device=self.device)
            dist.all_reduce(vote)
            due = bool(vote.item())
        if due:
            self.save()

    def save(self) -> None:
        """Store everything that the rest of the run depends on. Raises StorageError."""
        tensors, scalars = training_state.pack_random()
        every = _gather((tensors, scalars))
        if self._rank == 0:
            stored = training_state.pack_weights(self.model)
            moments, groups = training_state.pack_optimizer(self.optimiser)
            stored |= moments
            for rank, (generators, _) in enumerate(every):
                stored |= {f"random.{rank}.{name}": tensor for name, tensor in generators.items()}
            extra = {
                "optimiser": groups,
                "schedule": self.schedule.state_dict(),
                "random": [scalars for _, scalars in every],
            }
            training_state.save(self.folder, self.position, stored, extra)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        found = training_state.load(self.folder)
        if found is None:
            seed_everything(self.settings.seed + self._rank)
            return
        self.position, tensors, scalars = found
        training_state.unpack_weights(self.model, tensors)
        training_state.unpack_optimizer(self.optimiser, tensors, scalars["optimiser"])
        self.schedule.load_state_dict(scalars["schedule"])
        prefix = f"random.{self._rank}."
        own = {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        training_state.unpack_random(own, scalars["random"][self._rank])


def _merit(entry: dict[str, Any]) -> tuple[float, float]:
    """What the best epoch has most of; an undefined AUC (one class) leaves the choice to the loss."""
    area = entry.get("val_auc")
    return (0.0 if area is None else area), -entry["val_loss"]


def _gather(own: Any) -> list[Any]:
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return [own]
    every: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(every, own)
    return every


def seed_everything(seed: int) -> None:
    """Seed the global random generators of Python, NumPy and torch (CPU and CUDA)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
