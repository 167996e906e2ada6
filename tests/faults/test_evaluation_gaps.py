"""A full disk, and a kill, in front of every step of an evaluation: it goes on, and is one opening of its split."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from file_steps import full_at, killed_at, steps_of
from tiny_jobs import judge

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.evaluation.openings import read_openings
from ffpipe.pipeline.workspace import Workspace

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots are written as the other files are, and take a second each time."""
    monkeypatch.setattr("ffpipe.pipeline.evaluation.files.evaluation_plots", lambda *_: {})


def copied(made: Path, home: Path) -> Path:
    shutil.copytree(made, home / "ws")
    return home


def finished(home: Path) -> list[Path]:
    return list(Workspace(home / "ws").newest_model().glob("evaluations/*/evaluation.json"))


def assert_finished(home: Path, found: Any, expected: Any) -> None:
    run = Workspace(home / "ws").newest_model()
    assert found.rows == expected.rows
    assert [opening["opening"] for opening in read_openings(run)] == [1]
    assert finished(home) == [found.directory / "evaluation.json"]
    assert not list(found.directory.rglob(".*.tmp"))
    assert not (found.directory / "parts").exists()
    scores = pd.read_parquet(found.directory / "scores.parquet")
    pd.testing.assert_frame_equal(scores, pd.read_parquet(expected.directory / "scores.parquet"))


@pytest.mark.parametrize("fault", ["full", "killed"])
def test_every_step_of_an_evaluation(made: Path, tmp_path: Path, fault: str) -> None:
    whole = judge(copied(made, tmp_path / "whole"))
    steps = steps_of(lambda: judge(copied(made, tmp_path / "counted")))
    assert steps > 20
    for step in range(steps):
        home = copied(made, tmp_path / str(step))
        if fault == "killed":
            assert killed_at(step, lambda home=home: judge(home))
        else:
            try:
                full_at(step, lambda home=home: judge(home))
                continue  # only a temporary file could not be deleted
            except StorageError as error:
                assert "No space left on device" in error.message
                assert str(home) in error.message
        if finished(home):
            continue  # all that was left is to clear away, or to log it
        assert_finished(home, judge(home), whole)
