"""What metrics are formulas of: labels and scores under many weightings at once, and how a formula becomes a metric.

A formula is written once, for B weightings of the same n media, (B, n) weights giving B figures: the bootstrap then
resamples without a loop over draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, update_wrapper

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Probabilities are kept this far from 0 and 1 in the logarithm, as scikit-learn does for float64.
LOG_FLOOR = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Sample:
    """Labels (n,), scores (n,) and B weightings (B, n) of n media, with the threshold of the decision.

    A metric that the sample leaves undefined, such as the AUC of one class, is NaN in that weighting.
    """

    labels: Floats
    scores: Floats
    weights: Floats
    threshold: float = 0.5

    @cached_property
    def _steps(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Order by falling score, and the last place of each distinct score in it."""
        order = np.argsort(-self.scores, kind="stable")
        falling = self.scores[order]
        return order, np.flatnonzero(np.append(falling[1:] != falling[:-1], True))

    @cached_property
    def counts(self) -> tuple[Floats, Floats]:
        """Weighted hits and false alarms, each (B, T + 1), at T falling thresholds after "none called fake"."""
        order, last = self._steps
        weights = self.weights[:, order]
        fake = self.labels[order]

        def running(part: Floats) -> Floats:
            return np.pad(np.cumsum(part, axis=1)[:, last], ((0, 0), (1, 0)))

        return running(weights * fake), running(weights * (1 - fake))

    @cached_property
    def rates(self) -> tuple[Floats, Floats]:
        """True and false positive rates, each (B, T + 1); NaN where their class has no weight."""
        hits, alarms = self.counts
        with np.errstate(invalid="ignore"):
            return hits / hits[:, -1:], alarms / alarms[:, -1:]

    @property
    def probabilities(self) -> Floats:
        """The scores (n,) as probabilities of fake. Raises ValueError where one is outside [0, 1]."""
        if self.scores.min() < 0 or self.scores.max() > 1:
            raise ValueError("this metric needs probabilities in [0, 1], not logits")
        return self.scores

    def mean(self, values: Floats, of: Floats | None = None) -> Floats:
        """Weighted mean (B,) of one value a medium (n,), of all media or those that `of` (n,) marks with 1.

        NaN where there is no weight.
        """
        weights = self.weights if of is None else self.weights * of
        with np.errstate(invalid="ignore"):
            return np.asarray(weights @ values / weights.sum(axis=1))


class Metric:
    """A formula over a `Sample`, callable with labels and scores."""

    def __init__(self, formula: Callable[[Sample], Floats]) -> None:
        self.of = formula
        update_wrapper(self, formula)

    def __call__(self, labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float = 0.5) -> float:
        """The figure of n media; NaN where they leave it undefined (see `undefined_reason`).

        Raises:
            ValueError: a score is NaN or infinite, a label is neither 0 nor 1, lengths differ, or a metric of
                probabilities is asked of scores outside [0, 1].
        """
        truth, values = checked(labels, scores)
        if not truth.size:
            return math.nan
        return float(self.of(Sample(truth, values, np.ones((1, truth.size)), threshold))[0])


def undefined_reason(labels: npt.ArrayLike) -> str | None:
    """Why AUC, EER, AP, TPR and Cllr are undefined of these labels; None where they are defined."""
    truth = np.asarray(labels)
    if not truth.size:
        return "no media"
    return None if np.unique(truth).size > 1 else f"all media are {'fake' if truth.flat[0] else 'real'}"


def checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Labels and scores as float64 (n,). Raises ValueError as `Metric`."""
    truth = np.asarray(labels, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"labels {truth.shape} and scores {values.shape} must be two lists of one length")
    if wrong := int((~np.isfinite(values)).sum()):
        first = int(np.argmin(np.isfinite(values)))
        raise ValueError(f"{wrong} of {values.size} scores are NaN or infinite, first at {first}")
    if not np.isin(truth, (0, 1)).all():
        raise ValueError("labels must be 0 (real) or 1 (fake), none unknown")
    return truth, values
