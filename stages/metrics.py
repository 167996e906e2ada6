"""How well scores separate fake from real: figures and their intervals.

Labels are 0 real and 1 fake; a score is higher the more fake; "called fake" means score >= threshold. A metric is
called with labels and scores: `auc(labels, scores)`. To add one, write its formula as a function of a `Sample` under
`@Metric`, and name it in `METRICS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffpipe.stages.calibration_metrics import cllr, cllr_min, ece
from ffpipe.stages.resampling import REPLICATES, Part, joint_resamples, resamples
from ffpipe.stages.sample import LOG_FLOOR, Floats, Metric, Sample, checked, undefined_reason

LEVEL = 0.95
#: Rates are ratios of counts; rounding must not put 1/100 above a limit of 0.01.
_SLACK = 1e-12


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
    probability = sample.probabilities
    truth = np.where(sample.labels == 1, probability, 1 - probability)
    return sample.mean(-np.log(np.clip(truth, LOG_FLOOR, 1 - LOG_FLOOR)))


@Metric
def brier(sample: Sample) -> Floats:
    """Mean squared difference of probability and label. Scores must be probabilities."""
    return sample.mean((sample.probabilities - sample.labels) ** 2)


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
    "ece": ece,
    "cllr": cllr,
    "cllr_min": cllr_min,
}


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
    truth, _ = checked(labels, scores)
    if len(groups) != truth.size:
        raise ValueError(f"{len(groups)} groups for {truth.size} media")
    clusters = len(set(groups))
    reason = undefined_reason(truth) or too_few_groups(truth, groups)
    if reason is not None:
        return [Interval(None, None, clusters, reason)] * len(metrics)
    drawn = figures_of_draws(
        metrics, labels, scores, groups, threshold=threshold, replicates=replicates, seed=seed
    )
    return [percentile_interval(figures, clusters) for figures in drawn]


def figures_of_draws(
    metrics: Sequence[Metric],
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: Sequence[str],
    *,
    threshold: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Floats]:
    """Each metric (replicates,) in the draws of `resamples`; NaN where a draw leaves it undefined."""
    drawn: list[list[Floats]] = [[] for _ in metrics]
    for sample in resamples(labels, scores, groups, threshold=threshold, replicates=replicates, seed=seed):
        for metric, parts in zip(metrics, drawn, strict=True):
            parts.append(metric.of(sample))
    return [np.concatenate(parts) for parts in drawn]


def mean_intervals(
    metrics: Sequence[Metric],
    parts: Sequence[Part],
    *,
    threshold: float = 0.5,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> list[Interval]:
    """The 95% interval of each metric's plain mean over parts, from joint draws of the groups of all of them.

    What parts share, such as reals, then counts once. Draws that leave a metric of any part undefined are not used.
    Raises ValueError as `Metric`.
    """
    clusters = len({name for *_, groups in parts for name in groups})
    drawn: list[list[Floats]] = [[] for _ in metrics]
    for samples in joint_resamples(parts, threshold, replicates, seed):
        for metric, means in zip(metrics, drawn, strict=True):
            means.append(np.mean([metric.of(sample) for sample in samples], axis=0))
    return [percentile_interval(np.concatenate(means), clusters) for means in drawn]


def percentile_interval(drawn: Floats, clusters: int) -> Interval:
    """The middle 95% of a figure's draws; none where half of them or more are NaN."""
    used = drawn[~np.isnan(drawn)]
    if used.size * 2 <= drawn.size:
        return Interval(None, None, clusters, "most draws of source groups hold one class only")
    low, high = np.quantile(used, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), clusters)
