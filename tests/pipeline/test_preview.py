from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from training_faces import write_dataset

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline import cli
from ffpipe.pipeline import preview as job
from ffpipe.pipeline.config import PreviewConfig, TrainConfig
from ffpipe.pipeline.contact_sheet import draw_sheet
from ffpipe.pipeline.preview import preview
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace

SETTINGS = {"model": "meso4", "recipe": "quick", "options": {"input_size": 64}}


@pytest.fixture
def workspace(tmp_path):
    clips = [(f"g{i}", Label(i % 2), Split.TRAIN) for i in range(4)]
    write_dataset(
        tmp_path / "datasets" / "made", [*clips, ("v", Label.REAL, Split.VAL), ("v", Label.FAKE, Split.VAL)]
    )
    return Workspace(tmp_path)


@pytest.fixture
def rows(monkeypatch):
    """What the sheets show."""
    seen = []
    monkeypatch.setattr(job, "draw_sheet", lambda title, rows: seen.append(rows) or draw_sheet(title, rows))
    return seen


def _preview(workspace, name="sheet.png", **settings):
    config = PreviewConfig.build({**SETTINGS, **settings})
    return preview(config, workspace, workspace.root / name, lambda line: None)


def test_a_sheet_shows_stored_faces_what_blends_are_made_of_and_draws(workspace, rows):
    sheet = _preview(workspace, pseudo_fakes="selfblend", faces=3, draws=2)
    assert Image.open(sheet.path).format == "PNG"
    (shown,) = rows
    assert len(shown) == len(sheet.faces) == 3
    real = next(row for row, facts in zip(shown, sheet.faces, strict=True) if facts["label"] == 0)
    captions = [cell.caption for cell in real.cells]
    assert captions[0] == "stored, real"
    assert captions[-1].startswith("drawn")
    assert {"/clips/0-g0.mp4", "/clips/2-g2.mp4"} & {facts["path"] for facts in sheet.faces}
    blended = [row for row in shown if any("ratio" in cell.caption for cell in row.cells)]
    assert all(len(row.cells) == 1 + 4 + 2 for row in blended)


def test_the_same_settings_give_the_same_pixels_and_another_seed_others(workspace):
    first, again, other = (
        Image.open(
            _preview(workspace, f"{number}.png", pseudo_fakes="selfblend", seed=seed, faces=2).path
        ).tobytes()
        for number, seed in enumerate((1, 1, 2))
    )
    assert first == again
    assert first != other


@pytest.mark.slow
def test_draws_are_those_that_training_makes(workspace, rows, monkeypatch):
    """Every picture that a batch of the first epoch holds is on the sheet of the same settings."""
    from ffpipe.pipeline import training_job

    settings = {**SETTINGS, "pseudo_fakes": "selfblend", "seed": 5}
    made = []
    original = training_job.TrainingLoop

    def spy(model, batches, *rest):
        made.append(_images(batches))
        return original(model, batches, *rest)

    monkeypatch.setattr(training_job, "TrainingLoop", spy)
    train(TrainConfig.build({**settings, "engine": "local", "epochs": 1}), workspace, lambda line: None)
    _preview(workspace, **settings, faces=100, draws=20)
    shown = {
        cell.pixels.tobytes()
        for row in rows[0]
        for cell in row.cells
        if cell.caption.startswith("drawn") and cell.caption.endswith("epoch 1")
    }
    assert made[0] == shown


def _images(batches) -> set[bytes]:
    """The images of an epoch as bytes."""
    images = [image for batch in batches.epoch(0) for image in batch.image]
    return {(255 * image).round().byte().permute(1, 2, 0).numpy().tobytes() for image in images}


def test_labelled_faces_are_shown_without_pseudo_fakes_too(workspace, rows):
    sheet = _preview(workspace, faces=4)
    assert {facts["label"] for facts in sheet.faces} == {0, 1}
    assert not any("ratio" in cell.caption for row in rows[0] for cell in row.cells)


@pytest.mark.parametrize(
    ("settings", "name", "says"),
    [
        ({}, "sheet.jpg", r"ends in \.png"),
        ({"model": "meso5"}, "a.png", "there are"),
        ({"options": {"nonsense": 1}}, "a.png", "nonsense"),
        ({"data": ("other",)}, "a.png", "no such dataset"),
        ({"augmentation": {"jpeg": 3}}, "a.png", r"augmentation\.jpeg"),
    ],
)
def test_wrong_settings_are_refused_and_nothing_is_written(workspace, settings, name, says):
    with pytest.raises(UsageError, match=says):
        _preview(workspace, name, **settings)
    assert not (workspace.root / name).exists()


def test_the_command_prints_the_file_or_json(workspace, capsys):
    out = workspace.root / "sheet.png"
    arguments = [
        "preview",
        "--model",
        "meso4",
        "--workspace",
        str(workspace.root),
        "--out",
        str(out),
        "--faces",
        "2",
    ]
    assert cli.run(arguments) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert cli.run([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["sheet"] == str(out)
    assert len(told["faces"]) == 2
    assert np.asarray(Image.open(out)).std() > 10
