"""Targets are spread evenly over the whole duration, and what is picked is what is on screen."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.stages.sampling import ROUNDING_SECONDS, Sampling, for_scoring, pick_shown, shown_at, targets

counts = st.integers(1, 700)
starts = st.floats(-1e4, 1e6)
durations = st.floats(0.001, 1e5)
ascending = st.lists(st.integers(-50, 5000), min_size=1, max_size=60, unique=True).map(
    lambda ticks: [tick / 25 for tick in sorted(ticks)]
)


@given(counts, starts, durations)
def test_targets_are_the_middles_of_equal_parts(count: int, start: float, duration: float) -> None:
    found = targets(Sampling.of_count(count), start, duration)
    assert len(found) == count
    assert all(start <= time <= start + duration for time in found)
    assert all(earlier <= later for earlier, later in pairwise(found))
    for k, time in enumerate(found):
        assert time == pytest.approx(start + (k + 0.5) * duration / count, rel=1e-12, abs=1e-9)
    assert found[-1] > start + duration * (1 - 1 / count) - 1e-6, (
        "the last part of the video is looked at too"
    )


@given(counts, durations)
def test_targets_do_not_depend_on_where_the_clip_starts(count: int, duration: float) -> None:
    at_zero = targets(Sampling.of_count(count), 0.0, duration)
    later = targets(Sampling.of_count(count), 64.0, duration)
    assert [time - 64.0 for time in later] == pytest.approx(at_zero, abs=1e-9 * (1 + duration))


@given(st.floats(0.01, 50), starts, st.floats(0.001, 5000), st.integers(1, 500))
def test_every_keeps_its_spacing_inside_the_duration(
    seconds: float, start: float, duration: float, most: int
) -> None:
    found = targets(Sampling.of_every(seconds, max_frames=most), start, duration)
    assert 1 <= len(found) <= most
    assert all(start <= time <= start + duration for time in found)
    fitting = max(int(duration / seconds + 1e-9), 1)
    assert len(found) == min(fitting, most)
    if 1 < fitting <= most:
        steps = [later - earlier for earlier, later in pairwise(found)]
        assert steps == pytest.approx([seconds] * len(steps), abs=1e-6)


def test_every_beyond_the_most_frames_still_spans_the_whole_video() -> None:
    found = targets(Sampling.of_every(1.0, max_frames=10), 0.0, 1000.0)
    assert found[0] == 50.0
    assert found[-1] == 950.0


def test_all_has_no_targets_and_a_still_has_one() -> None:
    assert targets(Sampling.of_all(), 0.0, 10.0) == []
    assert targets(Sampling.of_count(32), 3.0, 0.0) == [3.0]


@given(ascending, st.floats(-10, 300))
def test_the_frame_on_screen_is_the_last_not_later(pts: list[float], target: float) -> None:
    index = shown_at(pts, target)
    if target < pts[0] - ROUNDING_SECONDS:
        assert index == 0
    else:
        assert pts[index] <= target + ROUNDING_SECONDS
        assert index + 1 == len(pts) or target < pts[index + 1]


def test_a_target_on_a_frame_s_time_meets_that_frame() -> None:
    """0.5 * 2.4 / 6 comes out just below 0.2."""
    (first, *_) = targets(Sampling.of_count(6), 0.0, 2.4)
    assert first < 0.2
    assert shown_at([k / 25 for k in range(60)], first) == 5


@given(ascending, st.lists(st.floats(-10, 300), max_size=40).map(sorted))
def test_picking_while_reading_equals_looking_up(pts: list[float], times: list[float]) -> None:
    wanted = [shown_at(pts, time) for time in times]
    picked = list(pick_shown(((time, index) for index, time in enumerate(pts)), times))
    assert [index for index, hits in picked for _ in range(hits)] == wanted
    assert [index for index, _ in picked] == sorted(set(wanted))


@given(ascending, st.lists(st.floats(-10, 300), min_size=1, max_size=40).map(sorted), st.integers(0, 59))
def test_nothing_stands_in_for_a_missing_picture(pts: list[float], times: list[float], gap: int) -> None:
    """Targets that meet the gap get nothing; all others get what they would get without it."""
    gap %= len(pts)
    frames = ((time, None if index == gap else index) for index, time in enumerate(pts))
    picked = [index for index, hits in pick_shown(frames, times) for _ in range(hits)]
    assert picked == [index for index in (shown_at(pts, time) for time in times) if index != gap]


def test_picking_reads_no_further_than_needed() -> None:
    read = []

    def frames() -> object:
        for index in range(100):
            read.append(index)
            yield index / 25, index

    assert list(pick_shown(frames(), [0.1])) == [(2, 1)]  # type: ignore[arg-type]
    assert read == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("duration", "expected"), [(0.0, 32), (10.0, 32), (64.0, 32), (65.0, 33), (300.0, 150), (1e5, 600)]
)
def test_scoring_looks_once_per_two_seconds_within_bounds(duration: float, expected: int) -> None:
    assert for_scoring(duration).count == expected


@pytest.mark.parametrize("count", [0, -1])
def test_counts_below_one_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        Sampling.of_count(count)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_spacings_that_are_no_spacing_are_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Sampling.of_every(seconds)


@pytest.mark.parametrize(("start", "duration"), [(math.nan, 1.0), (0.0, math.inf), (0.0, -1.0)])
def test_impossible_durations_are_refused(start: float, duration: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        targets(Sampling.of_count(3), start, duration)


def test_no_frames_show_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        shown_at([], 1.0)


def test_rules_describe_themselves() -> None:
    assert Sampling.of_count(8).describe() == "8 frames, evenly spread"
    assert Sampling.of_every(0.5, 9).describe() == "one frame every 0.5 s, at most 9"
    assert Sampling.of_all(7).describe() == "every frame, at most 7"
