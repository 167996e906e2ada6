"""The timeline: marks where the scores are, gaps where a track was not seen, bars by name and by line."""

from __future__ import annotations

import re

import pytest
from inert_page import assert_wellformed
from scored_media import scores_of, tracks_of

from ffpipe.pipeline.page.timeline import ABOVE, BELOW, BETWEEN, MAX_LANES, Axis, Bars, Span, timeline

BARS = Bars(0.7, 0.5)


def drawn(scores, frames, bars=BARS, worst=0):
    tracks = tracks_of(scores, frames)
    of_track = {t.track_id: [s for s in scores if s.track_id == t.track_id] for t in tracks}
    axis = Axis.of([k / 10 for k in range(frames)], scores, frames / 10)
    return timeline(tracks, of_track, axis, bars, worst)


def marks(figure, kind):
    """Places (x, y) of the marks of a kind in the lanes, not those of the legend."""
    found = re.findall(rf'<path d="([^"]*)" class="mark {kind}">', figure)
    return [(float(x), float(y)) for d in found[:-1] for x, y in re.findall(r"M(\S+) (\d+\.?\d*)", d)]


def test_a_mark_stands_at_its_time_and_score_and_its_shape_tells_the_side_of_the_bars() -> None:
    figure = drawn(scores_of(0, {0: 0.25, 5: 0.75, 9: 0.6}), 11)
    assert_wellformed(figure)
    (below,), (above,), (between,) = (marks(figure, kind) for kind in (BELOW, ABOVE, BETWEEN))
    plot = re.search(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)" class="plot">', figure
    )
    left, top, width, height = map(float, plot.groups())
    for (x, y), (time, score) in ((below, (0, 0.25)), (above, (0.5, 0.75)), (between, (0.9, 0.6))):
        assert x == pytest.approx(left + width * time / 1.1, abs=0.1)
        assert y == pytest.approx(top + height * (1 - score), abs=0.1)


@pytest.mark.parametrize(
    ("score", "bars", "side"),
    [
        (0.7, BARS, BETWEEN),
        (0.71, BARS, ABOVE),
        (0.5, BARS, BELOW),
        (0.9, Bars(None, 0.5), BETWEEN),
        (0.9, Bars(), BELOW),
    ],
)
def test_a_score_at_a_bar_is_not_above_it(score: float, bars: Bars, side: str) -> None:
    assert bars.of(score) == side


def test_gaps_are_the_sampled_frames_without_the_track() -> None:
    axis = Axis.of([0, 1, 2, 3, 4], [], 5)
    assert axis.gaps([0, 1, 4]) == [Span(1.5, 3.5)]
    assert axis.gaps([2]) == [Span(0, 1.5), Span(2.5, 5)]
    assert axis.gaps([0, 1, 2, 3, 4]) == []
    assert axis.gaps([]) == [Span(0, 5)]


def test_the_axis_holds_times_before_zero_and_beyond_the_duration_and_none_at_all() -> None:
    assert Axis.of([-1.0, 7.0], [], 5) == Axis(-1, 7, (-1, 7))
    assert Axis.of([], [], None) == Axis(0, 1, ())
    scores = scores_of(0, {3: 0.5, 8: 0.5})
    assert Axis.of(None, scores, None).sampled == (0.3, 0.8)


def test_frames_without_any_face_are_marked_and_counted() -> None:
    figure = drawn(scores_of(0, {0: 0.4, 1: 0.4, 9: 0.4}), 10)
    assert "No face found: 7 of 10 frames looked at" in figure
    (lost,) = re.findall(r'<path d="([^"]*)" class="lost">', figure)
    assert lost.count("m-3-3") == 7


def test_bars_have_names_a_band_and_different_lines() -> None:
    figure = drawn(scores_of(0, {k: 0.4 for k in range(5)}), 5)
    assert "threshold 0.700" in figure
    assert "doubt from 0.500" in figure
    assert 'fill="url(#band)"' in figure
    assert 'class="bar doubt"' in figure
    without = drawn(scores_of(0, {k: 0.4 for k in range(5)}), 5, Bars())
    assert "threshold" not in without
    assert 'fill="url(#band)"' not in without


def test_lanes_are_bounded_and_what_is_left_out_is_said() -> None:
    scores = [s for t in range(MAX_LANES + 3) for s in scores_of(t, {0: 0.4, 1: 0.4, 2: 0.4})]
    figure = drawn(scores, 3)
    assert figure.count('class="lane"') == MAX_LANES
    assert f"{MAX_LANES} of {MAX_LANES + 3} face tracks" in figure


def test_the_worst_window_of_a_short_track_is_said_to_be_all_of_it() -> None:
    long = {k * 11: 0.9 if k < 10 else 0.1 for k in range(30)}
    figure = drawn([*scores_of(0, long), *scores_of(1, {0: 0.2, 1: 0.2, 2: 0.2})], 330)
    assert "worst window 0.0–9.9 s: mean 0.900" in figure
    assert "worst window 0.0–0.2 s, the whole track: mean 0.200" in figure
