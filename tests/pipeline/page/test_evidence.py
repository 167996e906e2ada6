"""Evidence of one medium: its own rows, the faces that were kept, maps where the model has them, and why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from names import report_row
from scored_media import MEDIUM, committed, crop, row_of, scores_of, sida, tracks_of
from small_weights import make_linear_weights, make_tiny_weights

from ffpipe.manifests.records import Status, Verdict
from ffpipe.manifests.schemas import to_table
from ffpipe.pipeline.page.evidence import SHOWN_TRACKS, EvidenceSource, chosen_faces
from ffpipe.pipeline.tables import with_provenance
from ffpipe.pipeline.weights import Weights

OTHER = "b" * 32
SCORES = scores_of(0, {0: 0.2, 1: 0.9, 2: 0.5, 3: 0.7, 4: 0.1, 5: 0.6})


def tables_of(scores, model_id="m"):
    rows = [
        replace(row_of(tracks_of(scores, 10), scores, 10), model_id=model_id),
        report_row(
            b"other.mp4", media_id=OTHER, score=None, status=Status.MISSING, verdict=Verdict.NOT_ASSESSABLE
        ),
        replace(row_of(tracks_of(scores, 10), scores, 10), path="copy.mp4", path_bytes=b"copy.mp4"),
    ]
    return {
        "report": with_provenance(to_table("report", rows), {"id": "abc", "configuration": {"whole": False}}),
        "tracks": to_table("tracks", tracks_of(scores, 10)),
        "scores": to_table("scores", scores),
    }


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return committed(tmp_path_factory.mktemp("run"), SCORES, SCORES)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Weights.load(make_tiny_weights(tmp_path_factory.mktemp("weights")))


def test_of_a_track_the_highest_and_the_lowest_scores_are_chosen() -> None:
    chosen = chosen_faces(tracks_of(SCORES, 10), SCORES)
    assert [(score.score, high) for score, high in chosen[0]] == [
        (0.9, True),
        (0.7, True),
        (0.6, True),
        (0.1, False),
    ]
    few = scores_of(0, {0: 0.2, 1: 0.9})
    assert [(score.score, high) for score, high in chosen_faces(tracks_of(few, 10), few)[0]] == [
        (0.9, True),
        (0.2, True),
    ]


def test_a_crowd_shows_the_tracks_that_count_and_score_highest() -> None:
    scores = [s for t in range(10) for s in scores_of(t, {k: (t + 1) / 20 for k in range(3)})]
    scores += scores_of(10, {0: 0.99})  # too brief
    assert list(chosen_faces(tracks_of(scores, 10), scores)) == [9, 8, 7, 6, 5, 4]
    assert SHOWN_TRACKS == 6


def test_the_kept_faces_come_with_crop_and_statistics_as_they_were_stored(shards) -> None:
    found = EvidenceSource(tables_of(SCORES), shards).of(MEDIUM)
    views = found.faces[0]
    assert [view.score.score for view in views] == pytest.approx([0.9, 0.7, 0.6, 0.1])
    for view, place in zip(views, (1, 3, 5, 4), strict=True):
        assert np.array_equal(view.crop, crop(place))
        assert np.array_equal(view.sida, sida(place))
        assert view.heat is None
    assert found.no_faces is None
    assert "not at hand" in found.no_maps
    assert [row.path for row in found.copies] == ["copy.mp4"]
    assert found.provenance["id"] == "abc"
    assert not found.whole
    assert found.face_side == 32


def test_a_model_with_maps_gives_one_for_each_face_and_one_without_says_so(
    shards, tiny, tmp_path: Path
) -> None:
    found = EvidenceSource(tables_of(SCORES, tiny.model_id), shards, tiny).of(MEDIUM)
    assert [view.heat.shape for view in found.faces[0]] == [(32, 32)] * 4
    assert all(view.heat.min() >= 0 and view.heat.max() <= 1 for view in found.faces[0])
    assert found.no_maps is None
    assert found.model.thresholds.n_real == 99
    linear = Weights.load(make_linear_weights(tmp_path))
    found = EvidenceSource(tables_of(SCORES, linear.model_id), shards, linear).of(MEDIUM)
    assert "has no map" in found.no_maps
    assert len(found.faces[0]) == 4


def test_weights_other_than_those_that_scored_it_are_not_used(shards, tiny) -> None:
    found = EvidenceSource(tables_of(SCORES), shards, tiny).of(MEDIUM)
    assert found.model is None
    assert all(view.heat is None for view in found.faces[0])


def test_what_cannot_be_shown_is_said(tmp_path: Path) -> None:
    assert "not at hand" in EvidenceSource(tables_of(SCORES)).of(MEDIUM).no_faces
    nothing = committed(tmp_path / "none", SCORES, [])
    assert "kept no faces" in EvidenceSource(tables_of(SCORES), nothing).of(MEDIUM).no_faces
    purged = committed(tmp_path / "gone", SCORES, SCORES)
    for part in (tmp_path / "gone" / "faces").glob("*.parquet"):
        part.unlink()
    found = EvidenceSource(tables_of(SCORES), purged).of(MEDIUM)
    assert "cannot be read" in found.no_faces
    assert found.faces == {}
    next((tmp_path / "none" / "report" / "_commits").glob("*.json")).write_text("{}")
    assert "cannot be read" in EvidenceSource(tables_of(SCORES), nothing).of(MEDIUM).no_faces


def test_a_failed_input_has_its_row_alone_and_an_unknown_one_is_an_error(shards) -> None:
    found = EvidenceSource(tables_of(SCORES), shards).of(OTHER)
    assert (found.tracks, found.scores, found.faces, found.no_faces, found.copies) == ((), (), {}, None, ())
    with pytest.raises(KeyError):
        EvidenceSource(tables_of(SCORES), shards).of("c" * 32)
    alone = EvidenceSource({"report": tables_of(SCORES)["report"]}).of(MEDIUM)
    assert alone.scores == ()
