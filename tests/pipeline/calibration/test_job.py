"""Calibrating a run: on its own half or other media, what is refused, and what is written; then evaluate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from training_faces import Tiny, media_record, write_dataset

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.schemas import to_table
from ffpipe.models import checkpoint, registry
from ffpipe.pipeline import cli, tables
from ffpipe.pipeline.calibration.job import CalibrateResult, calibrate
from ffpipe.pipeline.calibration.stored import FILE
from ffpipe.pipeline.config import CalibrateConfig, EvaluateConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.log import read_logs
from ffpipe.pipeline.train import train
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace

HALF = 10
FRAMES = 3


@pytest.fixture(scope="module", autouse=True)
def _tiny() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        patch.setattr("ffpipe.pipeline.halving.MIN_HALF", HALF)
        yield


@pytest.fixture(autouse=True)
def _without_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take a second a calibration; one test looks at them."""
    monkeypatch.setattr("ffpipe.pipeline.evaluation.files.evaluation_plots", lambda *_: {})
    if "on_disk" not in request.node.name:
        monkeypatch.setattr("ffpipe.pipeline.calibration.files.calibration_plots", lambda *_: {})


def pairs(groups: int, part: Split, name: str = "") -> list[tuple[str, Label, Split]]:
    return [(f"{name}{part}{i // 2}", Label(i % 2), part) for i in range(2 * groups)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("ws")
    data = root / "datasets" / "made"
    write_dataset(data, [*pairs(4, Split.TRAIN), *pairs(2 * HALF, Split.VAL), *pairs(4, Split.TEST)], FRAMES)
    return Workspace(root)


@pytest.fixture(scope="module")
def trained(workspace: Workspace) -> Path:
    config = TrainConfig(
        model="tiny", engine="local", recipe="quick", learning_rate=1e-2, epochs=2, data=("made",), run="one"
    )
    return train(config, workspace, lambda line: None).directory


@pytest.fixture
def run(trained: Path) -> Path:
    """The run, uncalibrated."""
    (trained / FILE).unlink(missing_ok=True)
    return trained


def fit(run: Path, workspace: Workspace, said: list[str] | None = None, **settings: Any) -> CalibrateResult:
    config = CalibrateConfig.build({"replicates": 100, "arithmetic": "float32", **settings})
    return calibrate(str(run), config, workspace, (said if said is not None else []).append)


def test_training_keeps_half_of_its_validation_and_says_so(run: Path) -> None:
    told = checkpoint.load(run).config
    assert len(told["validation_media"]) == len(told["calibration_media"]) == 2 * HALF
    assert not set(told["validation_media"]) & set(told["calibration_media"])
    assert len(set(told["calibration_media"].values())) == HALF
    assert told["thresholds"]["n_real"] == HALF, "thresholds are of the other half"
    card = (run / "MODEL_CARD.md").read_text()
    assert "Validation halved by whole groups: 10 real and 10 fake media of 10 groups are kept" in card


def test_what_a_calibration_leaves_on_disk(run: Path, workspace: Workspace) -> None:
    before = json.loads((run / "hashes.json").read_text())
    result = fit(run, workspace, method="platt")
    told = checkpoint.load(run).config
    loaded = Weights.load(run)
    assert loaded.calibration == result.calibration
    scope = result.calibration.scope
    assert (scope.level, scope.n_real, scope.n_fake, scope.groups, scope.max_tracks) == (
        "video",
        10,
        10,
        10,
        1,
    )
    assert (scope.datasets, scope.split) == (("made",), "calibration half of validation")
    assert result.calibration.caps.highest == pytest.approx(np.log10(11))
    assert json.loads((run / "hashes.json").read_text()) == before, "what is sealed stays"
    assert result.directory.parent == run / "calibration"
    names = {path.name for path in result.directory.iterdir()}
    plots = {f"{name}.{suffix}" for name in ("reliability", "tippett") for suffix in ("png", "svg")}
    assert names == {"result.json", "calibration.md", "scores.parquet", *plots}
    scores = pd.read_parquet(result.directory / "scores.parquet")
    assert set(scores["media_id"]) == set(told["calibration_media"])
    assert scores.set_index("media_id")["group"].to_dict() == told["calibration_media"]
    stored = json.loads((result.directory / "result.json").read_text())
    assert stored["figures"]["calibrated"]["cllr"] == result.facts["figures"]["calibrated"]["cllr"]
    assert stored["provenance"]["calibration"] == result.calibration.id
    assert tables.read_provenance(result.directory / "scores.parquet") == stored["provenance"]
    text = result.text()
    assert "| ECE |" in text and "| Cllr (bits) |" in text and result.calibration.id in text
    entry = [e for e in read_logs(workspace).log.entries if e["event"] == "calibrate"][-1]
    assert entry["calibration"] == result.calibration.id and len(entry["outputs"]) == 2


@pytest.mark.slow
def test_the_same_again_is_nothing_to_do_and_another_needs_overwrite(run: Path, workspace: Workspace) -> None:
    first = fit(run, workspace, method="temperature")
    said: list[str] = []
    again = fit(run, workspace, said, method="temperature")
    assert again.calibration == first.calibration and not again.new and first.new
    assert again.directory == first.directory
    assert any("calibrated already" in line for line in said)
    with pytest.raises(UsageError, match=rf"another calibration, {first.calibration.id}.*--overwrite"):
        fit(run, workspace, method="platt")
    assert Weights.load(run).calibration == first.calibration
    other = fit(run, workspace, method="platt", overwrite=True)
    assert Weights.load(run).calibration == other.calibration != first.calibration
    assert first.directory.exists() and other.directory != first.directory


@pytest.mark.slow
def test_an_interrupted_calibration_goes_on(
    run: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ffpipe.pipeline.calibration.job.choose", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(run, workspace, method="temperature", seed=5)
    assert not (run / FILE).exists()
    said: list[str] = []
    result = fit(run, workspace, said, method="temperature", seed=5)
    assert any("goes on with what was scored" in line for line in said)
    assert not (result.directory / "parts").exists()


@pytest.mark.slow
def test_another_dataset_but_for_its_test_split(run: Path, workspace: Workspace) -> None:
    other = workspace.root / "datasets" / "other"
    write_dataset(other, [*pairs(11, Split.TRAIN, "o"), *pairs(2, Split.TEST, "o")], FRAMES, first=500)
    said: list[str] = []
    result = fit(run, workspace, said, data="other")
    assert result.calibration.scope.n_real == result.calibration.scope.n_fake == 11
    assert "4 media of its test split are kept for evaluation" in said
    stored = json.loads((run / FILE).read_text())
    assert {int(name, 16) for name in stored["media"]} == set(range(500, 522))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data": "made"}, "the run was trained on 8 media of made, such as .*knows nothing of"),
        ({"data": "nowhere"}, "--data nowhere: no such dataset"),
        ({"quality": "c23"}, "own half is as it is"),
    ],
)
def test_what_the_run_knows_does_not_calibrate_it(settings, words, run: Path, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=words):
        fit(run, workspace, **settings)
    assert not (run / FILE).exists()


def test_too_few_groups_one_class_and_ties_to_the_test_split_are_told(
    run: Path, workspace: Workspace
) -> None:
    few = workspace.root / "datasets" / "few"
    write_dataset(few, pairs(9, Split.VAL, "f"), FRAMES, first=700)
    with pytest.raises(
        UsageError, match="no calibration can rest on few.*9 independent groups have real media and 9"
    ):
        fit(run, workspace, data="few")
    tied = workspace.root / "datasets" / "tied"
    group = write_dataset(
        tied, [("t", Label.REAL, Split.VAL), ("u", Label.REAL, Split.VAL)], FRAMES, first=800
    )
    test = replace(media_record(810, "t", Label.FAKE, Split.TEST, "tied", 1), faces=0)
    group.commit("f" * 20, "a", {"media": to_table("media", [test]), "faces": to_table("faces", [])}, [])
    said: list[str] = []
    with pytest.raises(UsageError, match="no calibration can rest on tied.*all media are real"):
        fit(run, workspace, said, data="tied")
    assert "1 medium left out, which share a group or a person with its test split" in said


@pytest.mark.slow
def test_scores_that_say_nothing_do_not_calibrate(
    run: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ffpipe.stages.infer.Scorer.score", lambda self, crops, sida: np.zeros(len(crops), np.float32)
    )
    folders = set((run / "calibration").glob("*"))
    with pytest.raises(UsageError, match=r"fakes do not score above its reals \(AUC 0.500\)"):
        fit(run, workspace)
    assert set((run / "calibration").glob("*")) == folders


@pytest.mark.slow
def test_a_run_whose_validation_stayed_whole_asks_for_data(workspace: Workspace) -> None:
    config = TrainConfig(
        model="tiny",
        engine="local",
        recipe="quick",
        epochs=1,
        data=("made",),
        run="whole",
        halve_validation=False,
    )
    whole = train(config, workspace, lambda line: None).directory
    assert len(checkpoint.load(whole).config["validation_media"]) == 4 * HALF
    assert "Validation was not halved, as was asked" in (whole / "MODEL_CARD.md").read_text()
    with pytest.raises(UsageError, match="not halved, as was asked.*--data"):
        fit(whole, workspace)


def test_an_evaluation_has_calibrated_figures_beside_raw_ones(run: Path, workspace: Workspace) -> None:
    def judge(**settings: Any) -> Any:
        said: list[str] = []
        config = EvaluateConfig(**{"data": "made", "replicates": 100, "arithmetic": "float32", **settings})
        return evaluate(str(run), config, workspace, said.append), said

    plain, _ = judge()
    assert plain.facts["calibration"] is None and plain.facts["provenance"]["calibration"] is None
    assert "Uncalibrated" in (plain.directory / "figures.md").read_text()
    calibration = fit(run, workspace, method="temperature").calibration
    result, said = judge()
    told = result.facts["calibration"]
    assert told["id"] == calibration.id == result.facts["provenance"]["calibration"]
    row = next(row for row in result.rows if row.level == "video")
    assert told["figures"]["raw"]["cllr"]["value"] == pytest.approx(row.figures["cllr"].value)
    assert told["figures"]["calibrated"]["cllr_min"]["value"] == pytest.approx(row.figures["cllr_min"].value)
    assert f"Calibration {calibration.id} (temperature)" in (result.directory / "figures.md").read_text()
    assert not any("calibrated the run" in line for line in said)
    _, said = judge(split="val")
    assert "warning: 20 media of these calibrated the run; its calibrated figures flatter it" in said


def test_the_command(run: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["calibrate", "tiny/one", "--workspace", str(workspace.root), "--replicates", "100"]
    assert cli.run([*given, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["new"] and told["calibration"]["method"] in told["cross_validated_cllr"]
    assert cli.run(given) == 0
    assert "# Calibration of tiny" in capsys.readouterr().out
    assert cli.run([*given, "--method", "beta"]) == 2
