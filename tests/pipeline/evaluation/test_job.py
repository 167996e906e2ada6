"""Evaluation on stored faces: levels, sets, the log of openings, and what it refuses to call a result."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from training_faces import Tiny, media_record, write_dataset

from ffpipe.manifests.errors import LockedError, StorageError, UsageError, WeightsError
from ffpipe.manifests.records import Label, Split, Status
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.models import checkpoint, registry
from ffpipe.pipeline import cli, output, tables
from ffpipe.pipeline.config import EvaluateConfig, TrainConfig
from ffpipe.pipeline.evaluation.figures_text import plain_line, print_figures
from ffpipe.pipeline.evaluation.job import Evaluation, evaluate
from ffpipe.pipeline.evaluation.openings import LOG, read_openings
from ffpipe.pipeline.evaluation.parts import EVALUATIONS, EvaluationFolder, Parts
from ffpipe.pipeline.text_tables import figure_text
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.evaluation import Figure
from ffpipe.stages.infer import Scorer

FRAMES = 4


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        yield


@pytest.fixture(autouse=True)
def _without_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take a second an evaluation; one test looks at them."""
    if "on_disk" not in request.node.name:
        monkeypatch.setattr("ffpipe.pipeline.evaluation.files.evaluation_plots", lambda *_: {})


def clips(media: int, part: Split) -> list[tuple[str, Label, Split]]:
    return [(f"{part}{i // 2}", Label(i % 2), part) for i in range(media)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Faces of 8 media to train on, 8 to validate with, and 20 of two methods to test with."""
    root = tmp_path_factory.mktemp("ws")
    data = root / "datasets" / "made"
    write_dataset(data, [*clips(8, Split.TRAIN), *clips(8, Split.VAL)], FRAMES)
    write_dataset(data, clips(10, Split.TEST), FRAMES, first=100, method="warp")
    group = write_dataset(data, clips(10, Split.TEST), FRAMES, first=200, method="blend")
    empty = media_record(300, "x", Label.FAKE, Split.TEST, "made", 0, status=Status.NO_FACE)
    unread = replace(empty, media_id="e" * 32, status=Status.UNREADABLE)
    group.commit(
        "f" * 20, "a", {"media": to_table("media", [empty, unread]), "faces": to_table("faces", [])}, []
    )
    return Workspace(root)


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> Path:
    config = TrainConfig(
        model="tiny", engine="local", recipe="quick", learning_rate=1e-2, epochs=3, data=("made",)
    )
    return train(config, workspace, lambda line: None).directory


def judge(
    run: Path | str, workspace: Workspace, said: list[str] | None = None, **settings: Any
) -> Evaluation:
    given = {"data": "made", "replicates": 100, **settings}
    return evaluate(str(run), EvaluateConfig(**given), workspace, (said if said is not None else []).append)


def test_videos_are_the_headline_and_every_method_has_its_row(run: Path, workspace: Workspace) -> None:
    said: list[str] = []
    result = judge(run, workspace, said)
    parts = [*(("method", name) for name in ("all", "blend", "warp", "mean"))]
    parts += [("dataset", "made"), ("face size", "0-95 px")]
    assert [(row.level, row.kind, row.name) for row in result.rows] == [
        (level, *part) for level in ("video", "track", "frame") for part in parts
    ]
    assert result.facts["headline"] == "video"
    rows = {(row.level, row.name): row for row in result.rows}
    assert (rows["video", "all"].n_real, rows["video", "all"].n_fake) == (10, 10)
    assert (rows["video", "warp"].n_real, rows["video", "warp"].n_fake) == (10, 5)
    assert rows["frame", "warp"].n_fake == 5 * FRAMES
    assert rows["frame", "warp"].groups == rows["video", "warp"].groups
    assert (
        "made, split test: 10 real and 10 fake media; without a picture to score: 1 no_face, 1 unreadable"
        in said
    )
    assert result.facts["unscored"] == {"no_face": 1, "unreadable": 1}
    counted = {name: rows["video", name].unscored for name in ("all", "warp", "blend", "mean", "made")}
    assert counted == {"all": 2, "warp": 2, "blend": 0, "mean": None, "made": 2}
    assert result.facts["verdicts"]["fake"]["not_assessable: unreadable"] == 1
    assert sum(n for name, n in result.facts["verdicts"]["fake"].items() if ":" not in name) == 12
    assert (rows["track", "all"].n_real, rows["track", "all"].n_fake) == (10, 10)


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Every name below a folder, with size in bytes and time of the last change."""
    return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in root.rglob("*")}


def test_figures_and_scores_are_on_disk_with_their_provenance(run: Path, workspace: Workspace) -> None:
    before = listing(workspace.root / "datasets")
    result = judge(run, workspace, frames_per_video=2)
    assert listing(workspace.root / "datasets") == before, "nothing is written beside what is evaluated"
    stored = json.loads((result.directory / "evaluation.json").read_text())
    assert stored["model_id"] == checkpoint.load(run).model_id == stored["provenance"]["model_id"]
    table = pd.read_csv(result.directory / "figures.csv")
    assert table["set"].tolist() == [row.name for row in result.rows]
    np.testing.assert_allclose(table["auc"], [row.figures["auc"].value for row in result.rows])
    assert [row["figures"]["auc"]["value"] for row in stored["rows"]] == table["auc"].tolist()
    assert tables.read_provenance(result.directory / "figures.csv")["id"] == stored["provenance"]["id"]
    scores = pd.read_parquet(result.directory / "scores.parquet")
    assert len(scores) == 20 * 2
    media = pd.read_parquet(result.directory / "media.parquet")
    assert (len(media), media["score"].notna().sum()) == (22, 20)
    assert set(media.loc[media["score"].isna(), "verdict"]) == {"not_assessable"}
    assert len(pd.read_parquet(result.directory / "tracks.parquet")) == 20
    plots = {path.name for path in (result.directory / "plots").iterdir()}
    names = ("roc", "det", "reliability", "histogram", "methods")
    names += ("coverage",) if result.facts["threshold"] is not None else ()
    assert plots == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}
    assert not (result.directory / "parts").exists()
    frames = scores.groupby("media_id")["score"].mean()
    labels = scores.groupby("media_id")["label"].first()
    video = next(row for row in result.rows if row.level == "video")
    assert video.figures["accuracy"].value == pytest.approx(((frames >= 0.5) == (labels == 1)).mean())


def test_each_opening_of_a_test_split_is_counted_and_logged(tmp_path: Path, workspace: Workspace) -> None:
    config = TrainConfig(
        model="tiny", engine="local", recipe="quick", epochs=1, seed=5, data=("made",), run="opened"
    )
    run = train(config, workspace, lambda line: None).directory
    said: list[str] = []
    first = judge("tiny/opened", workspace, said)
    judge(run, workspace, said, split="val")
    assert len(read_openings(run)) == 1, "validation data may be looked at"
    second = judge(run, workspace, said)
    assert [line for line in said if line.startswith("opening")] == [
        f"opening {number} of the test split of made by this run" for number in (1, 2)
    ]
    logged = read_openings(run)
    assert [entry["evaluation"] for entry in logged] == ["made-test-001", "made-test-002"]
    assert (first.directory, second.directory) == tuple(
        run / EVALUATIONS / entry["evaluation"] for entry in logged
    )
    assert {entry["model_id"] for entry in logged} == {checkpoint.load(run).model_id}
    assert {"time", "data_digest", "split"} <= logged[0].keys()
    (run / LOG).write_text("not json\n")
    with pytest.raises(StorageError, match=LOG):
        judge(run, workspace)


def test_an_opening_counts_also_where_the_evaluation_fails(
    run: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, folders = len(read_openings(run)), set((run / EVALUATIONS).iterdir())

    def fail(*_: Any) -> Any:
        raise FloatingPointError("the network gave a score that is no number")

    monkeypatch.setattr(Scorer, "score", fail)
    with pytest.raises(WeightsError, match="no number"):
        judge(run, workspace)
    assert len(read_openings(run)) == before + 1
    assert set((run / EVALUATIONS).iterdir()) == folders


def test_an_interrupted_evaluation_goes_on_and_is_one_opening(
    run: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = judge(run, workspace, batch_size=4)
    before, folders = len(read_openings(run)), set((run / EVALUATIONS).iterdir())
    score, calls = Scorer.score, []

    def interrupted(self: Scorer, crops: Any, sida: Any) -> Any:
        calls.append(len(crops))
        if len(calls) == 8:
            raise KeyboardInterrupt
        return score(self, crops, sida)

    monkeypatch.setattr(Scorer, "score", interrupted)
    monkeypatch.setattr("ffpipe.pipeline.evaluation.scores.PART", 12)
    with pytest.raises(KeyboardInterrupt):
        judge(run, workspace, batch_size=4)
    (begun,) = set((run / EVALUATIONS).iterdir()) - folders
    other = EvaluationFolder(begun, Parts(ShardGroup(begun / "parts", "logits")), "", True)
    with other.parts.group.lock(), pytest.raises(LockedError):
        judge(run, workspace, batch_size=4)
    said: list[str] = []
    resumed = judge(run, workspace, said, batch_size=4)
    assert resumed.directory == begun
    assert any("goes on with what was scored before an interruption" in line for line in said)
    assert sum(calls) == 8 * 4 + (80 - 24), "of seven batches, two parts of three were kept"
    assert len(read_openings(run)) == before + 1
    assert resumed.facts["opening"] == before + 1
    assert resumed.rows == whole.rows
    assert pd.read_parquet(begun / "scores.parquet").equals(
        pd.read_parquet(whole.directory / "scores.parquet")
    )
    assert not (begun / "parts").exists()
    assert judge(run, workspace, batch_size=4).directory != begun, "a finished one is not gone on with"


def test_what_the_run_learned_from_is_no_test(run: Path, workspace: Workspace) -> None:
    said: list[str] = []
    judge(run, workspace, said, split="train")
    assert any(line.startswith("warning: the run was trained on 8 media of these") for line in said)
    judge(run, workspace, said, split="val")
    assert any("8 media of these chose the run's checkpoint and thresholds" in line for line in said)
    before = len(read_openings(run))
    with pytest.raises(
        UsageError, match="trained on 8 media of --split all of made, such as /clips/0-train0"
    ):
        judge(run, workspace, split="all")
    write_dataset(workspace.root / "datasets" / "again", clips(4, Split.TEST), FRAMES, first=6)
    with pytest.raises(UsageError, match="trained on 2 media of --split test of again"):
        judge(run, workspace, data="again")
    assert len(read_openings(run)) == before, "nothing was read"


def test_clips_that_the_run_saw_at_another_quality_are_no_test(tmp_path: Path) -> None:
    data = tmp_path / "datasets" / "both"
    parts = [*clips(8, Split.TRAIN), *clips(4, Split.VAL), *clips(4, Split.TEST)]
    for place, quality in enumerate(("c23", "c40")):
        write_dataset(
            data, parts, FRAMES, first=100 * place, quality=quality, pairs="clip", coarse=1 + 15 * place
        )
    there = Workspace(tmp_path)
    config = TrainConfig(
        model="tiny", engine="local", recipe="quick", epochs=1, data=("both",), quality="c40"
    )
    run = train(config, there, lambda line: None).directory
    stored = checkpoint.load(run).config
    assert stored["train_clips"] == [f"clip{number}" for number in range(8)]
    assert sorted(stored["validation_clips"]) == ["clip10", "clip11", "clip8", "clip9"]
    with pytest.raises(
        UsageError, match=r"run was trained on other copies \(c40\) of 8 media .* /clips/0-train0"
    ):
        judge(run, there, data="both", split="all", quality="c23")
    said: list[str] = []
    judge(run, there, said, data="both", split="val", quality="c23")
    assert any("other copies (c40) of 4 media of these chose the run's checkpoint" in line for line in said)
    said.clear()
    rows = {(row.kind, row.name): row for row in judge(run, there, data="both", quality="all").rows[::-1]}
    assert [rows["quality", name].n_real for name in ("c23", "c40")] == [2, 2]
    assert rows["method", "all"].n_real == 4
    with pytest.raises(UsageError, match="several qualities: c23, c40"):
        judge(run, there, data="both")
    said.clear()
    judge(run, there, said, data="both", quality="c23")
    assert not [line for line in said if "flatter" in line or "not checked" in line or "equal files" in line]


def test_a_medium_of_two_splits_is_in_the_one_that_learns_least(run: Path, workspace: Workspace) -> None:
    data = workspace.root / "datasets" / "leaky"
    write_dataset(data, clips(8, Split.TEST), FRAMES, first=500)
    group = write_dataset(data, clips(2, Split.VAL), FRAMES, first=600)
    copy = media_record(500, "val9", Label.REAL, Split.VAL, "leaky", FRAMES)
    group.commit("e" * 20, "a", {"media": to_table("media", [copy]), "faces": to_table("faces", [])}, [])
    counts = {
        split: next(row.n_real for row in judge(run, workspace, data="leaky", split=split).rows)
        for split in ("val", "test")
    }
    assert counts == {"val": 1, "test": 4}


def test_faces_cut_otherwise_are_refused_unless_accepted(run: Path, workspace: Workspace) -> None:
    group = write_dataset(workspace.root / "datasets" / "other", clips(4, Split.TEST), FRAMES, first=700)
    path = group.root / "job.json"
    job = json.loads(path.read_text())
    path.write_text(
        json.dumps(
            {**job, "crop": CropSettings(kind="whole").fingerprint(), "configuration": {"whole": True}}
        )
    )
    with pytest.raises(UsageError, match="\\(whole, .*--accept-crops"):
        judge(run, workspace, data="other")
    result = judge(run, workspace, data="other", accept_crops=True)
    assert result.facts["provenance"]["crops_accepted"] is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "nothing"}, "no such dataset .* made"),
        ({"quality": "c23"}, "no qualities"),
    ],
)
def test_what_is_not_there_is_named(
    run: Path, workspace: Workspace, change: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        judge(run, workspace, **change)


def test_an_unknown_run_is_named_with_those_there_are(run: Path, workspace: Workspace) -> None:
    with pytest.raises(UsageError, match=f"no such folder or run.*tiny/{run.name}"):
        judge("tiny/nothing", workspace)


def test_a_run_of_before_says_that_it_was_not_checked(
    run: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = checkpoint.load

    def without(*given: Any) -> checkpoint.LoadedModel:
        loaded = load(*given)
        return replace(loaded, config={k: v for k, v in loaded.config.items() if k != "train_media"})

    monkeypatch.setattr("ffpipe.pipeline.weights.checkpoint.load", without)
    said: list[str] = []
    judge(run, workspace, said)
    assert any("was not checked" in line for line in said)


def test_the_command_prints_a_table_and_json(
    run: Path, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", f"tiny/{run.name}", "--data", "made", "--split", "val", "--replicates", "100"]
    assert cli.run([*words, "--workspace", str(workspace.root), "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in stored["rows"] if row["kind"] == "method"] == ["all", "warp"] * 3
    assert cli.run([*words, "--workspace", str(workspace.root), "--split", "half"]) == 2
    assert stored["split"] == stored["provenance"]["configuration"]["split"] == "val"


def test_the_table_for_people_says_what_is_missing(run: Path, workspace: Workspace) -> None:
    result = judge(run, workspace, split="val")
    stream = io.StringIO()
    print_figures(result.rows, output.make_console(stream))
    text = stream.getvalue()
    assert plain_line(result.rows[0]) in text
    assert "no interval" in text, "four groups of both classes are too few for one"
    shown = io.StringIO()
    print_figures(
        result.rows, Console(file=shown, force_terminal=True, width=120, markup=False, color_system=None)
    )
    head, first, *_ = shown.getvalue().splitlines()
    assert head.split() == ["video", "real", "fake", "accuracy", "AP", "AUC"]
    assert first.split()[:3] == ["all", "4", "4"]
    assert figure_text(Figure(None)) == "-"
    assert figure_text(Figure(0.5, 0.25, 0.75)) == "0.500 (0.250 to 0.750)"
