"""Which arithmetic a network is scored with: the fastest one whose scores stay near those of eager float32."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ffpipe.models.detector import Detector
from ffpipe.stages.arithmetic import ARITHMETICS, REFERENCE, Arithmetic
from ffpipe.stages.infer import probability

#: Largest difference of a face's score from eager float32 that is accepted, on the scale of 0 to 1.
TOLERANCE = 0.01
#: How much faster than the reference another way has to be, to be worth a difference.
GAIN = 1.1

#: Times that each way is run; the median counts.
_ROUNDS = 3

#: Images (B,3,S,S) in [0,1] and D (B,2304) or None.
Inputs = tuple[Tensor, Tensor | None]


@dataclass(frozen=True, slots=True)
class Trial:
    """One arithmetic on one machine: seconds a face, and the largest difference of a score from the reference."""

    arithmetic: str
    seconds: float
    difference: float

    @property
    def accepted(self) -> bool:
        """Whether its scores are near enough."""
        return self.difference <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        """As stored with the weights."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> Self:
        """Raises TypeError for what `to_json` did not write."""
        return cls(**stored)


def try_all(
    model: Detector,
    inputs: Sequence[Inputs],
    device: torch.device,
    arithmetics: Sequence[Arithmetic] = ARITHMETICS,
) -> list[Trial]:
    """Score the inputs (at least one batch) in each arithmetic, in turn in every round, the reference first.

    The model stays on `device`, in evaluation mode and in the reference's order.
    """
    model = model.to(device).eval()
    given = [(image.to(device), None if d is None else d.to(device)) for image, d in inputs]
    seconds: dict[str, list[float]] = {}
    scores: dict[str, NDArray[np.float32]] = {}
    ways = [REFERENCE, *(a for a in arithmetics if a != REFERENCE)]
    for round_ in range(_ROUNDS + 1):
        for way in ways:
            way.arrange(model)
            began = time.perf_counter()
            scores[way.name] = _scores(model, given if round_ else given[:1], device, way)
            if round_:  # the first round warms caches
                seconds.setdefault(way.name, []).append(time.perf_counter() - began)
    REFERENCE.arrange(model)
    faces = sum(len(image) for image, _ in given)
    exact = scores[REFERENCE.name]
    return [
        Trial(name, statistics.median(times) / faces, float(np.abs(scores[name] - exact).max()))
        for name, times in seconds.items()
    ]


def _scores(
    model: Detector, inputs: Sequence[Inputs], device: torch.device, way: Arithmetic
) -> NDArray[np.float32]:
    logits = []
    with torch.inference_mode(), way.active(device):
        for image, d in inputs:
            out = model(way.images(image), d).float()  # (B,2)
            logits.append((out[:, 1] - out[:, 0]).cpu().numpy())
    return probability(np.concatenate(logits))


def fastest(trials: Sequence[Trial]) -> Trial:
    """The fastest accepted one of `try_all`; the reference, which stands first, unless the gain is worth it."""
    reference = trials[0]
    best = min((trial for trial in trials if trial.accepted), key=lambda trial: trial.seconds)
    return best if best.seconds * GAIN <= reference.seconds else reference
