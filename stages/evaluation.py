"""A test set's figures: of all of it, and of each forgery method against the reals of the method's own subset.

A generator's fakes are compared with the real pictures that came with them, never with those of another generator:
those differ in content, size and compression, which a detector would learn to tell apart. Where a dataset has no
subsets, each method is compared with all reals. The mean over methods weighs each alike, as the papers' tables do.
The row of all cannot keep subsets apart, and says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.records import Label, MediaRecord
from ffpipe.stages.metrics import REPLICATES, Interval, evaluate
from ffpipe.stages.sample import undefined_reason

#: The figures of a table's row, by their names in `metrics.METRICS`.
FIGURES = ("accuracy", "average_precision", "auc")
#: Names of the rows that are of no single method.
ALL, MEAN = "all", "mean"
#: What is said of the row of all where sets have reals of their own.
MIXED = "measures the fakes of a set against the reals of other sets as well; the sets' rows do not"
#: What a fake is called whose method is not known.
UNNAMED = "fake"


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored at one level: an image, a frame or a video each. medium has one id an item, group one name."""

    label: NDArray[np.int8]
    score: NDArray[np.float64]
    medium: Sequence[str]
    group: Sequence[str]

    def of(self, media: AbstractSet[str]) -> Scored:
        """The items of some media."""
        places = [place for place, medium in enumerate(self.medium) if medium in media]
        return Scored(
            self.label[places],
            self.score[places],
            [self.medium[place] for place in places],
            [self.group[place] for place in places],
        )


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95% interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table. `name` is ALL, a method, or MEAN, which has no counts of its own.

    reason: why figures are undefined, or what a mean leaves out. interval_reason: why there are no intervals. note:
    what keeps figures from being a fair comparison.
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

    def flat(self) -> dict[str, Any]:
        """The row with a column a number, `<figure>`, `<figure>_low` and `<figure>_high`."""
        cells: dict[str, Any] = {"level": self.level, "set": self.name}
        cells |= {"real": self.n_real, "fake": self.n_fake, "groups": self.groups}
        for name, figure in self.figures.items():
            cells |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        return cells | {
            "reason": self.reason,
            "interval_reason": self.interval_reason,
            "note": self.note,
        }


def comparisons(media: Iterable[MediaRecord]) -> dict[str, frozenset[str]]:
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
) -> list[Row]:
    """The rows of one level: all, each set, and with two sets or more their mean. Accuracy is at a score of 0.5.

    Raises ValueError where a score is no number or not in [0, 1].
    """
    rows = [replace(_row(level, ALL, scored, replicates, seed), note=_note(scored, sets))]
    parts = [_row(level, name, scored.of(media), replicates, seed) for name, media in sets.items()]
    return [*rows, *parts, *([_mean(level, parts)] if len(parts) > 1 else [])]


def _note(scored: Scored, sets: Mapping[str, AbstractSet[str]]) -> str | None:
    """What is to be said of the row of all: that sets differ in their reals."""
    real = {medium for medium, label in zip(scored.medium, scored.label, strict=True) if label == Label.REAL}
    return MIXED if len({frozenset(real & media) for media in sets.values()}) > 1 else None


def _row(level: str, name: str, scored: Scored, replicates: int, seed: int) -> Row:
    results = evaluate(
        scored.label, scored.score, scored.group, names=FIGURES, replicates=replicates, seed=seed
    )
    first = results[FIGURES[0]]
    return Row(
        level,
        name,
        {key: _figure(result.value, result.interval) for key, result in results.items()},
        first.n_real,
        first.n_fake,
        len(set(scored.group)),
        undefined_reason(scored.label),
        next((r.interval.reason for r in results.values() if r.interval.reason), None),
    )


def _figure(value: float | None, interval: Interval) -> Figure:
    return Figure(value, interval.low, interval.high)


def _mean(level: str, parts: Sequence[Row]) -> Row:
    """The unweighted mean of the sets' figures, without intervals, over the sets that have them."""
    whole = [row for row in parts if row.reason is None]
    left_out = len(parts) - len(whole)
    figures = {key: Figure(_average([row.figures[key].value for row in whole])) for key in FIGURES}
    reason = f"{left_out} of {len(parts)} sets have one class only and are left out" if left_out else None
    return Row(level, MEAN, figures, reason=reason, interval_reason="a mean over sets")


def _average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
