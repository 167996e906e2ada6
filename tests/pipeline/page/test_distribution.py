"""The drawing of the scores: every score is in one bin, and the bars stand where they are."""

from __future__ import annotations

import pytest

from ffpipe.pipeline.page.distribution import BINS, histogram
from ffpipe.stages.thresholds import Bars

BARS = Bars(0.8, 0.5, True)


def test_every_score_is_in_one_bin_the_ends_too() -> None:
    scores = [0.0, 0.05, 0.0999, 0.8, 1.0, 1.0]
    drawn = histogram(scores, BARS)
    assert drawn is not None
    assert sum(each.count for each in drawn.bins) == len(scores)
    assert [(place, each.count) for place, each in enumerate(drawn.bins) if each.count] == [
        (0, 1), (1, 2), (16, 1), (BINS - 1, 2),
    ]  # fmt: skip
    assert drawn.most == 2
    highest = drawn.bins[-1]
    assert highest.y == drawn.top
    assert highest.y + highest.height == drawn.base
    assert max(each.x + each.width for each in drawn.bins) <= 100


def test_the_bars_stand_where_they_are_and_are_told_in_words() -> None:
    drawn = histogram([0.2, 0.6, 0.8, 0.9], BARS)
    assert drawn is not None
    assert drawn.threshold is not None
    assert (drawn.threshold.x, drawn.threshold.words) == (80, "threshold 0.800")
    assert drawn.band == pytest.approx((50, 30))
    assert drawn.words == (
        "Scores of 4 files from 0.200 to 0.900. 1 lie above the threshold 0.800. "
        "1 do not lie above 0.500, where doubt begins."
    )


def test_without_a_threshold_doubt_has_no_end_and_without_bars_there_is_no_band() -> None:
    open_end = histogram([0.5], Bars(None, 0.75, False))
    none = histogram([0.5], Bars(None, None, False))
    assert open_end is not None
    assert none is not None
    assert open_end.band == (75, 25)
    assert (none.band, none.threshold, none.doubt) == (None, None, None)
    assert histogram([], BARS) is None
