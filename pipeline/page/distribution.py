"""How scores are distributed, as places in a drawing: bins from 0 to 1 with the bars of the verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ffpipe.stages.thresholds import Bars

#: Bins of the drawing, each 0.05 wide.
BINS = 20
#: Pixels of the drawing: room above for two lines of labels, the bins, room below for the axis.
_ABOVE, _BINS_HIGH, _BELOW = 44, 140, 24


@dataclass(frozen=True, slots=True)
class Bin:
    """Scores from `low` to `high` and how many there are; x and width in percent, y and height in pixels."""

    low: float
    high: float
    count: int
    x: float
    width: float
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Mark:
    """A bar of the verdicts at x percent, with its words to the side where there is room."""

    x: float
    words: str
    before: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """The drawing: height, top and base in pixels, bins, marks, the shaded band in percent, and all of it in words."""

    height: int
    top: int
    base: int
    bins: tuple[Bin, ...]
    most: int
    threshold: Mark | None
    doubt: Mark | None
    band: tuple[float, float] | None
    words: str


def histogram(scores: Sequence[float], bars: Bars) -> Histogram | None:
    """The distribution of scores in [0, 1]; None where there is no score. The last bin holds 1 itself."""
    if not scores:
        return None
    counts = [0] * BINS
    for score in scores:
        counts[min(int(score * BINS), BINS - 1)] += 1
    base = _ABOVE + _BINS_HIGH
    low, high = bars.inconclusive_from, bars.threshold
    return Histogram(
        height=base + _BELOW,
        top=_ABOVE,
        base=base,
        bins=tuple(_bin(place, count, max(counts), base) for place, count in enumerate(counts)),
        most=max(counts),
        threshold=None if high is None else _mark(high, "threshold"),
        doubt=None if low is None else _mark(low, "doubt begins"),
        band=None if low is None else (100 * low, 100 * ((1.0 if high is None else high) - low)),
        words=_words(scores, bars),
    )


def _bin(place: int, count: int, most: int, base: int) -> Bin:
    height = _BINS_HIGH * count / most
    each = 100 / BINS
    return Bin(
        low=place / BINS, high=(place + 1) / BINS, count=count, x=round(place * each + 0.1 * each, 3),
        width=round(0.8 * each, 3), y=round(base - height, 1), height=round(height, 1),
    )  # fmt: skip


def _mark(score: float, words: str) -> Mark:
    return Mark(x=round(100 * score, 2), words=f"{words} {score:.3f}", before=score > 0.5)


def _words(scores: Sequence[float], bars: Bars) -> str:
    told = [f"Scores of {len(scores):,} files from {min(scores):.3f} to {max(scores):.3f}."]
    low, high = bars.inconclusive_from, bars.threshold
    if high is not None:
        told.append(f"{sum(score > high for score in scores):,} lie above the threshold {high:.3f}.")
    if low is not None:
        told.append(
            f"{sum(score <= low for score in scores):,} do not lie above {low:.3f}, where doubt begins."
        )
    return " ".join(told)
