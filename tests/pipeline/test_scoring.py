"""A report row's concerns and distance: of the faces that its score rests on, null where nothing was scored."""

from __future__ import annotations

import numpy as np
import pytest
from calibrations import made_calibration
from domain_faces import reference, sida
from training_faces import media_record

from ffpipe.manifests.records import Concern, FaceRecord, Label, ReportRow, Status, Verdict
from ffpipe.pipeline.scoring import Stamp, report_row
from ffpipe.stages.aggregate import Rule, Thresholds, score_tracks
from ffpipe.stages.calibration import Reading
from ffpipe.stages.quality import OPEN, QualityGate

BARS = Thresholds(
    n_real=99, n_fake=99, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95, real_tail=tuple([0.5] * 20)
)
STAMP = Stamp("m", "p", crops_accepted=False)


def face(track: int, frame: int, vector: np.ndarray, side: int = 100) -> FaceRecord:
    return FaceRecord(
        face_id=f"{track}-{frame}", media_id="m", track_id=track, frame_index=frame, pts_seconds=float(frame),
        box=(0, 0, 9, 9), crop_box=(0, 0, side, side), detector="made", confidence=1.0, landmarks=None,
        sharpness=90.0, crop_side=side, stored_side=side, crop=b"", sida=vector,
    )  # fmt: skip


def row(
    tracks: dict[int, tuple[float, np.ndarray]],
    gate: QualityGate,
    status: Status = Status.OK,
    reading: Reading = Reading(),  # noqa: B008
) -> ReportRow:
    """Tracks of (score, D of each frame); 100 pixels wide the first, 40 the others."""
    faces = [
        face(track, frame, vector, 40 if track else 100)
        for track, (_, vectors) in tracks.items()
        for frame, vector in enumerate(vectors)
    ]
    scores = [score for score, vectors in tracks.values() for _ in vectors]
    frames = max((len(vectors) for _, vectors in tracks.values()), default=0)
    media = media_record(1, "g", Label.REAL, None, "d", frames, status=status)
    found = score_tracks(
        [f.track_id for f in faces], [f.pts_seconds for f in faces], scores, "m", Rule(), frames
    )
    return report_row(media, found, faces, BARS, Rule(), STAMP, gate, reading)


def test_concerns_and_distance_are_of_the_track_that_the_score_rests_on() -> None:
    gate, ordinary, odd = QualityGate(reference()), sida(40, 2)[:9], sida(40, 2, "noised")[:9]
    fine = row({0: (0.9, ordinary), 1: (0.2, odd)}, gate)
    assert (fine.verdict, fine.concerns) == (Verdict.LIKELY_MANIPULATED, ())
    assert fine.domain_distance == reference().medium_distance(ordinary)
    outside = row({0: (0.2, ordinary), 1: (0.9, odd)}, gate)
    assert outside.verdict is Verdict.INCONCLUSIVE
    assert outside.concerns == (Concern.SMALL_FACE.value, Concern.OUT_OF_DOMAIN.value)
    assert outside.domain_distance == reference().medium_distance(odd)
    assert f"distance {outside.domain_distance:.3f}, the limit is {reference().limit:.3f}" in outside.reason
    told = row({0: (0.2, ordinary), 1: (0.9, odd)}, QualityGate(reference(), closed=False))
    assert (told.verdict, told.concerns) == (Verdict.LIKELY_MANIPULATED, outside.concerns)


def test_no_likelihood_ratio_is_given_where_the_gate_withholds_both_verdicts() -> None:
    gate, ordinary, odd = QualityGate(reference()), sida(40, 2)[:9], sida(40, 2, "noised")[:9]
    reading = Reading(made_calibration(), prior=0.1)
    inside = row({0: (0.9, ordinary)}, gate, reading=reading)
    assert inside.log10_likelihood_ratio == pytest.approx(
        made_calibration().log10_likelihood_ratio(inside.score)
    )
    outside = row({0: (0.9, odd)}, gate, reading=reading)
    assert outside.score == inside.score and Concern.OUT_OF_DOMAIN.value in outside.concerns
    assert (outside.log10_likelihood_ratio, outside.probability, outside.posterior) == (None, None, None)
    opened = row({0: (0.9, odd)}, QualityGate(reference(), closed=False), reading=reading)
    assert opened.log10_likelihood_ratio == inside.log10_likelihood_ratio
    partly = row({0: (0.9, ordinary)}, gate, Status.PARTIAL, reading)
    assert partly.log10_likelihood_ratio == inside.log10_likelihood_ratio


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_one_face_is_enough_for_a_picture(score: float) -> None:
    inside = row({0: (score, sida(40, 2)[:1])}, QualityGate(reference()))
    assert inside.verdict is (Verdict.LIKELY_MANIPULATED if score > 0.5 else Verdict.NO_MANIPULATION_FOUND)
    assert inside.concerns == ()
    moved = row({0: (score, sida(40, 2, "other codec")[:1])}, QualityGate(reference()))
    assert moved.verdict is Verdict.INCONCLUSIVE
    assert moved.reason.startswith("The face scored ")


def test_without_a_reference_there_is_no_distance_and_without_a_score_nothing() -> None:
    bare = row({1: (0.9, sida(40, 2)[:9])}, QualityGate())
    assert (bare.domain_distance, bare.concerns) == (None, (Concern.SMALL_FACE.value,))
    failed = row({}, OPEN, Status.UNREADABLE)
    assert (failed.verdict, failed.concerns, failed.domain_distance) == (Verdict.NOT_ASSESSABLE, None, None)
