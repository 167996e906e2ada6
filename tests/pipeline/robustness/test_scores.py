"""Faces are scored as treated, with statistics of what is shown, whatever the batch."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from training_faces import MadeFaces

from ffpipe.manifests.errors import WeightsError
from ffpipe.pipeline.robustness.scores import Faces, score_treated
from ffpipe.stages.statistics import face_sida


@dataclass
class Recorder:
    """A scorer whose logit is a face's mean grey level; it keeps the D that it was given."""

    batch_size: int = 5
    needs_sida: bool = True

    def __post_init__(self):
        self.given = []

    def score(self, crops, sida):
        self.given.extend(sida)
        return np.array([crop.mean() for crop in crops], np.float32)


@pytest.fixture
def faces() -> Faces:
    source = MadeFaces(media=3, frames=4)
    return Faces.of(source, np.arange(len(source.table)), None, None, 0)


def darker(crop, row):
    return crop // 2


def test_each_treatment_is_scored_face_by_face_in_the_order_of_the_rows(faces):
    logits = score_treated(faces, {"stored": None, "darker": darker}, Recorder())
    crops = [face.crop for face in faces.source.fetch(faces.rows.tolist())]
    np.testing.assert_allclose(logits["stored"], [crop.mean() for crop in crops], rtol=1e-6)
    np.testing.assert_allclose(logits["darker"], [(crop // 2).mean() for crop in crops], rtol=1e-6)
    wider = score_treated(faces, {"darker": darker}, Recorder(batch_size=64))
    np.testing.assert_array_equal(wider["darker"], logits["darker"])


def test_statistics_are_of_the_treated_crop_and_stored_ones_of_the_untouched(faces):
    scorer = Recorder(batch_size=64)
    score_treated(faces, {"stored": None, "darker": darker}, scorer)
    found = faces.source.fetch(faces.rows.tolist())
    np.testing.assert_array_equal(scorer.given[0], found[0].sida)
    np.testing.assert_array_equal(scorer.given[len(found)], face_sida([found[0].crop // 2])[0])


def test_a_network_without_statistics_gets_none_computed(faces, monkeypatch):
    monkeypatch.setattr("ffpipe.pipeline.robustness.scores.face_sida", lambda crops: 1 / 0)
    score_treated(faces, {"darker": darker}, Recorder(needs_sida=False))


def test_the_largest_face_of_a_frame_counts_and_tracks_need_no_more_frames_than_are_taken():
    source = MadeFaces(media=2, frames=4)
    source.table = replace(source.table, frame=source.table.frame // 2, side=np.arange(16, dtype=np.int32))
    faces = Faces.of(source, np.arange(16), None, None, 0)
    assert faces.rows.tolist() == list(range(1, 16, 2)), "two faces a frame, the later one larger"
    one = Faces.of(source, np.arange(16), 1, None, 0)
    assert one.table.looked == (1,) * 4 and len(one.rows) == 4
    scored = one.scored(np.zeros(4, np.float32))
    assert scored.unscored == 0 and scored.score.tolist() == [0.5] * 4
    assert len(Faces.of(source, np.arange(16), None, 4, 0).rows) == 4


def test_a_score_that_is_no_number_names_the_treatment(faces):
    class Broken(Recorder):
        def score(self, crops, sida):
            raise FloatingPointError("no number")

    with pytest.raises(WeightsError, match="treated by darker"):
        score_treated(faces, {"darker": darker}, Broken())
