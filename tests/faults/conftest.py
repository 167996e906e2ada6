"""A small tree of clips and weights that the fault tests share; no test changes them, each works on a copy."""

from __future__ import annotations

from pathlib import Path

import pytest
from media import make_face_clip
from scoring_weights import LOW_BARS, make_weights


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
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model's folder."""
    return make_weights(tmp_path_factory.mktemp("weights") / "model", LOW_BARS)
