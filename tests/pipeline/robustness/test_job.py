"""Curves and controls on made-up faces: what is measured, written, logged and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from training_faces import Tiny, write_dataset

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.models import registry
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import EvaluateConfig, RobustnessConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.evaluation.openings import read_openings
from ffpipe.pipeline.robustness.files import FOLDER, Robustness
from ffpipe.pipeline.robustness.job import robustness
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.infer import Scorer

FRAMES = 3


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        yield


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("ws")
    parts = [(Split.TRAIN, 12), (Split.VAL, 8), (Split.TEST, 20)]
    clips = [
        (f"{part}{number // 2}", Label(number % 2), part) for part, count in parts for number in range(count)
    ]
    write_dataset(root / "datasets" / "made", clips, FRAMES)
    return Workspace(root)


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> Path:
    config = TrainConfig(
        model="tiny", engine="local", recipe="quick", learning_rate=1e-2, epochs=3, data=("made",)
    )
    return train(config, workspace, lambda line: None).directory


def measure(run: Path, workspace: Workspace, said: list[str] | None = None, **settings: Any) -> Robustness:
    config = RobustnessConfig.build({"data": "made", "replicates": 100, **settings})
    return robustness(str(run), config, workspace, (said if said is not None else []).append)


@pytest.fixture(scope="module")
def result(run: Path, workspace: Workspace) -> Robustness:
    return measure(run, workspace, perturb=("jpeg=90,20", "noise=255", "resize=1"))


def test_untouched_faces_have_the_figures_of_an_evaluation(run, workspace, result):
    config = EvaluateConfig(data="made", replicates=100)
    video = next(
        row for row in evaluate(str(run), config, workspace, lambda line: None).rows if row.level == "video"
    )
    assert result.stored.figures["auc"] == video.figures["auc"]
    assert (result.stored.n_real, result.stored.n_fake) == (video.n_real, video.n_fake) == (10, 10)
    assert result.facts["level"] == "video"


def test_a_curve_has_a_point_a_level_and_no_damage_changes_nothing(result):
    assert [(p.kind, p.strength) for p in result.points] == [
        ("jpeg", 90), ("jpeg", 20), ("noise", 255), ("resize", 1),
    ]  # fmt: skip
    untouched, noisy = result.points[3], result.points[2]
    assert untouched.figures == result.stored.figures, "D of the same pixels is the same"
    assert noisy.figures != result.stored.figures


def test_controls_are_measured_on_the_same_media(result):
    controls = {control.name: control for control in result.controls}
    assert list(controls) == [
        "background only", "shuffled labels", "file metadata only", "reference on D",
        "reference on D, labels shuffled",
    ]  # fmt: skip
    assert not any(control.skipped for control in controls.values())
    assert controls["shuffled labels"].auc.value == pytest.approx(0.5, abs=0.1)
    assert controls["file metadata only"].auc.value == 0.5, "the made files are all alike"
    assert controls["reference on D"].auc.value >= 0.8, "the classes differ in brightness of one half"
    assert controls["reference on D, labels shuffled"].facts["fits"] == 10


def test_files_say_the_same_as_the_result(result):
    folder = result.directory
    table = pd.read_csv(folder / "curves.csv")
    assert table["kind"].tolist() == ["stored", "jpeg", "jpeg", "noise", "resize"]
    np.testing.assert_allclose(
        table["auc"], [p.figures["auc"].value for p in (result.stored, *result.points)]
    )
    stored = json.loads((folder / "robustness.json").read_text())
    assert stored["points"][0]["figures"]["auc"]["value"] == table["auc"][1]
    assert stored["controls"][0]["name"] == "background only"
    text = (folder / "robustness.md").read_text()
    assert "| JPEG quality | 20 |" in text and "permutation p" in text
    for name in ("curves-auc", "curves-average-precision", "curves-accuracy", "controls"):
        assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (folder / f"{name}.svg").read_bytes()


@pytest.mark.slow
def test_a_second_run_measures_the_same_and_is_another_opening(run, workspace, result):
    before = len(read_openings(run))
    again = measure(run, workspace, perturb=("noise=255",))
    assert again.points[0] == result.points[2], "noise of a face depends on seed and face alone"
    assert again.directory != result.directory
    logged = read_openings(run)
    assert len(logged) == before + 1
    assert logged[-1]["evaluation"] == f"{FOLDER}/{again.directory.name}"


def test_fewer_faces_are_taken_of_every_video(run, workspace):
    few = measure(run, workspace, perturb=("blur=1",), faces=20, controls=False)
    assert few.facts["faces"] == 20 and few.stored.n_real == few.stored.n_fake == 10
    assert few.controls == []


@pytest.mark.slow
def test_on_the_train_split_nothing_is_fitted_and_nothing_logged(run, workspace):
    before = len(read_openings(run))
    said: list[str] = []
    found = measure(run, workspace, said, perturb=("blur=1",), split="train")
    skipped = {control.name for control in found.controls if control.skipped}
    assert skipped == {"file metadata only", "reference on D", "reference on D, labels shuffled"}
    assert len(read_openings(run)) == before
    assert any("trained on" in line for line in said)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_and_is_one_opening(run, workspace, monkeypatch):
    asked = {"perturb": ("jpeg=90,20",), "controls": False}
    whole = measure(run, workspace, **asked)
    before, folders = len(read_openings(run)), set((run / FOLDER).iterdir())
    score, calls = Scorer.score, []

    def interrupted(self, crops, sida):
        calls.append(len(crops))
        if len(calls) == 10:
            raise KeyboardInterrupt
        return score(self, crops, sida)

    monkeypatch.setattr(Scorer, "score", interrupted)
    monkeypatch.setattr("ffpipe.pipeline.robustness.scores._PART", 16)
    with pytest.raises(KeyboardInterrupt):
        measure(run, workspace, **asked)
    said: list[str] = []
    resumed = measure(run, workspace, said, **asked)
    assert {resumed.directory} == set((run / FOLDER).iterdir()) - folders
    assert any("goes on with" in line for line in said)
    assert sum(calls[10:]) == 3 * (60 - 16), "of 60 faces in three states a part of 16 was kept"
    assert len(read_openings(run)) == before + 1
    assert (resumed.stored, resumed.points) == (whole.stored, whole.points)
    assert not (resumed.directory / "parts").exists()


def test_a_run_that_fails_before_it_scored_leaves_no_folder(run, workspace, monkeypatch):
    folders = set((run / FOLDER).iterdir())
    monkeypatch.setattr(Scorer, "score", lambda *given: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measure(run, workspace, perturb=("blur=1",), controls=False)
    assert set((run / FOLDER).iterdir()) == folders


@pytest.mark.parametrize(
    ("perturb", "words"),
    [("sepia", "there are h264, jpeg"), ("jpeg=0", "1 to 100"), ("blur=much", "levels are numbers")],
)
def test_a_wrong_perturbation_says_what_is_allowed(perturb, words):
    with pytest.raises(UsageError, match=words):
        RobustnessConfig.build({"data": "made", "perturb": (perturb,)})


def test_the_command_prints_its_tables(run, workspace, capsys):
    arguments = ["robustness", str(run), "--data", "made", "--perturb", "jpeg=50", "--no-controls"]
    assert cli.run([*arguments, "--workspace", str(workspace.root), "--replicates", "100"]) == 0
    assert "| JPEG quality | 50 |" in capsys.readouterr().out
