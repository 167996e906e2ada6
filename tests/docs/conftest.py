"""The stage of the examples, made once a session and copied for each page."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_stage import set_stage

from ffpipe.pipeline import engine


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return set_stage(tmp_path_factory.mktemp("stage") / "home")


@pytest.fixture
def home(stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the stage, which is the current folder; nothing of the user's own settings counts in it."""
    copy = shutil.copytree(stage, tmp_path / "home")
    monkeypatch.chdir(copy)
    monkeypatch.delenv("FFPIPE_WORKSPACE", raising=False)
    return copy


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Callable[..., engine.Engine]:
    """Have jobs work in this process, where nobody said how many workers there are: starting one takes seconds."""

    def make(name: str, address: str, workers: int | None, *rest: object) -> engine.Engine:
        return engine.create_engine(name, address, 0 if workers is None else workers, *rest)

    monkeypatch.setattr("ffpipe.pipeline.driver.create_engine", make)
    return make
