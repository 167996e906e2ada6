"""A test set's figures: of all of it, of each forgery method against the reals of its own subset, and of other parts.

A generator's fakes are compared with the real pictures that came with them, never with those of another generator:
those differ in content, size and compression, which a detector would learn to tell apart. Where a dataset has no
subsets, each method is compared with all reals. The mean over methods weighs each alike, as the papers' tables do; its
interval is from joint draws of all sets' source groups. The row of all cannot keep subsets apart, and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.records import Label
from ffpipe.stages.metrics import METRICS, Interval, evaluate, mean_intervals
from ffpipe.stages.resampling import REPLICATES
from ffpipe.stages.sample import undefined_reason

#: The figure that is accuracy at the threshold which validation chose; `accuracy` is at a score of 0.5.
AT_THRESHOLD = "accuracy_at_threshold"
#: The figures of a table's row, by their names in `metrics.METRICS`, and AT_THRESHOLD.
FIGURES = (
    "auc", "eer", "average_precision", "accuracy", AT_THRESHOLD, "tpr_at_1_fpr", "log_loss", "brier", "ece", "cllr",
    "cllr_min",
)  # fmt: skip
#: Names of the rows that are of no single method.
ALL, MEAN = "all", "mean"
#: Kinds of rows: what the media of a row have in common.
METHOD, DATASET, QUALITY, FACE_SIZE = "method", "dataset", "quality", "face size"
#: What is said of the row of all where sets have reals of their own.
MIXED = "measures the fakes of a set against the reals of other sets as well; the sets' rows do not"
#: What a fake is called whose method is not known.
UNNAMED = "fake"


class Member(Protocol):
    """What a medium is compared by; rows of the media table have it."""

    @property
    def media_id(self) -> str: ...  # noqa: D102
    @property
    def label(self) -> Label | None: ...  # noqa: D102
    @property
    def method(self) -> str | None: ...  # noqa: D102
    @property
    def subset(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored at one level: an image, a frame, a track or a video each.

    medium has one id an item, group one name. side is of the crop in pixels of the original picture, of a track or
    video the median over its frames; empty where it is not known.
    """

    label: NDArray[np.int8]
    score: NDArray[np.float64]
    medium: Sequence[str]
    group: Sequence[str]
    side: Sequence[float] = ()

    def of(self, media: AbstractSet[str]) -> Scored:
        """The items of some media."""
        return self.at([place for place, medium in enumerate(self.medium) if medium in media])

    def at(self, places: Sequence[int]) -> Scored:
        """The items at some places."""
        return Scored(
            self.label[places],
            self.score[places],
            [self.medium[place] for place in places],
            [self.group[place] for place in places],
            [self.side[place] for place in places] if self.side else (),
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95% interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `name` is ALL, a method, MEAN (which counts groups alone), or a part of another `kind`.

    reason: why figures are undefined, or what a mean leaves out. interval_reason: why there are no intervals. note:
    what keeps figures from being a fair comparison. unscored: media of the set that have no score at this level, for
    want of a picture or of frames; None where they were not counted.
    """

    level: str
    name: str
    figures: Mapping[str, Figure]
    n_real: int | None = None
    n_fake: int | None = None
    groups: int | None = None
    reason: str | None = None
    interval_reason: str | None = None
    note: str | None = None
    kind: str = METHOD
    unscored: int | None = None

    def flat(self) -> dict[str, Any]:
        """The row with a column a number, `<figure>`, `<figure>_low` and `<figure>_high`."""
        cells: dict[str, Any] = {"level": self.level, "kind": self.kind, "set": self.name}
        cells |= {"real": self.n_real, "fake": self.n_fake, "groups": self.groups, "unscored": self.unscored}
        for name, figure in self.figures.items():
            cells |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        return cells | {
            "reason": self.reason,
            "interval_reason": self.interval_reason,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are drawn, and the score above which validation calls a medium fake (None: it chose none)."""

    replicates: int = REPLICATES
    seed: int = 0
    threshold: float | None = None


def comparisons(media: Iterable[Member]) -> dict[str, frozenset[str]]:
    """Method -> ids of the media to compare: its fakes, and the reals of the same subset.

    Media are rows of the media table, in which a content may stand several times: it then belongs to several sets.
    A method that occurs in several subsets is a set in each, called `<subset>/<method>`.
    """
    reals: defaultdict[str | None, set[str]] = defaultdict(set)
    fakes: defaultdict[tuple[str | None, str], set[str]] = defaultdict(set)
    for m in media:
        if m.label is Label.REAL:
            reals[m.subset].add(m.media_id)
        elif m.label is Label.FAKE:
            fakes[m.subset, m.method or m.subset or UNNAMED].add(m.media_id)
    named: defaultdict[str, set[str]] = defaultdict(set)
    for (subset, method), ids in fakes.items():
        named[method if subset in (None, method) else f"{subset}/{method}"] |= ids | reals[subset]
    return {name: frozenset(named[name]) for name in sorted(named)}


def table(
    level: str,
    scored: Scored,
    sets: Mapping[str, AbstractSet[str]],
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
    threshold: float | None = None,
) -> list[Row]:
    """The rows of one level: all, each set, and with two sets or more their mean.

    `accuracy` is at a score of 0.5, AT_THRESHOLD at `threshold`, where there is one. Raises ValueError where a score is
    no number or not in [0, 1].
    """
    how = Bootstrap(replicates, seed, threshold)
    rows = [replace(part_row(level, ALL, scored, how), note=_note(scored, sets))]
    items = [scored.of(media) for media in sets.values()]
    parts = [part_row(level, name, of, how) for name, of in zip(sets, items, strict=True)]
    mean = [_mean(level, list(zip(parts, items, strict=True)), how)] if len(parts) > 1 else []
    return [*rows, *parts, *mean]


def _note(scored: Scored, sets: Mapping[str, AbstractSet[str]]) -> str | None:
    """What is to be said of the row of all: that sets differ in their reals."""
    real = {medium for medium, label in zip(scored.medium, scored.label, strict=True) if label == Label.REAL}
    return MIXED if len({frozenset(real & media) for media in sets.values()}) > 1 else None


def part_row(level: str, name: str, scored: Scored, how: Bootstrap, kind: str = METHOD) -> Row:
    """The row of some items. Every figure is drawn from the same resamples of source groups."""
    drawn = {"replicates": how.replicates, "seed": how.seed}
    plain = [figure for figure in FIGURES if figure != AT_THRESHOLD]
    results = evaluate(scored.label, scored.score, scored.group, names=plain, **drawn)
    first = results[plain[0]]
    found = {key: _figure(result.value, result.interval) for key, result in results.items()}
    if how.threshold is not None:
        bar = above(how.threshold)
        at = evaluate(scored.label, scored.score, scored.group, names=["accuracy"], threshold=bar, **drawn)
        found[AT_THRESHOLD] = _figure(at["accuracy"].value, at["accuracy"].interval)
    return Row(
        level,
        name,
        {key: found.get(key, Figure(None)) for key in FIGURES},
        first.n_real,
        first.n_fake,
        len(set(scored.group)),
        undefined_reason(scored.label),
        next((r.interval.reason for r in results.values() if r.interval.reason), None),
        kind=kind,
    )


def above(threshold: float) -> float:
    """The threshold for a metric, which calls fake what reaches it, where a verdict is given above `threshold`."""
    return float(np.nextafter(threshold, np.inf))


def _figure(value: float | None, interval: Interval) -> Figure:
    return Figure(value, interval.low, interval.high)


def _mean(level: str, parts: Sequence[tuple[Row, Scored]], how: Bootstrap) -> Row:
    """The unweighted mean of the sets' figures over the sets that have them, and its interval."""
    whole = [(row, scored) for row, scored in parts if row.reason is None]
    left_out = len(parts) - len(whole)
    lacking = next((row for row, _ in whole if row.interval_reason), None)
    if lacking is not None or not whole:
        intervals: Mapping[str, Interval] = {}
        reason = (
            f"{lacking.name} has none: {lacking.interval_reason}" if lacking else "no set has both classes"
        )
    else:
        intervals, reason = _mean_intervals([scored for _, scored in whole], how), None
    figures = {}
    for key in FIGURES:
        value = _average([row.figures[key].value for row, _ in whole])
        interval = intervals.get(key)
        figures[key] = _figure(value, interval) if interval else Figure(value)
    return Row(
        level,
        MEAN,
        figures,
        groups=len({group for _, scored in whole for group in scored.group}),
        reason=f"{left_out} of {len(parts)} sets have one class only and are left out" if left_out else None,
        interval_reason=reason,
    )


def _mean_intervals(sets: Sequence[Scored], how: Bootstrap) -> dict[str, Interval]:
    parts = [(scored.label, scored.score, scored.group) for scored in sets]
    plain = [name for name in FIGURES if name != AT_THRESHOLD]
    drawn = {"replicates": how.replicates, "seed": how.seed}
    found = dict(zip(plain, mean_intervals([METRICS[name] for name in plain], parts, **drawn), strict=True))
    if how.threshold is not None:
        at = mean_intervals([METRICS["accuracy"]], parts, threshold=above(how.threshold), **drawn)
        found[AT_THRESHOLD] = at[0]
    return found


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
