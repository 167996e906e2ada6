"""Which media an evaluation is of: what cannot be measured is told, and what opens the test split is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.media import ChosenMedia, choose_split
from ffpipe.pipeline.stored_media import labelled_media
from ffpipe.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    clips = [
        (f"{part}{number}", Label(number % 2), part)
        for part in (Split.VAL, Split.TEST)
        for number in range(4)
    ]
    write_dataset(
        tmp_path / "datasets" / "made",
        [*clips, ("a", None, Split.TEST), ("b", None, Split.VAL), ("c", None, None)],
        2,
    )
    return Workspace(tmp_path)


def chosen(workspace: Workspace, split: str, splits: Path | None = None) -> ChosenMedia:
    return choose_split(workspace, EvaluateConfig(data="made", split=split, splits=splits), split)


@pytest.mark.parametrize(("split", "unlabelled"), [("test", "1 medium"), ("all", "3 media")])
def test_media_without_a_label_are_told(workspace: Workspace, split: str, unlabelled: str) -> None:
    assert chosen(workspace, split).notes == [f"{unlabelled} without a label cannot be measured"]


def test_test_media_under_another_name_open_the_test_split(workspace: Workspace, tmp_path: Path) -> None:
    assert chosen(workspace, "test").opens_test("test")
    assert chosen(workspace, "all").opens_test("all")
    assert not chosen(workspace, "val").opens_test("val")
    stored = labelled_media(workspace.dataset("made"))
    for part, opens in ((Split.TEST, True), (Split.VAL, False)):
        lines = [f"{m.path},val\n" for m in stored if m.split is part]
        renamed = tmp_path / f"{part}.csv"
        renamed.write_text("path,split\n" + "".join(lines))
        assert chosen(workspace, "val", renamed).opens_test("val") is opens
