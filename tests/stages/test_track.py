"""Tracks on synthetic boxes: people cross, leave, return, are missed, jitter; and false ones go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpipe.stages.detect import Detection
from ffpipe.stages.shots import frame_signature
from ffpipe.stages.track import Track, Tracker, TrackSettings, distinct, overlap


def face(x: float, y: float = 100, side: float = 60, confidence: float = 0.999) -> Detection:
    return Detection((x - side / 2, y - side / 2, x + side / 2, y + side / 2), confidence)


def run(
    frames: list[list[Detection]], step: float = 0.3, signatures: list | None = None
) -> tuple[list[Track], Tracker]:
    tracker = Tracker()
    for number, found in enumerate(frames):
        tracker.update(number, number * step, found, signatures[number] if signatures else None)
    return tracker.finish(), tracker


def paths(tracks: list[Track]) -> list[dict[int, Detection]]:
    return [{item.frame_number: item.detection for item in track.items} for track in tracks]


def test_crossing_people_keep_their_tracks():
    left = [face(100 + 40 * k) for k in range(12)]
    right = [face(540 - 40 * k, 110) for k in range(12)]
    tracks, _ = run([[a, b] if k % 2 else [b, a] for k, (a, b) in enumerate(zip(left, right, strict=True))])
    assert paths(tracks) == [dict(enumerate(left)), dict(enumerate(right))]


@pytest.mark.parametrize("step", [0.04, 0.3, 2.0])
def test_jitter_breaks_nothing_at_any_sampling(step):
    generator = np.random.default_rng(3)
    frames = [
        [face(x + dx, 100 + dy, 60 * s) for x in (100, 200, 300)]
        for dx, dy, s in zip(
            generator.normal(0, 6, 30),
            generator.normal(0, 6, 30),
            generator.uniform(0.9, 1.1, 30),
            strict=True,
        )
    ]
    tracks, tracker = run(frames, step)
    assert [len(track.items) for track in tracks] == [30, 30, 30]
    assert tracker.dropped_faces == 0


def test_missed_frames_are_bridged_up_to_the_bound():
    seen = [[face(100)], [face(104)], [], [], [face(112)]]
    assert len(run(seen)[0]) == 1
    bound = TrackSettings().max_gap
    away = round(bound / 0.3) + TrackSettings().max_missed
    assert len(run([[face(100)], [face(104)], *[[]] * away, [face(104)]])[0]) == 2


def test_with_frames_seconds_apart_misses_are_counted_not_timed():
    assert len(run([[face(100)], [face(100)], [], [face(104)]], step=2.0)[0]) == 1


def test_someone_who_leaves_and_another_who_comes_elsewhere_are_two():
    tracks, _ = run([[face(100)]] * 4 + [[]] + [[face(500)]] * 4)
    assert [len(track.items) for track in tracks] == [4, 4]


def test_a_newcomer_of_another_size_in_the_same_place_is_another():
    tracks, _ = run([[face(100, side=40)]] * 3 + [[face(100, side=120)]] * 3)
    assert len(tracks) == 2


def test_a_runner_is_one_track_and_takes_nobody_with_him():
    still = face(320, 400)
    frames = [[face(100 + 130 * k), still] for k in range(5)]
    assert [len(track.items) for track in run(frames)[0]] == [5, 5]


def test_two_possible_runners_are_not_guessed_at():
    tracks, _ = run([[face(100)], [face(220, 60), face(220, 180)]])
    assert len(tracks) == 3


def test_a_cut_starts_new_tracks_even_in_the_same_place():
    dark = frame_signature(np.full((90, 160, 3), 20, np.uint8))
    red = frame_signature(np.full((90, 160, 3), (220, 40, 30), np.uint8))
    tracks, _ = run([[face(100)]] * 6, signatures=[dark] * 3 + [red] * 3)
    assert [[item.frame_number for item in track.items] for track in tracks] == [[0, 1, 2], [3, 4, 5]]


def test_ids_count_by_first_appearance_then_from_the_left():
    tracks, _ = run(
        [[face(300), face(100)], [face(300), face(100), face(200)], [face(20, 400), face(300), face(100)]]
    )
    firsts = [(item.items[0].frame_number, item.items[0].detection.box[0] + 30) for item in tracks]
    assert firsts == [(0, 100), (0, 300), (1, 200), (2, 20)]
    assert [track.track_id for track in tracks] == [0, 1, 2, 3]


def test_a_faint_face_seen_once_is_dropped_and_counted():
    tracks, tracker = run([[face(100)] + ([face(400, confidence=0.95)] if k == 3 else []) for k in range(10)])
    assert len(tracks) == 1
    assert (tracker.dropped_tracks, tracker.dropped_faces) == (1, 1)


def test_a_clear_face_seen_once_stays():
    assert len(run([[], [], [face(100, confidence=0.99)], *[[]] * 20])[0]) == 1


def test_a_faint_face_seen_steadily_stays():
    assert len(run([[face(100, confidence=0.93)] for _ in range(6)])[0]) == 1
    assert len(run([[face(100, confidence=0.8)] for _ in range(6)])[0]) == 0


@pytest.mark.parametrize(("confidence", "kept"), [(0.92, 1), (0.75, 0)])
def test_a_single_picture_needs_less_certainty(confidence, kept):
    assert len(run([[face(100, confidence=confidence)]])[0]) == kept


def test_a_nested_detection_is_the_same_face():
    outer, inner, beside = face(100, confidence=0.99), face(105, side=30, confidence=0.98), face(150)
    assert distinct([inner, outer, beside], 0.7) == [beside, outer]
    assert run([[outer, inner]])[1].duplicates == 1


def test_time_does_not_run_backwards():
    tracker = Tracker()
    tracker.update(0, 1.0, [face(100)])
    with pytest.raises(ValueError, match="order of time"):
        tracker.update(1, 0.5, [face(100)])


def test_overlap_of_known_boxes():
    assert overlap((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0


detections = st.lists(
    st.builds(face, st.floats(0, 600), st.floats(0, 300), st.floats(5, 200), st.floats(0, 1)), max_size=5
)


@settings(max_examples=60)
@given(st.lists(detections, max_size=8), st.sampled_from([0.04, 0.3, 2.0]))
def test_every_detection_is_used_once_and_no_track_twice_a_frame(frames, step):
    tracker = Tracker()
    kept = [tracker.update(number, number * step, found) for number, found in enumerate(frames)]
    assert all(len({key for key, _ in pairs}) == len(pairs) for pairs in kept)
    assert sum(len(pairs) for pairs in kept) + tracker.duplicates == sum(map(len, frames))
    tracks = tracker.finish()
    assert [track.track_id for track in tracks] == list(range(len(tracks)))
    assert sum(len(track.items) for track in tracks) + tracker.dropped_faces == sum(
        len(pairs) for pairs in kept
    )
    for track in tracks:
        numbers = [item.frame_number for item in track.items]
        assert numbers == sorted(set(numbers))


@settings(max_examples=30)
@given(st.lists(detections, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_detections_changes_nothing(frames, random):
    shuffled = [random.sample(found, len(found)) for found in frames]
    unique = all(len({d.confidence for d in found}) == len(found) for found in frames)
    if unique:
        assert paths(run(frames)[0]) == paths(run(shuffled)[0])
