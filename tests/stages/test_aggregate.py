"""Tracks, windows and video scores against hand values and slow definitions; verdicts against the bars."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.records import Status, Verdict
from ffpipe.stages.aggregate import Rule, Thresholds, judge, score_tracks, video_score

RULE = Rule()


def one_track(pts, scores, rule=RULE, frames=None):
    (track,) = score_tracks([0] * len(pts), pts, scores, "m", rule, frames)
    return track


def thresholds(real=99, **changes):
    """Real scores 0.01 … 0.99 (for 99): the bar at rate a is 1 - a."""
    scores = [(k + 1) / (real + 1) for k in range(real)]
    tail = tuple(sorted(scores, reverse=True)[: max(1, (real + 1) // 5)])
    facts = dict(
        n_real=real, n_fake=real, real_groups=real, auc=0.9, auc_low=0.8, auc_high=0.95, real_tail=tail
    )
    return Thresholds(**{**facts, **changes})


def video(*scores, frames=32):
    """A video with one three-frame track per score."""
    ids = [k for k in range(len(scores)) for _ in range(3)]
    pts = [float(t) for _ in scores for t in range(3)]
    values = [s for s in scores for _ in range(3)]
    return video_score(score_tracks(ids, pts, values, "m", RULE, frames), RULE, frames)


def test_a_track_is_the_mean_of_its_frames_with_its_times():
    tracks = score_tracks([7, 2, 7, 2, 7], [2, 0.5, 1, 1.5, 3], [0.2, 1, 0.6, 0.5, 0.1], "m", RULE)
    assert [t.track_id for t in tracks] == [2, 7]
    assert [t.n_faces for t in tracks] == [2, 3]
    assert tracks[0].score == pytest.approx(0.75)
    assert tracks[1].score == pytest.approx(0.3)
    assert (tracks[1].first_pts_seconds, tracks[1].last_pts_seconds) == (1, 3)
    assert [t.eligible for t in tracks] == [False, True]


@pytest.mark.parametrize(
    ("faces", "frames", "eligible"),
    [(3, 32, True), (2, 32, False), (2, 2, True), (1, 1, True), (1, 2, False)],
)
def test_a_track_needs_what_the_sampled_frames_allow(faces, frames, eligible):
    assert one_track(range(faces), [0.5] * faces, frames=frames).eligible is eligible


def test_worst_window_by_hand():
    # 30 s at one frame a second, forged from 12 to 16 s: the earliest 10 s that hold all five begin at 6 s.
    scores = [0.9 if 12 <= t <= 16 else 0.1 for t in range(31)]
    track = one_track(range(31), scores)
    assert (track.worst_start_seconds, track.worst_end_seconds) == (7, 16)
    assert track.worst_score == pytest.approx((5 * 0.9 + 5 * 0.1) / 10)
    assert track.score == pytest.approx((5 * 0.9 + 26 * 0.1) / 31)


def test_a_window_needs_enough_frames_and_a_short_track_is_its_own_window():
    sparse = one_track([0, 8, 16, 24], [0.1, 0.9, 0.8, 0.1])
    assert (sparse.worst_start_seconds, sparse.worst_end_seconds, sparse.worst_score) == (0, 24, sparse.score)
    short = one_track([0, 4, 10], [0.9, 0.1, 0.2])
    assert (short.worst_start_seconds, short.worst_end_seconds) == (0, 10)


tracks_of_faces = st.lists(
    st.tuples(st.integers(0, 600).map(lambda t: t / 10), st.floats(0, 1, width=32)), min_size=1, max_size=40,
    unique_by=lambda face: face[0],
)  # fmt: skip


@given(tracks_of_faces, st.randoms(use_true_random=False))
def test_worst_window_is_the_best_span_of_a_fine_grid_whatever_the_order(faces, random):
    random.shuffle(faces)
    track = one_track([t for t, _ in faces], [s for _, s in faces])
    ordered = sorted(faces)
    assert track == one_track([t for t, _ in ordered], [s for _, s in ordered])
    first, last = ordered[0][0], ordered[-1][0]
    means = [
        np.mean([s for _, s in inside])
        for start in np.arange(first, last - 10 + 0.01, 0.05)
        if len(inside := [f for f in ordered if start - 1e-6 <= f[0] <= start + 10 + 1e-6]) >= 3
    ]
    assert track.worst_score == pytest.approx(max(means, default=track.score), abs=1e-6)
    assert track.worst_end_seconds - track.worst_start_seconds <= max(10 + 2e-6, last - first)
    assert min(s for _, s in faces) - 1e-9 <= track.score <= max(s for _, s in faces) + 1e-9


def test_a_video_is_its_worst_eligible_track():
    ids, pts = [0, 0, 0, 1, 1, 1, 2, 2], [0, 1, 2, 0, 1, 2, 0, 1]
    scores = [0.2, 0.2, 0.2, 0.6, 0.7, 0.8, 1.0, 1.0]
    found = video_score(score_tracks(ids, pts, scores, "m", RULE, 32), RULE, 32)
    assert found.worst_track.track_id == 1
    assert found.score == pytest.approx(0.7)
    assert (found.n_eligible, found.n_tracks, found.longest) == (2, 3, 3)
    assert video(0.5, 0.5).worst_track.track_id == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="not finite"):
        score_tracks([0], [0.0], [bad], "m", RULE)
    with pytest.raises(ValueError, match="1 track ids, 2 times"):
        score_tracks([0], [0.0, 1.0], [0.5, 0.5], "m", RULE)


@pytest.mark.parametrize(
    ("score", "verdict", "words"),
    [
        (
            0.96,
            Verdict.LIKELY_MANIPULATED,
            "Track 0 (0.0 s to 2.0 s) scored 0.960, above the threshold 0.950",
        ),
        (0.95, Verdict.INCONCLUSIVE, "above 0.800 where doubt begins, not above the threshold 0.950"),
        (0.81, Verdict.INCONCLUSIVE, "scored 0.810, above 0.800"),
        (0.80, Verdict.NO_MANIPULATION_FOUND, "not above 0.800, where doubt begins"),
        (0.10, Verdict.NO_MANIPULATION_FOUND, "scored 0.100"),
    ],
)
def test_verdicts_of_one_track_at_and_beside_the_bars(score, verdict, words):
    judgement = judge(replace(video(score), score=score), thresholds())
    assert judgement.verdict is verdict
    assert words in judgement.reason
    assert (judgement.threshold, judgement.inconclusive_from) == pytest.approx((0.95, 0.80))


def test_several_tracks_raise_the_bar_and_say_so():
    judgement = judge(video(0.96, 0.1), thresholds())
    # 1 - 0.95^(1/2) = 2.53% of 100: the 2nd highest of 99.
    assert judgement.threshold == pytest.approx(0.98)
    assert judgement.verdict is Verdict.INCONCLUSIVE
    assert "bars raised for the highest of 2 tracks" in judgement.reason


def test_beyond_the_data_the_bar_is_above_every_real_score_and_stated():
    few = thresholds(real=24)
    judgement = judge(video(0.99, 0.1), few)
    assert judgement.threshold == few.real_tail[0]
    assert judgement.verdict is Verdict.LIKELY_MANIPULATED
    assert "highest score of any real validation video" in judgement.reason
    crowd = judge(video(0.99, *[0.1] * 19), few)
    assert crowd.verdict is Verdict.INCONCLUSIVE
    assert crowd.threshold is None
    assert "too few" in crowd.reason


def test_weights_that_prove_nothing_give_only_inconclusive():
    for unusable in (Thresholds.from_json(None), thresholds(reason="the interval includes 0.5")):
        for score in (0.0, 0.5, 1.0):
            judgement = judge(video(score), unusable)
            assert judgement.verdict is Verdict.INCONCLUSIVE
            assert unusable.reason in judgement.reason
            assert f"{score:.3f}" in judgement.reason


def test_what_failed_is_not_assessable_and_partial_media_are_judged():
    for status in set(Status) - {Status.OK, Status.PARTIAL}:
        judgement = judge(video(0.99), thresholds(), status, "the reason")
        assert judgement == (Verdict.NOT_ASSESSABLE, "the reason", None, None)
    partial = judge(video(0.99), thresholds(), Status.PARTIAL, "57 of 100 frames")
    assert partial.verdict is Verdict.LIKELY_MANIPULATED
    assert "only part of the file" in partial.reason
    assert "57 of 100 frames" in partial.reason


def test_faces_seen_too_briefly_are_not_assessable_with_the_counts():
    tracks = score_tracks([0, 0, 1], [0, 1, 5], [1.0, 1.0, 1.0], "m", RULE, 32)
    judgement = judge(video_score(tracks, RULE, 32), thresholds())
    assert judgement.verdict is Verdict.NOT_ASSESSABLE
    assert "2 frames of the 32 looked at" in judgement.reason
    assert "needs 3" in judgement.reason


def test_an_image_is_judged_by_its_one_face():
    tracks = score_tracks([0], [0.0], [0.97], "m", RULE, 1)
    judgement = judge(video_score(tracks, RULE, 1), thresholds())
    assert judgement.verdict is Verdict.LIKELY_MANIPULATED
    assert judgement.reason.startswith("The face scored 0.970, above")


def test_of_whole_frames_the_reason_names_no_face():
    rule = Rule(whole=True)
    image = video_score(score_tracks([0], [0.0], [0.97], "m", rule, 1), rule, 1)
    assert judge(image, thresholds()).reason.startswith("The image scored 0.970, above")
    clip = video_score(score_tracks([0] * 3, [0.0, 1.0, 2.0], [0.97] * 3, "m", rule, 3), rule, 3)
    assert judge(clip, thresholds()).reason.startswith("The video (0.0 s to 2.0 s) scored 0.970, above")


def test_close_numbers_are_printed_with_the_digits_that_tell_them_apart():
    close = thresholds(real_tail=tuple([0.99999] * 20))
    assert "0.999995, above the threshold 0.999990" in judge(video(0.999995), close).reason


@given(st.floats(0, 1), st.lists(st.floats(0, 1), max_size=6), st.integers(4, 200))
def test_more_tracks_never_make_a_verdict_worse_and_nothing_is_called_authentic(score, others, real):
    order = [Verdict.NO_MANIPULATION_FOUND, Verdict.INCONCLUSIVE, Verdict.LIKELY_MANIPULATED]
    quieter = [min(score, other) for other in others]
    alone, crowd = (judge(video(*scores), thresholds(real)) for scores in ([score], [score, *quieter]))
    assert order.index(crowd.verdict) <= order.index(alone.verdict)
    for word, judgement in itertools.product(("authentic", "genuine"), (alone, crowd)):
        assert word not in judgement.reason.lower()
