"""What is proposed after extraction is a command that would be taken."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import pytest
from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.next_step import after_extract, after_train
from ffpipe.pipeline.training_data import choose_media
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings


def clips(*parts: Split, labels: tuple[Label, ...] = tuple(Label)) -> list[tuple[str, Label, Split]]:
    return [(f"{part}{number}", label, part) for part in parts for number in range(2) for label in labels]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(tmp_path))
    return Workspace.find()


def write(workspace: Workspace, *parts: Split, name: str = "FF", **more) -> None:
    labels = more.pop("labels", tuple(Label))
    write_dataset(workspace.root / "datasets" / name, clips(*parts, labels=labels), 1, **more)


def test_one_dataset_of_one_quality_needs_no_option(workspace: Workspace) -> None:
    write(workspace, *Split, quality="c23")
    assert after_extract("FF", workspace) == "ffpipe train --model sfcl-hcmf"


def test_of_several_qualities_the_best_is_named(workspace: Workspace) -> None:
    for number, quality in enumerate(("c40", "c0", "c23")):
        write(workspace, *Split, quality=quality, first=100 * number)
    command = after_extract("FF", workspace)
    assert command == "ffpipe train --model sfcl-hcmf --quality c0"
    choose_media(workspace, (), shlex.split(command)[-1], (), 0)


def test_a_quality_without_both_classes_to_train_on_is_passed_over(workspace: Workspace) -> None:
    write(workspace, Split.TRAIN, quality="c0", labels=(Label.REAL,))
    write(workspace, Split.TEST, quality="c0", labels=(Label.FAKE,), first=50)
    write(workspace, Split.TRAIN, quality="c40", first=100)
    assert after_extract("FF", workspace) == "ffpipe train --model sfcl-hcmf --quality c40"


def test_beside_another_labelled_dataset_and_in_another_workspace_both_are_named(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(workspace, *Split)
    write(workspace, *Split, name="CDF", first=100)
    assert after_extract("FF", workspace) == "ffpipe train --model sfcl-hcmf --data FF"
    monkeypatch.delenv("FFPIPE_WORKSPACE")
    assert (
        after_extract("CDF", workspace)
        == f"ffpipe train --model sfcl-hcmf --data CDF --workspace {workspace.root}"
    )


def test_whole_images_get_the_detector_that_is_for_them(workspace: Workspace) -> None:
    write(workspace, *Split)
    job = workspace.root / "datasets" / "FF" / "job.json"
    whole = {"crop": CropSettings(kind="whole").fingerprint(), "configuration": {"whole": True}}
    job.write_text(json.dumps({**json.loads(job.read_text()), **whole}))
    assert after_extract("FF", workspace) == "ffpipe train --model fssnet"


def test_what_is_for_testing_only_is_measured_on(workspace: Workspace) -> None:
    write(workspace, Split.TEST)
    assert after_extract("FF", workspace) == "ffpipe evaluate RUN --data FF"
    assert EvaluateConfig(data="FF").split == Split.TEST
    write(workspace, Split.TEST, name="both", quality="c40")
    write(workspace, Split.TEST, name="both", quality="c23", first=100)
    assert after_extract("both", workspace) == "ffpipe evaluate RUN --data both --quality c23"


def test_one_class_or_no_labels_lead_nowhere(workspace: Workspace) -> None:
    write(workspace, *Split, labels=(Label.REAL,))
    assert after_extract("FF", workspace) is None
    write_dataset(workspace.root / "datasets" / "loose", [("a", None, None)], 1)
    assert after_extract("loose", workspace) is None


def test_both_classes_are_not_enough_where_one_only_validates(workspace: Workspace) -> None:
    write(workspace, Split.TRAIN, labels=(Label.FAKE,))
    write(workspace, Split.VAL, labels=(Label.REAL,), first=50)
    assert after_extract("FF", workspace) is None


def test_after_training_the_model_is_scored_with_where_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    assert after_train(workspace) == "ffpipe score videos/ --out report.parquet"
    elsewhere = Workspace(tmp_path / "an other")
    assert (
        after_train(elsewhere) == f"ffpipe score videos/ --out report.parquet --workspace '{elsewhere.root}'"
    )


def test_after_training_on_crops_crops_are_scored(workspace: Workspace) -> None:
    for number, kind in enumerate(("crop", "face")):
        run = workspace.model_run("tiny", f"quick-{number}")
        run.mkdir(parents=True)
        for name in ("model.safetensors", "metrics.json", "MODEL_CARD.md", "hashes.json"):
            (run / name).write_text("{}")
        (run / "config.json").write_text(json.dumps({"crop": asdict(CropSettings(kind=kind))}))
        expected = {"crop": "ffpipe score crops/ --cropped --out report.parquet"}
        assert after_train(workspace) == expected.get(kind, "ffpipe score videos/ --out report.parquet")
