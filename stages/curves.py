"""Labels and scores as curves: ROC with its band over source groups, and what scores say against what was true."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from ffpipe.stages.calibration_metrics import BINS, bin_of
from ffpipe.stages.metrics import LEVEL, too_few_groups
from ffpipe.stages.resampling import REPLICATES, resamples
from ffpipe.stages.sample import Floats, Sample, checked, undefined_reason

#: False positive rates at which the band of a ROC curve is drawn.
_GRID = np.linspace(0, 1, 201)


@dataclass(frozen=True, slots=True)
class Curve:
    """The points of a ROC curve, from (0, 0) to (1, 1): false positive and true positive rates (T,)."""

    alarm: Floats
    hit: Floats

    def at(self, threshold: float, labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[float, float]:
        """Where the curve's media lie when those above the threshold are called fake."""
        truth, values = checked(labels, scores)
        above = values > threshold
        return float(above[truth == 0].mean()), float(above[truth == 1].mean())


@dataclass(frozen=True, slots=True)
class Band:
    """The middle 95% of the true positive rates of resampled groups, at each false positive rate by itself."""

    alarm: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True, slots=True)
class Reliability:
    """By bin of scores that has media: mean score, share of fakes with its interval, and the number of media."""

    mean: Floats
    share: Floats
    low: Floats
    high: Floats
    count: npt.NDArray[np.int64]


def roc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Curve | None:
    """The ROC curve; None where a class is absent. Raises ValueError as `Metric`."""
    truth, values = checked(labels, scores)
    if undefined_reason(truth):
        return None
    hit, alarm = Sample(truth, values, np.ones((1, truth.size))).rates
    return Curve(alarm[0], hit[0])


def roc_band(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Band | None:
    """The band of a ROC curve over draws of whole groups; None where there is no interval either."""
    truth, _ = checked(labels, scores)
    if undefined_reason(truth) or too_few_groups(truth, groups):
        return None
    drawn = [
        np.interp(_GRID, alarm, hit)
        for sample in resamples(labels, scores, groups, replicates=replicates, seed=seed)
        for hit, alarm in zip(*sample.rates, strict=True)
        if np.isfinite(hit[-1] + alarm[-1])
    ]
    if len(drawn) * 2 <= replicates:
        return None
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Band(_GRID, low, high)


def reliability(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Reliability:
    """Scores against the share of fakes, in the bins of `ece`, with Clopper-Pearson intervals of single bins.

    The intervals take the media of a bin for independent. Raises ValueError as `Metric`, or outside [0, 1].
    """
    truth, values = checked(labels, scores)
    bins = bin_of(Sample(truth, values, np.ones((1, truth.size))).probabilities)
    count = np.bincount(bins, minlength=BINS)
    there = count > 0
    n, fakes = count[there], np.bincount(bins, truth, BINS)[there]
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        low = np.nan_to_num(beta.ppf(tail, fakes, n - fakes + 1), nan=0.0)
        high = np.nan_to_num(beta.ppf(1 - tail, fakes + 1, n - fakes), nan=1.0)
    return Reliability(np.bincount(bins, values, BINS)[there] / n, fakes / n, low, high, n)
