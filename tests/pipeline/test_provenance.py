"""Provenance: every file that any command writes says who made it, with what, of what and when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from media import make_clip
from provenance_keys import NEEDED, assert_complete
from small_weights import make_weights
from tiny_scoring import picture, run
from training_faces import Tiny, write_dataset

import ffpipe
from ffpipe.manifests.records import Label, Split
from ffpipe.models import registry
from ffpipe.pipeline import chain, cli, log, provenance
from ffpipe.pipeline.config import DegradeConfig
from ffpipe.pipeline.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def _tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._DETECTORS, "tiny", Tiny)
        yield


def test_the_id_tells_runs_apart_by_what_they_are_and_not_by_time_or_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = DegradeConfig(crf=(23,))
    first = provenance.collect(config, seed=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ffpipe", os.fsdecode(b"\xff")])
    again = provenance.collect(config, seed=1, started="2001-01-01T00:00:00+00:00")
    assert first["id"] == again["id"] == provenance.identity(json.loads(json.dumps(again)))
    assert again["command"] == ["ffpipe", "\\xff"]
    assert provenance.collect(config, seed=2)["id"] != first["id"]
    assert provenance.collect(config, seed=1, weights=["a"])["id"] != first["id"]
    assert set(first) >= NEEDED == NEEDED & set(provenance.KEYS)
    assert set(first) == set(provenance.KEYS)
    assert provenance.finish(first)["finished"] >= first["started"]


def test_the_commit_is_that_of_the_tree_or_of_the_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = Path(ffpipe.__file__).resolve().parents[2]
    head = subprocess.run(["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:
        assert provenance.source_commit().rstrip("+") == head.stdout.strip()
    package = tmp_path / "lib" / "site-packages" / "ffpipe"
    package.mkdir(parents=True)
    monkeypatch.setattr(ffpipe, "__file__", str(package / "__init__.py"))
    assert provenance.source_commit() is None
    (package / "COMMIT").write_text("abc\n")
    assert provenance.source_commit() == "abc"


def _cli(*words: str | Path) -> None:
    assert cli.run([str(word) for word in words]) in (0, 3), words


@pytest.mark.slow
def test_every_file_of_every_command_carries_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "ws"
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(home))
    parts = [(Split.TRAIN, 8), (Split.VAL, 6), (Split.TEST, 10)]
    clips = [(f"{part}{k // 2}", Label(k % 2), part) for part, count in parts for k in range(count)]
    write_dataset(home / "datasets" / "made", clips, 3)
    trained = ["--model", "tiny", "--engine", "local", "--recipe", "quick", "--epochs", 1, "--data", "made"]
    for name in ("a", "b"):
        _cli("train", *trained, "--run", name)
    measured = ["--data", "made", "--set", "replicates=100"]
    _cli("evaluate", "tiny/a", *measured)
    _cli("compare", "tiny/a", "tiny/b", *measured)
    _cli("robustness", "tiny/a", *measured, "--perturb", "jpeg=50")
    _cli(
        "preview",
        "--model",
        "meso4",
        "--data",
        "made",
        "--faces",
        1,
        "--draws",
        1,
        "--out",
        tmp_path / "sheet.png",
    )
    _cli("splits", "make", "made", "--protocol", "seeded", "--out", tmp_path / "splits.csv")
    make_clip(tmp_path / "source" / "real" / "a.mp4", frames=4, size=(64, 48))
    _cli("degrade", tmp_path / "source", "--crf", 40, "--out", tmp_path / "copies", "--workers", 0)
    _cli("extract", tmp_path / "source", "--workers", 0, "--frames", 2)
    weights = make_weights(tmp_path / "weights")
    picture(tmp_path / "face.png")
    for suffix in ("parquet", "csv", "json", "jsonl"):
        run(tmp_path / "face.png", home, weights, tmp_path / f"report.{suffix}")
    exported = [tmp_path / "net.pt2.json"]
    _cli("export", "tiny/a", "--format", "torch-export", "--out", tmp_path / "net.pt2")
    capsys.readouterr()
    _cli("extract", tmp_path / "source", "--dry-run", "--json", "--name", "other")
    (tmp_path / "dry.json").write_text(capsys.readouterr().out)

    plain = [tmp_path / "sheet.png", tmp_path / "splits.csv", tmp_path / "copies" / "ffpipe-degrade.json"]
    plain += [tmp_path / "dry.json", home / "datasets" / "source" / "job.json"]
    for path in plain:
        assert_complete(path)
    found = [*exported, *(p for p in tmp_path.glob("report*") if not p.name.endswith(".provenance.json"))]
    assert len(found) == 1 + 4 * 3
    found += [path / "job.json" for path in (home / "scores").iterdir()]
    for path in found:
        assert_complete(path, weights=True)
    for name in "ab":
        folder = home / "models" / "tiny" / name
        told = [assert_complete(folder / file) for file in ("config.json", "MODEL_CARD.md")]
        assert told[0] == told[1]
    measured_in = [
        p for kind in ("evaluations", "robustness") for p in (home / "models/tiny/a" / kind).glob("*/**/*")
    ]
    measured_in += (home / "comparisons").glob("*/**/*")
    written = [p for p in measured_in if p.is_file() and not p.name.endswith(".provenance.json")]
    assert {p.suffix for p in written} == {".csv", ".json", ".md", ".tex", ".parquet", ".png", ".svg"}
    for path in written:
        assert_complete(path, weights=True)
    entries = chain.check(log.log_path(Workspace(home)))
    assert entries.whole
    opened = "open test split"
    assert [entry["event"] for entry in entries.entries] == [
        "train", "train", opened, "evaluate", opened, "evaluate", "compare", opened, "robustness", "preview",
        "splits make", "degrade", "extract", *["score"] * 4, "export",
    ]  # fmt: skip
