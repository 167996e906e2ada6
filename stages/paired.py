"""Two models on the same media: how much their figures differ, and how easily that is chance.

Both are resampled together, in the same draws of whole source groups, so that what makes media easy or hard for both
cancels. DeLong, DeLong and Clarke-Pearson (Biometrics 44, 1988) is the cross-check of the AUC's test for media that are
independent, which those of one source are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from ffpipe.stages.metrics import (
    METRICS,
    Interval,
    figures_of_draws,
    percentile_interval,
    too_few_groups,
)
from ffpipe.stages.resampling import REPLICATES
from ffpipe.stages.sample import Floats, Metric, checked, undefined_reason

#: Differences below this are rounding, not a difference.
_DUST = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure of two models on the same media, and second minus first with its 95% interval and two-sided p-value.

    All are None where undefined; the interval says why there is none.
    """

    first: float | None
    second: float | None
    value: float | None
    interval: Interval
    p: float | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model's scores (n,), and what its threshold is, above which a score is called fake."""

    scores: npt.ArrayLike
    threshold: float = 0.5


def paired(
    labels: npt.ArrayLike,
    models: tuple[Model, Model],
    groups: Sequence[str],
    names: Sequence[str],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> dict[str, Difference]:
    """Metrics by name of two models that scored the same media, one entry a medium in each.

    The p-value is the share of draws in which the difference does not have its sign, twice, one draw being added to
    both counts: 2 min(P(d <= 0), P(d >= 0)). Raises ValueError as `Metric`, or groups are not one a medium.
    """
    metrics = [METRICS[name] for name in names]
    truth, _ = checked(labels, models[0].scores)
    if len(groups) != truth.size:
        raise ValueError(f"{len(groups)} groups for {truth.size} media")
    reason = undefined_reason(truth) or too_few_groups(truth, groups)
    clusters = len(set(groups))
    values = [_values(metrics, labels, model) for model in models]
    if reason is not None:
        none = Interval(None, None, clusters, reason)
        pairs = zip(names, *values, strict=True)
        return {name: Difference(a, b, _minus(a, b), none, None) for name, a, b in pairs}
    drawn = [
        figures_of_draws(
            metrics,
            labels,
            model.scores,
            groups,
            threshold=model.threshold,
            replicates=replicates,
            seed=seed,
        )
        for model in models
    ]
    return {
        name: _difference(a, b, drawn_b - drawn_a, clusters)
        for name, a, b, drawn_a, drawn_b in zip(names, *values, *drawn, strict=True)
    }


def _values(metrics: Sequence[Metric], labels: npt.ArrayLike, model: Model) -> list[float | None]:
    found = [metric(labels, model.scores, threshold=model.threshold) for metric in metrics]
    return [None if math.isnan(value) else value for value in found]


def _minus(first: float | None, second: float | None) -> float | None:
    return None if first is None or second is None else second - first


def _difference(first: float | None, second: float | None, drawn: Floats, clusters: int) -> Difference:
    interval = percentile_interval(drawn, clusters)
    if interval.low is None:
        return Difference(first, second, _minus(first, second), interval, None)
    used = drawn[~np.isnan(drawn)]
    # Sums in another order leave dust where two models are equal.
    used = np.where(np.abs(used) < _DUST, 0, used)
    tails = [(1 + int(count)) / (1 + used.size) for count in ((used <= 0).sum(), (used >= 0).sum())]
    return Difference(first, second, _minus(first, second), interval, min(1.0, 2 * min(tails)))


def delong(labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike) -> float | None:
    """Two-sided p-value that two AUCs on the same media are equal, media being taken for independent.

    None where a class has fewer than two media, or the models order all media alike. Raises ValueError as `Metric`.
    """
    truth, _ = checked(labels, first)
    fake = truth == 1
    if min(fake.sum(), (~fake).sum()) < 2:
        return None
    parts = [_placements(checked(labels, scores)[1], fake) for scores in (first, second)]
    of_fakes, of_reals = (b - a for a, b in zip(*parts, strict=True))
    variance = of_fakes.var(ddof=1) / of_fakes.size + of_reals.var(ddof=1) / of_reals.size
    if variance <= 0:
        return None
    return float(2 * norm.sf(abs(of_fakes.mean()) / math.sqrt(variance)))


def _placements(scores: Floats, fake: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """For each fake the share of reals below it, and for each real that of fakes above it, ties counting half."""
    together = rankdata(scores)
    fakes, reals = scores[fake], scores[~fake]
    above = (together[fake] - rankdata(fakes)) / reals.size
    below = 1 - (together[~fake] - rankdata(reals)) / fakes.size
    return np.asarray(above), np.asarray(below)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction of a family of p-values: below a level, each may be called significant at it."""
    corrected: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, (len(p_values) - place) * p))
        corrected[name] = highest
    return {name: corrected[name] for name in p_values}
