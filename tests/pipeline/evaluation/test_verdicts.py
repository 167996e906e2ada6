"""Every medium keeps its row: fakes of one name apart, copies together, failures with their reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_faces import MadeFaces, media_record

from ffpipe.manifests.records import Label, MediaRecord, Status, Verdict
from ffpipe.pipeline.evaluation.scores import Scores
from ffpipe.pipeline.evaluation.verdicts import media_table, outcomes, verdict_counts, without_score
from ffpipe.pipeline.validation import gather_videos
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.evaluation import Scored, comparisons

#: No more than one of nineteen reals is above 0.6, no more than a fifth above 0.5.
BARS = Thresholds(
    n_real=19, n_fake=19, real_groups=19, auc=0.9, auc_low=0.8, auc_high=1.0, real_tail=(0.6, 0.55, 0.5, 0.5)
)
METHODS = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")


def scored(logits: dict[int, float]) -> Scores:
    """Media of six frames each, all with the same logit."""
    faces = MadeFaces(media=4).table
    rows = np.flatnonzero(np.isin(faces.medium, list(logits)))
    values = np.array([logits[int(medium)] for medium in faces.medium[rows]], np.float32)
    videos = gather_videos(faces, rows, values)
    level = Scored(
        np.array([v.label for v in videos], np.int8),
        np.array([v.score for v in videos], np.float64),
        [v.media_id for v in videos],
        [v.group for v in videos],
        [float(v.label) for v in videos],
    )
    return Scores(faces, rows, values, np.ones(len(rows), bool), {"video": level}, 0, videos)


def fakes() -> list[MediaRecord]:
    """One real video and its four forgeries, each file called 000_003.mp4."""
    made = [media_record(0, "g0", Label.REAL, None, "FF++", 6)]
    for number, method in zip((1, 3, 5, 7), METHODS, strict=True):
        path = f"{method}/c23/videos/000_003.mp4"
        made.append(media_record(number, "g0", Label.FAKE, None, "FF++", 6, method=method, path=path))
    return made


def test_four_fakes_of_one_name_stay_four_videos() -> None:
    media, scores = fakes(), scored({0: -2.0, 1: 0.0, 3: 0.1, 5: 0.3, 7: 2.0})
    found = outcomes(scores, media, BARS)
    rows = media_table(media, found, scores.levels["video"]).to_pylist()
    assert [(row["method"], row["path"].rsplit("/", 1)[-1]) for row in rows[1:]] == [
        (method, "000_003.mp4") for method in METHODS
    ]
    assert len({row["media_id"] for row in rows}) == 5
    assert {row["method"]: row["score"] for row in rows[1:]} == pytest.approx(
        dict(zip(METHODS, 1 / (1 + np.exp(-np.array([0.0, 0.1, 0.3, 2.0]))), strict=True))
    )
    assert {name: len(ids) for name, ids in comparisons(media).items()} == dict.fromkeys(METHODS, 2)


def test_copies_of_a_file_are_one_row_a_method() -> None:
    media, scores = fakes(), scored({0: -2.0, 1: 0.0, 3: 0.1, 5: 0.3, 7: 2.0})
    copy = replace(media[1], path="elsewhere.mp4")
    claimed = replace(media[1], method="FaceSwap")
    found = outcomes(scores, [*media, copy, claimed], BARS)
    rows = media_table([*media, copy, claimed], found, scores.levels["video"]).to_pylist()
    assert len(rows) == 6, "the content belongs to two methods, and is a row in each"
    assert sum(row["media_id"] == media[1].media_id for row in rows) == 2


def test_abstentions_and_failures_are_counted() -> None:
    scores = scored({0: -2.0, 1: 0.3, 2: 0.0, 3: 2.0})
    known = [media_record(n, f"g{n}", Label(n % 2), None, "a", 6) for n in range(4)]
    empty = media_record(20, "g", Label.FAKE, None, "a", 0, status=Status.NO_FACE)
    cut = media_record(21, "g", Label.REAL, None, "a", 0, status=Status.UNREADABLE, reason="cut short")
    media = [*known, empty, cut]
    found = outcomes(scores, media, BARS)
    assert [found[m.media_id].verdict for m in media] == [
        Verdict.NO_MANIPULATION_FOUND,
        Verdict.INCONCLUSIVE,
        Verdict.NO_MANIPULATION_FOUND,
        Verdict.LIKELY_MANIPULATED,
        Verdict.NOT_ASSESSABLE,
        Verdict.NOT_ASSESSABLE,
    ]
    assert found[cut.media_id].reason == "cut short"
    assert without_score(found) == {empty.media_id, cut.media_id}
    assert verdict_counts(media, found) == {
        "real": {"no_manipulation_found": 2, "not_assessable": 1, "not_assessable: unreadable": 1},
        "fake": {
            "inconclusive": 1,
            "likely_manipulated": 1,
            "not_assessable": 1,
            "not_assessable: no_face": 1,
        },
    }
