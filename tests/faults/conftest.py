"""A small tree of clips and weights that the fault tests share; no test changes them, each works on a copy."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from media import make_face_clip
from small_weights import LOW_BARS, make_weights
from tiny_jobs import learn
from training_faces import Tiny, write_dataset
from whole_jobs import extract_job

from ffpipe.manifests.records import Label, Split
from ffpipe.models import registry


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip of one face, 0.3 s."""
    return make_face_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=0.3, seed=1).path


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of two faces, 0.3 s."""
    place = tmp_path_factory.mktemp("other") / "other.mp4"
    return make_face_clip(place, seconds=0.3, seed=2, faces=2, size=(480, 240)).path


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight clips of one face, 1.2 s, in two folders."""
    root = tmp_path_factory.mktemp("source") / "set"
    for number in range(8):
        make_face_clip(root / ("real", "fake")[number % 2] / f"{number}.mp4", seconds=1.2, seed=number)
    return root


@pytest.fixture(scope="session")
def uninterrupted(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """What extract makes of `source`, eight faces of each clip."""
    whole = extract_job().finish(source, tmp_path_factory.mktemp("whole"))
    assert (len(whole["media"]), len(whole["faces"])) == (8, 64)
    return whole


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    return make_weights(tmp_path_factory.mktemp("weights") / "model", LOW_BARS)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a small dataset of faces and a run that learned from it; its detector is `tiny`."""
    root = tmp_path_factory.mktemp("made") / "ws"
    kinds = [(Split.TRAIN, 4), (Split.VAL, 4), (Split.TEST, 4)]
    clips = [(f"{part}{i}", Label(i % 2), part) for part, count in kinds for i in range(count)]
    write_dataset(root / "datasets/made", clips, frames=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        learn(root.parent)
    return root


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._DETECTORS, "tiny", Tiny)
