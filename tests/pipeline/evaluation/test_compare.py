"""Runs compared on the same media: the pairing, what is reused, what is refused, and the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from training_faces import Tiny, write_dataset

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.models import registry
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import CompareConfig, TrainConfig
from ffpipe.pipeline.evaluation.compare import Comparison, compare
from ffpipe.pipeline.evaluation.finished import find_finished, load_finished
from ffpipe.pipeline.evaluation.openings import read_openings
from ffpipe.pipeline.evaluation.parts import EVALUATIONS
from ffpipe.pipeline.stored_media import data_digest, labelled_media
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.paired import Model, delong, paired

RUNS = ("tiny/a", "tiny/b", "tiny/c")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Three runs, and media to compare them on: 12 people, each with a real and a fake of one of two methods."""
    root = tmp_path_factory.mktemp("ws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        patch.setattr("ffpipe.pipeline.evaluation.files.evaluation_plots", lambda *_: {})
        data = root / "datasets" / "made"
        for part, count in ((Split.TRAIN, 8), (Split.VAL, 4)):
            clips = [(f"{part}{n // 2}", Label(n % 2), part) for n in range(count)]
            write_dataset(data, clips, 2, first=100 * count)
        for number, method in enumerate(("warp", "blend")):
            clips = [(f"{method}{n // 2}", Label(n % 2), Split.TEST) for n in range(12)]
            write_dataset(data, clips, 2, first=100 * number, method=method)
        there = Workspace(root)
        for number, run in enumerate(RUNS):
            config = TrainConfig(
                model="tiny",
                engine="local",
                recipe="quick",
                epochs=1,
                seed=number,
                data=("made",),
                run=run[-1],
            )
            train(config, there, lambda line: None)
        yield there


@pytest.fixture(autouse=True)
def _without_plots(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots take a second each; one test looks at them."""
    if "evaluated_once" not in request.node.name:
        monkeypatch.setattr("ffpipe.pipeline.evaluation.comparison_files._plots", lambda *_: {})


def judge(runs: Any, workspace: Workspace, said: list[str] | None = None, **settings: Any) -> Comparison:
    config = CompareConfig(**{"data": "made", "replicates": 100, **settings})
    return compare(runs, config, workspace, (said if said is not None else []).append)


def test_runs_are_evaluated_once_and_compared_with_the_first(workspace: Workspace) -> None:
    said: list[str] = []
    result = judge(RUNS, workspace, said)
    folders = [workspace.root / "models" / run for run in RUNS]
    assert [len(read_openings(folder)) for folder in folders] == [1, 1, 1]
    assert "videos: 24 that every run scored, paired by content, in 12 source groups; none left out" in said
    again = judge(RUNS, workspace, said)
    assert [len(read_openings(folder)) for folder in folders] == [1, 1, 1], "finished evaluations are taken"
    assert again.pairs == result.pairs
    assert again.directory != result.directory
    assert {path.name for path in result.directory.iterdir()} == {
        "comparison.json", "comparison.csv", "comparison.csv.provenance.json", "comparison.md", "comparison.tex",
        "roc.png", "roc.svg", "det.png", "det.svg",
    }  # fmt: skip
    stored = json.loads((result.directory / "comparison.json").read_text())
    assert [run["name"] for run in stored["runs"]] == list(RUNS)
    assert stored["pairing"]["video"] == {
        "paired": 24, "groups": 12, "left_out": dict.fromkeys(RUNS, 0), "line": stored["pairing"]["video"]["line"],
    }  # fmt: skip
    table = pd.read_csv(result.directory / "comparison.csv")
    assert len(table) == len(result.pairs)


def test_a_pair_is_the_paired_test_of_the_stored_scores(workspace: Workspace) -> None:
    result = judge(RUNS[:2], workspace)
    done = [load_finished(Path(run["evaluation"])) for run in result.facts["runs"]]
    for level, n in (("video", 24), ("track", 24), ("frame", 48)):
        first, second = (each.items(level) for each in done)
        assert len(first) == n
        second = second.loc[first.index].iloc[first.index.argsort()]
        first = first.iloc[first.index.argsort()]
        models = Model(first["score"].to_numpy()), Model(second["score"].to_numpy())
        expected = paired(first["label"], models, first["group"].tolist(), ["auc", "eer"], replicates=100)
        for figure, difference in expected.items():
            (pair,) = [p for p in result.pairs if (p.level, p.name, p.figure) == (level, "all", figure)]
            assert (pair.first_value, pair.second_value, pair.p) == (
                difference.first,
                difference.second,
                difference.p,
            )
            assert pair.difference.low == difference.interval.low
            assert pair.p_holm == pair.p, "of one comparison there is nothing to correct"
            scores = [model.scores for model in models]
            assert pair.p_delong == (delong(first["label"], *scores) if figure == "auc" else None)
    (warp,) = [p for p in result.pairs if (p.level, p.name, p.figure) == ("video", "warp", "auc")]
    assert (warp.n_real, warp.n_fake) == (12, 6)


def test_several_runs_are_corrected_by_holm(workspace: Workspace) -> None:
    areas = [
        p for p in judge(RUNS, workspace).pairs if (p.level, p.name, p.figure) == ("video", "all", "auc")
    ]
    assert [pair.second for pair in areas] == list(RUNS[1:])
    raw, corrected = sorted(pair.p for pair in areas), sorted(pair.p_holm for pair in areas)
    assert corrected[0] == pytest.approx(min(1, 2 * raw[0]))
    assert corrected[1] == pytest.approx(max(corrected[0], raw[1]))


def test_what_only_one_run_scored_is_left_out_and_counted(workspace: Workspace) -> None:
    folders = [Path(run["evaluation"]) for run in judge(RUNS[:2], workspace).facts["runs"]]
    path = folders[1] / "media.parquet"
    whole = path.read_bytes()
    media = pd.read_parquet(path)
    media.loc[media.index[:3], "score"] = None
    media.to_parquet(path)
    said: list[str] = []
    try:
        result = judge([str(folder) for folder in folders], workspace, said)
    finally:
        path.write_bytes(whole)
    assert result.facts["pairing"]["video"]["left_out"] == {"tiny/a": 3, "tiny/b": 0}
    assert any(
        "21 that every run scored" in line and "left out" in line and "3 of tiny/a" in line for line in said
    )


def test_evaluations_of_other_media_are_refused(workspace: Workspace) -> None:
    folder = judge(RUNS[:2], workspace).facts["runs"][0]["evaluation"]
    with pytest.raises(
        UsageError, match="not of the same media: frames_per_video None in tiny/a, 1 in tiny/b"
    ):
        judge([folder, RUNS[1]], workspace, frames_per_video=1)
    with pytest.raises(UsageError, match="two runs or more, not 1"):
        judge(RUNS[:1], workspace)
    with pytest.raises(UsageError, match="no such folder or run"):
        judge([RUNS[0], "tiny/nothing"], workspace)


@pytest.mark.slow
def test_a_split_file_is_known_by_what_it_says_wherever_it_lies(workspace: Workspace, tmp_path: Path) -> None:
    media = [m for m in labelled_media(workspace.dataset("made")) if m.split is Split.TEST]
    rows = "".join(f"{m.path},val\n" for m in media)
    copies = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for copy in copies:
        copy.write_text(f"path,split\n{rows}")
    before = len(read_openings(workspace.root / "models" / RUNS[0]))
    first, second = (judge(RUNS[:2], workspace, split="val", splits=copy).facts["runs"] for copy in copies)
    assert [run["evaluation"] for run in first] == [run["evaluation"] for run in second]
    assert len(read_openings(workspace.root / "models" / RUNS[0])) == before + 1, (
        "stored test media were shown"
    )
    copies[1].write_text(f"path,split\n{rows}".replace(",val", ",test", 4))
    third = judge(RUNS[:2], workspace, split="val", splits=copies[1]).facts["runs"]
    with pytest.raises(UsageError, match="not of the same media: split file"):
        judge([first[0]["evaluation"], third[1]["evaluation"]], workspace)


def test_folders_of_evaluations_say_what_they_are_of(workspace: Workspace) -> None:
    folders = [run["evaluation"] for run in judge(RUNS[:2], workspace).facts["runs"]]
    result = judge(folders, workspace, data="another", split="val")
    assert (result.facts["data"], result.facts["split"]) == ("made", "test")
    assert result.directory.name.startswith("made-test-")


def test_a_finished_evaluation_is_found_by_weights_data_and_choice(workspace: Workspace) -> None:
    judge(RUNS[:2], workspace)
    digest = data_digest([workspace.dataset("made")])
    run = workspace.root / "models" / "tiny" / "a"
    config = CompareConfig(data="made")
    found = find_finished(run, config, digest)
    assert found is not None
    assert found.name == "tiny/a"
    assert find_finished(run, CompareConfig(data="made", split="val"), digest) is None
    assert find_finished(run, config, "0" * 16) is None
    damaged = run / EVALUATIONS / "made-test-900"
    damaged.mkdir()
    (damaged / "evaluation.json").write_text("{")
    try:
        with pytest.raises(StorageError, match="made-test-900/evaluation.json: no finished evaluation"):
            find_finished(run, config, digest)
    finally:
        (damaged / "evaluation.json").unlink()
        damaged.rmdir()


def test_the_command_prints_lines_and_json(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "compare",
        *RUNS[:2],
        "--data",
        "made",
        "--replicates",
        "100",
        "--workspace",
        str(workspace.root),
    ]
    assert cli.run(words) == 0
    assert "video all  tiny/b minus tiny/a  AUC" in capsys.readouterr().err
    assert cli.run([*words, "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert stored["headline"] == "video"
    assert {pair["level"] for pair in stored["pairs"]} == {"video", "track", "frame"}
