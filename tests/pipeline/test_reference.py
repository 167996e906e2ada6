"""The reference of a run: which faces it rests on, which of validation its limit, and that it is the same again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_faces import SIDE, MadeFaces, media_record

from ffpipe.manifests.records import Label
from ffpipe.pipeline import reference as module
from ffpipe.pipeline.reference import face_distances, make_reference, worst_rows
from ffpipe.pipeline.reference_text import reference_lines
from ffpipe.pipeline.validation import gather_videos
from ffpipe.stages.reference_file import to_bytes

MODEL = "c" * 64


class Clips(MadeFaces):
    """Made-up faces with statistics of their own, and sharpness."""

    def __init__(self, media: int = 24, frames: int = 3) -> None:
        super().__init__(media, frames)
        random = np.random.default_rng(0)
        self.d = random.normal(size=(len(self.table), 2304)).astype(np.float32)
        self.table = replace(
            self.table,
            groups=tuple(self.table.media),
            sharpness=self.table.medium.astype(np.float32),
        )

    def sida(self, rows) -> np.ndarray:
        return self.d[list(rows)]


@pytest.fixture(scope="module")
def clips() -> Clips:
    return Clips()


def made(clips: Clips):
    table = clips.table
    train, held_out = np.flatnonzero(table.medium < 24), np.flatnonzero(table.medium >= 24)
    videos = gather_videos(table, held_out, np.zeros(len(held_out), np.float32))
    media = [
        media_record(k, "g", Label(k % 2), None, "d", 3, bit_rate=1000 * k, width=100, height=100)
        for k in range(48)
    ]
    return make_reference(clips, train, held_out, videos, media, MODEL), train, held_out, videos


def test_the_limit_is_of_validation_and_the_rest_of_training(clips: Clips) -> None:
    found, train, held_out, videos = made(clips)
    distances = face_distances(clips, found, held_out)
    of_media = [np.median([distances[row] for row in part]) for part in np.split(held_out, 24)]
    assert found.limit == max(of_media), "24 groups reach one in 25"
    assert found.faces == {"real": len(train) // 2, "fake": len(train) // 2}
    assert np.allclose(
        found.bands["real"].median, np.median(clips.d[train][clips.table.label[train] == 0], axis=0)
    )
    assert found.floor("crop_side") == SIDE
    assert found.floor("sharpness") == 0
    assert found.spreads["bits"].quantiles[3] == pytest.approx(1.2), "of training media that have a rate"
    assert found.floor("frames") == 3
    assert found.model_id == MODEL
    assert to_bytes(made(clips)[0]) == to_bytes(found)
    assert "out of domain" in " ".join(reference_lines(found))


def test_without_validation_nothing_is_out_of_domain_and_classes_may_be_absent(clips: Clips) -> None:
    real = np.flatnonzero((clips.table.medium < 24) & (clips.table.label == 0))
    found = make_reference(clips, real, real[:0], [], [], MODEL)
    assert (found.limit, set(found.bands), found.faces["fake"]) == (None, {"real"}, 0)
    assert "not validated" in " ".join(reference_lines(found))
    assert found.floor("bits") is None


def test_many_faces_are_thinned_evenly(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_FACES", 12)
    found, train, *_ = made(clips)
    assert found.faces == {"real": 12, "fake": 12}
    assert found.spreads["sharpness"].floor.count == 24, "what is cheap is of all media"


def test_a_score_rests_on_the_faces_of_the_worst_track_alone(clips: Clips) -> None:
    track = np.tile([0, 1, 1, 0, 1, 1], 24).astype(np.int32)
    table = replace(clips.table, track=track, looked=(1,) * 48)
    rows = np.arange(6)
    videos = gather_videos(table, rows, np.array([3, 0, 0, 0, 5, 4], np.float32))
    worst = worst_rows(table, rows, videos)
    assert {name: part.tolist() for name, part in worst.items()} == {
        table.media[0]: [0],
        table.media[1]: [4, 5],
    }
    assert worst_rows(table, rows[:0], []) == {}
