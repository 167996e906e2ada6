"""Concerns: each at its floor and past it, what they withhold of which verdict, and their sentences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from domain_faces import reference
from training_faces import media_record

from ffpipe.manifests.records import Concern, Label, Status, TrackRecord, Verdict
from ffpipe.stages.aggregate import Rule, Thresholds, VideoScore, judge, score_tracks, video_score
from ffpipe.stages.domain import Spread, spread_of
from ffpipe.stages.quality import (
    FEWEST_FRAMES,
    OPEN,
    SMALLEST_SIDE,
    WITHHOLDS,
    Measured,
    QualityGate,
    bits_of,
    measured,
)

BARS = Thresholds(
    n_real=99, n_fake=99, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95,
    real_tail=tuple(1 - k / 100 for k in range(1, 21)),
)  # fmt: skip
FINE = Measured(side=200, sharpness=90, frames=32, looked_at=32, bits=3, distance=1.0)


def spread(floor: float) -> Spread:
    return spread_of([floor] * 99, [str(k) for k in range(99)])


REFERENCE = replace(
    reference(),
    spreads={"crop_side": spread(100), "sharpness": spread(20), "bits": spread(0.5), "frames": spread(6)},
)
WITH, WITHOUT = QualityGate(REFERENCE), QualityGate()


def concerns(gate: QualityGate, **changes) -> list[Concern]:
    return [finding.concern for finding in gate.findings(replace(FINE, **changes))]


@pytest.mark.parametrize(
    ("measure", "fine", "past", "concern"),
    [
        ("side", 100, 99.5, Concern.SMALL_FACE),
        ("sharpness", 20, 19.9, Concern.BLURRED),
        ("frames", 6, 5, Concern.FEW_FRAMES),
        ("bits", 0.5, 0.49, Concern.LOW_BITRATE),
        ("distance", REFERENCE.limit, REFERENCE.limit + 1e-6, Concern.OUT_OF_DOMAIN),
        ("partial", False, True, Concern.PARTLY_DECODED),
    ],
)
def test_each_concern_at_its_floor_and_past_it(measure: str, fine, past, concern: Concern) -> None:
    assert concerns(WITH, **{measure: fine}) == []
    assert concerns(WITH, **{measure: past}) == [concern]
    if measure != "partial":
        assert concerns(WITH, **{measure: None}) == []


def test_without_a_reference_only_what_needs_none_is_looked_at() -> None:
    assert concerns(WITHOUT, sharpness=0.01, bits=0.001, distance=99) == []
    assert concerns(WITHOUT, side=SMALLEST_SIDE) == []
    assert concerns(WITHOUT, side=SMALLEST_SIDE - 1, partial=True) == [
        Concern.SMALL_FACE,
        Concern.PARTLY_DECODED,
    ]
    assert concerns(WITHOUT, frames=FEWEST_FRAMES - 1) == [Concern.FEW_FRAMES]
    assert concerns(WITHOUT, frames=1, looked_at=1) == [], "an image has but one frame"
    assert concerns(WITH, frames=1, looked_at=1) == [Concern.FEW_FRAMES], "the bars were set with six or more"


def video(score: float) -> VideoScore:
    tracks = score_tracks([0] * 9, list(range(9)), [score] * 9, "m", Rule(), 9)
    return video_score(tracks, Rule(), 9)


def held(score: float, gate: QualityGate = WITH, status: Status = Status.OK, **changes):
    findings = gate.findings(replace(FINE, partial=status is Status.PARTIAL, **changes))
    return judge(
        video(score), BARS, status, "57 of 100 frames" if status is Status.PARTIAL else None, findings, gate
    )


@pytest.mark.parametrize("changes", [{"side": 72}, {"sharpness": 3}, {"distance": 9.0}])
@pytest.mark.parametrize(("score", "verdict"), [(0.99, "above the threshold"), (0.1, "where doubt begins")])
def test_unlike_training_withholds_either_verdict_and_says_both_reasons(
    changes, score: float, verdict: str
) -> None:
    judged = held(score, **changes)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert verdict in judged.reason
    assert ", but no verdict rests on that: what was scored is " in judged.reason
    assert (judged.threshold, judged.inconclusive_from) == pytest.approx((0.95, 0.8)), (
        "the bars are still told"
    )


def test_the_sentences_have_the_numbers() -> None:
    assert "small (72 pixels wide, nearly all training media have 100 or more)" in held(0.1, side=72).reason
    assert (
        "blurred (sharpness 3.000, nearly all training media have 20.000 or more)"
        in held(0.1, sharpness=3).reason
    )
    both = held(0.1, side=72, distance=9.0).reason
    assert (
        f" and what was scored is unlike the training data (distance 9.000, the limit is {REFERENCE.limit:.3f})"
        in both
    )
    small = held(0.1, WITHOUT, side=40).reason
    assert "small (40 pixels wide, the statistics need 64)" in small
    words = [each.words for each in WITH.findings(replace(FINE, frames=1, bits=0.1))]
    assert words == [
        "the score rests on 1 frame, fewer than 6",
        "the file has 0.100 bits per pixel and second, nearly all training media 0.500 or more",
    ]


def test_a_part_withholds_that_nothing_was_found_but_not_what_was_found() -> None:
    quiet, loud = (held(score, status=Status.PARTIAL) for score in (0.1, 0.99))
    assert quiet.verdict is Verdict.INCONCLUSIVE
    assert "what could not be examined may be manipulated; only part of the file" in quiet.reason
    assert loud.verdict is Verdict.LIKELY_MANIPULATED


def test_what_is_only_told_changes_no_verdict_and_an_open_gate_none_at_all() -> None:
    for changes in ({"frames": 2}, {"bits": 0.01}):
        assert held(0.99, **changes) == held(0.99)
    for gate in (replace(WITH, closed=False), OPEN):
        assert held(0.1, gate, side=9, distance=99.0) == held(0.1)
    assert WITH.findings(replace(FINE, side=9)) == replace(WITH, closed=False).findings(replace(FINE, side=9))
    assert held(0.9, side=9) == held(0.9), "what is inconclusive by its score stays so, for that reason"
    assert set(WITHHOLDS) == set(Concern)


def test_a_medium_is_measured_by_the_medians_of_its_faces() -> None:
    media = media_record(
        1, "g", Label.REAL, None, "d", 5, status=Status.PARTIAL, bit_rate=640_000, width=640, height=500
    )
    found = measured(media, np.array([10.0, 90, 20]), np.array([1.0, 5, 2]), np.array([0.5, 9, 0.7]))
    assert found == Measured(20, 2, 3, 5, 2.0, partial=True, distance=0.7)
    assert bits_of(None, 3, 3) is bits_of(9, 0, 3) is bits_of(9, 3, None) is None
    assert isinstance(video(0.5).worst_track, TrackRecord)
