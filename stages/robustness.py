"""What a robustness run says: a figure with its interval for each treatment of the faces, and for each control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ffpipe.stages.controls import permuted
from ffpipe.stages.evaluation import Figure
from ffpipe.stages.metrics import auc, evaluate

#: The figures of a point, by their names in `metrics.METRICS`.
FIGURES = ("auc", "average_precision", "accuracy")
#: The kind of the point of untouched faces.
STORED = "stored"


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a curve. strength is None for STORED; unscored counts media that no score could be given.

    scores: how many different scores there are. With one alone the network is driven to its limit, and the figures
    say nothing else.
    """

    kind: str
    strength: float | None
    n_real: int
    n_fake: int
    groups: int
    unscored: int
    scores: int
    figures: Mapping[str, Figure]
    interval_reason: str | None = None

    def flat(self) -> dict[str, Any]:
        """The point with a column a number, `<figure>`, `<figure>_low` and `<figure>_high`."""
        cells: dict[str, Any] = {"kind": self.kind, "strength": self.strength}
        cells |= {"real": self.n_real, "fake": self.n_fake, "groups": self.groups, "unscored": self.unscored}
        cells["scores"] = self.scores
        for name, figure in self.figures.items():
            cells |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        return cells | {"interval_reason": self.interval_reason}


@dataclass(frozen=True, slots=True)
class Control:
    """A control: its AUC, what it is expected to be, what it shows, and why it was not measured if it was not."""

    name: str
    expected: str
    shows: str
    auc: Figure = field(default_factory=lambda: Figure(None))
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: str | None = None


def point(
    kind: str,
    strength: float | None,
    labels: npt.NDArray[np.int8],
    scores: npt.NDArray[np.float64],
    groups: Sequence[str],
    *,
    threshold: float,
    unscored: int = 0,
    replicates: int = 1000,
    seed: int = 0,
) -> Point:
    """The figures of one treatment. Raises ValueError where a score is no number or not in [0, 1]."""
    results = evaluate(
        labels, scores, groups, names=FIGURES, threshold=threshold, replicates=replicates, seed=seed
    )
    first = results[FIGURES[0]]
    return Point(
        kind,
        strength,
        first.n_real,
        first.n_fake,
        len(set(groups)),
        unscored,
        len(set(scores.tolist())),
        {name: Figure(r.value, r.interval.low, r.interval.high) for name, r in results.items()},
        next((r.interval.reason for r in results.values() if r.interval.reason), None),
    )


def by_chance(
    labels: npt.NDArray[np.int8],
    scores: npt.NDArray[np.float64],
    groups: Sequence[str],
    draws: int,
    seed: int = 0,
) -> tuple[Figure, float | None]:
    """The AUC under labels that mean nothing: its mean and the range of 95% of draws; and how often it is reached.

    The second is the share of draws, the true labels counted among them, whose AUC is at least as far from 0.5 as
    that of the true labels: a two-sided permutation test. None where there is one class only.
    """
    if len(set(labels.tolist())) < 2:
        return Figure(None), None
    random = np.random.default_rng([seed, 1])
    drawn = np.array([auc(permuted(labels, groups, random), scores) for _ in range(draws)])
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Figure(None), None
    low, high = np.quantile(drawn, [0.025, 0.975])
    extreme = np.abs(drawn - 0.5) >= abs(auc(labels, scores) - 0.5)
    return Figure(float(drawn.mean()), float(low), float(high)), float((1 + extreme.sum()) / (1 + drawn.size))
