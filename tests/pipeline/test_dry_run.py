"""What extract would do, told without writing: recognition, table, bytes, done before, damaged files, exit codes."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from media import Clip, damaged_files, make_cut, make_face_clip

from ffpipe.manifests.errors import ConfigMismatch, UsageError
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.dry_run import DryRun, dry_run
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.workspace import Workspace

INLINE: dict[str, Any] = {"engine": "local", "workers": 0, "frames": 2}


def look(source: Path, home: Path, said: list[str] | None = None, **settings: Any) -> DryRun:
    config = ExtractConfig.build({**INLINE, **settings})
    return dry_run(source, config, Workspace(home), (said if said is not None else []).append)


def run(source: Path, home: Path, **settings: Any) -> None:
    extract(source, ExtractConfig.build({**INLINE, **settings}), Workspace(home), lambda _: None)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", seconds=0.2).path


@pytest.fixture
def tree(tmp_path: Path, clip: Path) -> Path:
    """A small Celeb-DF with an empty file, one cut short, and a FIFO; one test video is missing."""
    root = tmp_path / "Celeb-DF-v2"
    names = (
        "Celeb-real/id0_0000",
        "Celeb-real/id1_0000",
        "Celeb-synthesis/id0_id1_0000",
        "YouTube-real/00001",
    )
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, root / f"{name}.mp4")
    (root / "Celeb-real/id2_0000.mp4").write_bytes(b"")
    make_cut(root / "YouTube-real/00002.mp4")
    os.mkfifo(root / "YouTube-real/00003.mp4")
    shutil.copy(clip, os.fsencode(root / "Celeb-real") + b"/caf\xe9.mp4")
    (root / "List_of_testing_videos.txt").write_text(
        "1 YouTube-real/00001.mp4\n0 Celeb-synthesis/id1_id0_0000.mp4\n"
    )
    return root


def test_everything_is_told_and_nothing_is_written(tree: Path, tmp_path: Path) -> None:
    said: list[str] = []
    found = look(tree, tmp_path / "ws", said)
    assert not (tmp_path / "ws").exists()
    text = "\n".join(said)
    assert "layout celeb-df, found Celeb-real/" in said[0]
    assert said[1].split() == ["part", "found", "expected", "missing", "surplus"]
    assert any(line.split() == ["YouTube-real", "2", "300", "298", "0"] for line in said)
    assert "test list: 1 of 518, missing Celeb-synthesis/id1_id0_0000.mp4" in said
    assert (
        f"7 files, {sum(p.stat().st_size for p in tree.rglob('*.mp4') if p.is_file()) / 1024:.1f} KiB" in text
    )
    assert "not to be opened: 1 file; damaged: 1; refused: 1" in said
    assert f"unreadable: {tree}/Celeb-real/id2_0000.mp4: the file is empty" in said
    assert "the file ends before" in text
    assert f"refused: {tree}/YouTube-real/00003.mp4: not a regular file: named pipe" in said
    assert "time: not known" in text
    assert (found.files, found.done, found.to_do, found.exit_code) == (7, 0, 7, 3)


def test_the_json_names_every_file(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.run(["extract", str(tree), "--dry-run", "--json", "--workspace", str(tmp_path / "ws")])
    told = json.loads(capsys.readouterr().out)
    assert code == told["exit_code"] == 3
    assert (told["layout"], told["name"], told["files"]) == ("celeb-df", "Celeb-DF-v2", 7)
    youtube = next(part for part in told["parts"] if part["part"] == "YouTube-real")
    real = next(part for part in told["parts"] if part["part"] == "Celeb-real")
    assert real["surplus"] == ["caf\\xe9"], "text that any reader of JSON takes"
    assert (youtube["found"], len(youtube["missing"]), youtube["n_missing"]) == (2, 298, 298)
    assert {(Path(f["path"]).name, f["status"]) for f in told["not_opened"]} == {
        ("id2_0000.mp4", "unreadable"),
        ("00002.mp4", "partial"),
    }
    assert [Path(f["path"]).name for f in told["refused"]] == ["00003.mp4"]
    assert told["estimate"] is None


def test_the_first_inputs_alone_are_opened_with_a_limit(tree: Path, tmp_path: Path) -> None:
    found = look(tree, tmp_path / "ws", limit=2)
    assert (found.files, found.to_do, found.findings, found.exit_code) == (2, 2, [], 0)


def test_the_same_statuses_as_extract(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    damaged: dict[str, Clip] = damaged_files(tmp_path / "in")
    found = look(tmp_path / "in", tmp_path / "ws")
    assert {Path(f.path).name: f.status.value for f in found.findings} == {
        clip.path.name: clip.status for clip in damaged.values()
    }


def test_where_nothing_opens_the_exit_code_says_so(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.mp4").write_bytes(b"")
    assert look(tmp_path / "in", tmp_path / "ws").exit_code == 4


def test_what_was_done_is_told_apart_and_gives_the_pace(tmp_path: Path, clip: Path) -> None:
    source, home = tmp_path / "in", tmp_path / "ws"
    for name in ("real/a", "fake/b"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        make_face_clip(source / f"{name}.mp4", seconds=0.2, seed=ord(name[-1]))
    run(source, home)
    before = sorted(p for p in home.rglob("*") if p.name != "hashes.sqlite")
    assert (look(source, home).done, look(source, home).to_do) == (2, 0)
    shutil.copy(clip, source / "real" / "c.mp4")
    said: list[str] = []
    found = look(source, home, said, workers=1)
    assert (found.files, found.done, found.to_do) == (3, 2, 1)
    assert found.to_do_bytes == clip.stat().st_size
    assert found.estimate is not None
    assert (found.estimate.media, found.estimate.dataset, found.estimate.workers) == (2, "in", 1)
    assert found.estimate.seconds == pytest.approx(found.estimate.per_medium)
    assert found.estimate.seconds > 0
    assert any("s each of the 2 media of in" in line for line in said)
    assert sorted(p for p in home.rglob("*") if p.name != "hashes.sqlite") == before


def test_another_dataset_gives_the_pace_only_with_the_same_settings(tmp_path: Path, clip: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        shutil.copy(clip, tmp_path / place / "a.mp4")
    run(tmp_path / "one", tmp_path / "ws")
    other = look(tmp_path / "two", tmp_path / "ws").estimate
    assert other is not None
    assert other.dataset == "one"
    assert look(tmp_path / "two", tmp_path / "ws", frames=3).estimate is None


def test_what_failed_or_changed_before_is_counted(tmp_path: Path, clip: Path) -> None:
    source, home = tmp_path / "in", tmp_path / "ws"
    source.mkdir()
    shutil.copy(clip, source / "a.mp4")
    (source / "b.mp4").write_text("no video\n")
    run(source, home)
    first = look(source, home)
    assert (first.done, [f.status.value for f in first.findings], first.exit_code) == (2, ["unsupported"], 3)
    assert look(source, home, retry_failed=True).to_do == 1
    assert look(source, home, overwrite=True).to_do == 2
    with (source / "a.mp4").open("ab") as file:
        file.write(b"more")
    said: list[str] = []
    assert look(source, home, said).to_do == 1
    assert any(line.startswith("1 file changed since extraction, which will refuse them") for line in said)


def test_what_extract_refuses_is_refused(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(clip, tmp_path / "in" / "a.mp4")
    run(tmp_path / "in", tmp_path / "ws")
    with pytest.raises(ConfigMismatch, match="frames"):
        look(tmp_path / "in", tmp_path / "ws", frames=3)
    with pytest.raises(UsageError, match="no such file"):
        look(tmp_path / "nowhere", tmp_path / "ws")
