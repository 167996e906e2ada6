"""How well scores separate fake from real: figures and their intervals.

Labels are 0 real and 1 fake; a score is higher the more fake; "called fake" means score >= threshold. A metric is
called with labels and scores: `auc(labels, scores)`. Its formula is written once, for many weightings of the same
media, (B, n) weights giving B figures, which is how the bootstrap resamples without a loop. To add a metric, write
its formula as a function of a `Sample` under `@Metric`, and name it in `METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, update_wrapper

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Probabilities are kept this far from 0 and 1 in the logarithm, as scikit-learn does for float64.
LOG_FLOOR = float(np.finfo(np.float64).eps)
REPLICATES = 2000
LEVEL = 0.95
#: Bound on the cells of a (B, n) array of weights, about 32 MB.
_CELLS = 4_000_000
#: Rates are ratios of counts; rounding must not put 1/100 above a limit of 0.01.
_SLACK = 1e-12


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

    def mean(self, values: Floats) -> Floats:
        """Weighted mean (B,) of one value a medium (n,); NaN where there is no weight."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.weights @ values / self.weights.sum(axis=1))


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


@Metric
def auc(sample: Sample) -> Floats:
    """Area under the ROC curve: the chance that a fake outscores a real, a tie counting one half."""
    hit, alarm = sample.rates
    return np.asarray((np.diff(alarm, axis=1) * (hit[:, 1:] + hit[:, :-1]) / 2).sum(axis=1))


@Metric
def eer(sample: Sample) -> Floats:
    """Equal error rate: where false alarms and misses are equal, linear between the ROC's points."""
    hit, alarm = sample.rates
    gap = alarm - (1 - hit)
    after = np.argmax(gap >= 0, axis=1)[:, None]
    low, high = (np.take_along_axis(gap, place, axis=1) for place in (after - 1, after))
    start, end = (np.take_along_axis(alarm, place, axis=1) for place in (after - 1, after))
    return np.asarray((start - low / (high - low) * (end - start))[:, 0])


@Metric
def average_precision(sample: Sample) -> Floats:
    """AP = sum over thresholds of (R_k - R_{k-1}) P_k, without interpolation."""
    hits, alarms = sample.counts
    called = (hits + alarms)[:, 1:]
    precision = np.divide(hits[:, 1:], called, out=np.zeros_like(called), where=called > 0)
    area = (np.diff(sample.rates[0], axis=1) * precision).sum(axis=1)
    return np.asarray(np.where(alarms[:, -1] > 0, area, np.nan))


@Metric
def accuracy(sample: Sample) -> Floats:
    """Share of media on the right side of the sample's threshold."""
    return sample.mean(((sample.scores >= sample.threshold) == (sample.labels == 1)).astype(np.float64))


@Metric
def log_loss(sample: Sample) -> Floats:
    """Mean of -log of the probability given to the truth, in nats. Scores must be probabilities."""
    probability = _probabilities(sample)
    truth = np.where(sample.labels == 1, probability, 1 - probability)
    return sample.mean(-np.log(np.clip(truth, LOG_FLOOR, 1 - LOG_FLOOR)))


@Metric
def brier(sample: Sample) -> Floats:
    """Mean squared difference of probability and label. Scores must be probabilities."""
    return sample.mean((_probabilities(sample) - sample.labels) ** 2)


@Metric
def tpr_at_1_fpr(sample: Sample) -> Floats:
    """The highest true positive rate that a threshold reaches at a false positive rate of at most 1%.

    Not interpolated: with fewer than 100 reals it is the rate with no false alarm at all.
    """
    hit, alarm = sample.rates
    best = np.where(alarm <= 0.01 + _SLACK, hit, 0).max(axis=1)
    return np.asarray(np.where(np.isnan(hit[:, -1] + alarm[:, -1]), np.nan, best))


METRICS: dict[str, Metric] = {
    "auc": auc,
    "eer": eer,
    "average_precision": average_precision,
    "accuracy": accuracy,
    "log_loss": log_loss,
    "brier": brier,
    "tpr_at_1_fpr": tpr_at_1_fpr,
}


def undefined_reason(labels: npt.ArrayLike) -> str | None:
    """Why AUC, EER, AP and TPR are undefined of these labels; None where they are defined."""
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


def _probabilities(sample: Sample) -> Floats:
    if sample.scores.min() < 0 or sample.scores.max() > 1:
        raise ValueError("this metric needs probabilities in [0, 1], not logits")
    return sample.scores


@dataclass(frozen=True, slots=True)
class Interval:
    """A bootstrap interval, or the reason why there is none; `clusters` counts the groups resampled."""

    low: float | None
    high: float | None
    clusters: int
    reason: str | None = None

    def excludes(self, value: float) -> bool:
        """Whether there is an interval and the value lies outside it."""
        return self.low is not None and self.high is not None and not self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Result:
    """A metric (None where undefined) with its interval, and how many media of each class it rests on."""

    value: float | None
    interval: Interval
    n_real: int
    n_fake: int


def evaluate(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    names: Iterable[str] = tuple(METRICS),
    threshold: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Result]:
    """Metrics by name with their intervals, all from the same draws; see `bootstrap_interval`.

    Raises:
        ValueError: as `Metric`, or groups are not one a medium.
    """
    chosen = {name: METRICS[name] for name in names}
    drawn = _bootstrap(list(chosen.values()), labels, scores, groups, threshold, replicates, seed)
    truth = np.asarray(labels)
    fake = int((truth == 1).sum())
    results = {}
    for (name, metric), interval in zip(chosen.items(), drawn, strict=True):
        value = metric(labels, scores, threshold=threshold)
        results[name] = Result(None if math.isnan(value) else value, interval, truth.size - fake, fake)
    return results


def bootstrap_interval(
    metric: Metric,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    threshold: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """The 95% percentile interval of a metric from a bootstrap that draws whole source groups.

    A medium and its forgeries are not independent, so G groups are drawn from G with replacement and each
    medium counts as often as its group is drawn. Draws that leave a metric undefined are not used; where they
    are half or more, where one class is absent, or where `too_few_groups` objects, there is no interval.

    Raises:
        ValueError: as `Metric`, or groups are not one a medium.
    """
    return _bootstrap([metric], labels, scores, groups, threshold, replicates, seed)[0]


def too_few_groups(labels: npt.ArrayLike, groups: Sequence[str]) -> str | None:
    """Why an interval would mean nothing: even a perfect separation of these groups could be chance.

    Resampling two perfectly separated groups gives the interval [1, 1]. Under no effect, the labels of a group
    with both classes could be exchanged, and groups of one class could be permuted; of 2^m C(r + f, r) such
    arrangements for m mixed, r real and f fake groups the perfect one has a two-sided chance of 2 in all of
    them, which must be at most 5%.
    """
    classes: dict[str, set[int]] = {}
    for label, group in zip(np.asarray(labels).tolist(), groups, strict=True):
        classes.setdefault(group, set()).add(int(label))
    real = sum(found == {0} for found in classes.values())
    fake = sum(found == {1} for found in classes.values())
    mixed = len(classes) - real - fake
    # Arrangements grow with each count, and any 64 are more than enough: no need for huge integers.
    m, r, f = (min(count, 64) for count in (mixed, real, fake))
    if 2 / (2**m * math.comb(r + f, r)) <= 1 - LEVEL + _SLACK:
        return None
    return (
        f"{len(classes)} source groups ({mixed} with both classes, {real} real, {fake} fake) are too few: "
        "even perfect separation could be chance"
    )


def _bootstrap(
    metrics: Sequence[Metric],
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    threshold: float,
    replicates: int,
    seed: int,
) -> list[Interval]:
    truth, values = checked(labels, scores)
    if len(groups) != truth.size:
        raise ValueError(f"{len(groups)} groups for {truth.size} media")
    number = {group: k for k, group in enumerate(sorted(set(groups)))}
    reason = undefined_reason(truth) or too_few_groups(truth, groups)
    if reason is not None:
        return [Interval(None, None, len(number), reason)] * len(metrics)
    member = np.array([number[group] for group in groups])
    random = np.random.default_rng(seed)
    chances = np.full(len(number), 1 / len(number))
    rows = max(1, _CELLS // truth.size)
    drawn: list[list[Floats]] = [[] for _ in metrics]
    for start in range(0, replicates, rows):
        times = random.multinomial(len(number), chances, size=min(rows, replicates - start))
        sample = Sample(truth, values, times[:, member].astype(np.float64), threshold)
        for metric, parts in zip(metrics, drawn, strict=True):
            parts.append(metric.of(sample))
    return [_interval(np.concatenate(parts), len(number)) for parts in drawn]


def _interval(drawn: Floats, clusters: int) -> Interval:
    used = drawn[~np.isnan(drawn)]
    if used.size * 2 <= drawn.size:
        return Interval(None, None, clusters, "most draws of source groups hold one class only")
    low, high = np.quantile(used, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), clusters)
