"""Copies of whole trees: made once, never over a file, gone on with after a kill, and paired by extract."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from media import make_clip, make_cut, make_face_clip, make_text

from ffpipe.manifests import datasets
from ffpipe.manifests.errors import ConfigMismatch, UsageError
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import DegradeConfig, ExtractConfig
from ffpipe.pipeline.degrade.job import DegradeResult, degrade
from ffpipe.pipeline.degrade.store import MANIFEST, SIDECAR, STATE
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.workspace import Workspace

REALS, FAKES = "original_sequences/youtube", "manipulated_sequences/Deepfakes"
INLINE: dict[str, Any] = {"engine": "local", "workers": 0}


def run(
    source: Path, out: Path, *rates: int, said: list[str] | None = None, **settings: Any
) -> DegradeResult:
    config = DegradeConfig.build({"crf": rates, **INLINE, **settings})
    home = Workspace(out.parent / "home")
    return degrade(source, out, config, home, (said if said is not None else []).append)


def contents(root: Path) -> dict[str, tuple[bytes, int]]:
    """Every visible file of a tree but the sidecar, with its modification time."""
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(root.rglob("*"))
        if path.is_file() and STATE not in path.parts and path.name != SIDECAR
    }


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "FF++"
    for name in (f"{REALS}/raw/videos/000.mp4", f"{FAKES}/raw/videos/000_001.mp4"):
        make_clip(root / name, frames=6, size=(64, 48), faces=len(name))
    return root


def test_the_source_tree_gets_its_missing_qualities_and_keeps_its_files(tree: Path) -> None:
    before = contents(tree)
    result = run(tree, tree, 23, 40)
    after = contents(tree)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        f"{place}/c{crf}/videos/{name}.mp4"
        for place, name in ((REALS, "000"), (FAKES, "000_001"))
        for crf in (23, 40)
    }
    assert (result.made, result.present, result.exit_code) == (4, 0, 0)
    loaded = datasets.load(tree)
    assert {entry.quality for entry in loaded.entries} == {"c0", "c23", "c40"}
    assert len({entry.pair_id for entry in loaded.entries}) == 2


def test_a_second_run_makes_only_what_is_missing(tree: Path) -> None:
    run(tree, tree, 23)
    lost = tree / REALS / "c23/videos/000.mp4"
    content = lost.read_bytes()
    lost.unlink()
    make_clip(tree / REALS / "raw/videos/001.mp4", frames=5, size=(64, 48))
    before = contents(tree)
    result = run(tree, tree, 23)
    after = contents(tree)
    assert (result.made, result.present) == (2, 1)
    assert {name: after[name] for name in before} == before
    assert lost.read_bytes() == content, "the same source gives the same copy"
    assert run(tree, tree, 23).made == 0


def test_the_sidecar_says_of_what_and_how_each_copy_was_made(tree: Path) -> None:
    import hashlib

    run(tree, tree, 40)
    told = json.loads((tree / SIDECAR).read_text())
    assert told["encoder"]["codec"] == "libx264" and told["encoder"]["audio"] == "dropped"
    assert told["provenance"]["ffmpeg"]
    for record in told["copies"]:
        copy = tree / record["copy"]
        assert record["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
        assert record["source_sha256"] == hashlib.sha256(Path(record["source"]).read_bytes()).hexdigest()
        assert (record["crf"], record["quality"], record["source_quality"]) == (40, "c40", "c0")
        assert record["frames"] == 6


def test_bad_inputs_are_rows_and_the_others_get_their_copies(tree: Path) -> None:
    make_cut(tree / REALS / "raw/videos/002.mp4")
    make_text(tree / REALS / "raw/videos/003.mp4")
    (tree / REALS / "raw/videos/004.mp4").symlink_to("nowhere")
    result = run(tree, tree, 40)
    statuses = {Path(path).name: status for path, status, _ in result.failures}
    assert statuses["002.mp4"] == "unreadable" and statuses["003.mp4"] == "unsupported"
    assert result.made == 2 and result.exit_code == 3
    assert result.statuses == {"ok": 2, "unreadable": 1, "unsupported": 1, "skipped": 1}
    assert sorted(p.name for p in (tree / REALS / "c40/videos").iterdir()) == ["000.mp4"]
    failures = json.loads((tree / SIDECAR).read_text())["failures"]
    assert {Path(row["path"]).name for row in failures} == set(statuses)


def test_all_bad_is_exit_code_four(tmp_path: Path) -> None:
    for name in ("real/a.mp4", "fake/b.mp4"):
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        make_text(tmp_path / "src" / name)
    assert run(tmp_path / "src", tmp_path / "out", 40).exit_code == 4


def test_a_dry_run_makes_nothing_and_names_what_would_be_refused(tree: Path) -> None:
    make_text(tree / REALS / "raw/videos/003.mp4")
    before = contents(tree)
    said: list[str] = []
    result = run(tree, tree, 40, dry_run=True, said=said)
    assert contents(tree) == before and not (tree / STATE).exists()
    assert [status for _, status, _ in result.failures] == ["unsupported"] and result.exit_code == 3
    assert any(line.startswith("0 copies are there; 3 to make of 3 clips") for line in said)


def test_another_folder_is_a_tree_of_its_own_with_the_official_splits(tree: Path, tmp_path: Path) -> None:
    pairs = {"train": [["000", "001"]], "val": [["002", "003"]], "test": [["004", "005"]]}
    for split, listed in pairs.items():
        (tree / f"{split}.json").write_text(json.dumps(listed))
    run(tree, tmp_path / "out", 23, 40)
    loaded = datasets.load(tmp_path / "out")
    assert loaded.name == "ffpp" and loaded.split_source.startswith("official")
    assert {entry.split for entry in loaded.entries} == {"train"}


def test_a_folder_of_classes_becomes_a_manifest_with_labels_groups_splits_and_pairs(tmp_path: Path) -> None:
    for number in range(3):
        make_clip(tmp_path / f"src/real/{number}.mp4", frames=5 + number, size=(64, 48))
        make_clip(tmp_path / f"src/fake/swap/{number}.mkv", frames=9 + number, size=(64, 48))
    before = contents(tmp_path / "src")
    given = {entry.path: entry for entry in datasets.load(tmp_path / "src").entries}
    result = run(tmp_path / "src", tmp_path / "src", 40)
    assert contents(tmp_path / "src").items() >= before.items()
    assert result.out == tmp_path / "src" / "degraded"
    loaded = datasets.load(result.out)
    assert loaded.split_source.startswith("given")
    assert len(loaded.entries) == 12
    clips: dict[str | None, list[Any]] = {}
    for entry in loaded.entries:
        clips.setdefault(entry.pair_id, []).append(entry)
    for source, copy in clips.values():
        assert (source.quality, copy.quality) == ("c0", "c40")
        origin = given[os.path.normpath(source.path)]
        for entry in (source, copy):
            assert (entry.label, entry.method, entry.split) == (origin.label, origin.method, origin.split)
        assert source.group == copy.group
    assert datasets.load(tmp_path / "src").name == "folder", "the source is recognised as before"
    assert run(tmp_path / "src", tmp_path / "src", 40).made == 0


def test_a_manifest_of_another_origin_is_not_written_over(tmp_path: Path) -> None:
    make_clip(tmp_path / "src/real/a.mp4", frames=4, size=(64, 48))
    make_clip(tmp_path / "src/fake/b.mp4", frames=4, size=(64, 48))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MANIFEST).write_text("path,label\n")
    with pytest.raises(UsageError, match="was not made by degrade"):
        run(tmp_path / "src", tmp_path / "out", 40)


def test_a_folder_belongs_to_one_source(tree: Path, tmp_path: Path) -> None:
    run(tree, tmp_path / "out", 40)
    tree.rename(tmp_path / "moved")
    with pytest.raises(ConfigMismatch, match="give another --out"):
        run(tmp_path / "moved", tmp_path / "out", 40)


def test_a_source_that_changed_is_named_and_its_copy_left(tree: Path) -> None:
    run(tree, tree, 40)
    copy = tree / REALS / "c40/videos/000.mp4"
    content = copy.read_bytes()
    make_clip(tree / REALS / "raw/videos/000.mp4", frames=9, size=(64, 48))
    result = run(tree, tree, 40)
    assert [(Path(p).name, status) for p, status, _ in result.failures] == [("000.mp4", "changed")]
    assert copy.read_bytes() == content


@pytest.mark.parametrize("rate", ["-1", "52", "2.5", "c23"])
def test_a_wrong_rate_factor_says_what_is_allowed(
    tree: Path, rate: str, capsys: pytest.CaptureFixture
) -> None:
    assert cli.run(["degrade", str(tree), "--crf", rate, "--out", str(tree)]) == 2
    error = capsys.readouterr().err
    assert "--crf" in error and len(error.strip().splitlines()) == 1


def test_images_alone_are_refused(tmp_path: Path) -> None:
    for name in ("real/a.png", "fake/b.png"):
        (tmp_path / "src" / name).parent.mkdir(parents=True)
        (tmp_path / "src" / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(UsageError, match="holds no video"):
        run(tmp_path / "src", tmp_path / "out", 40)


def test_extract_cuts_every_copy_with_the_boxes_of_the_best(tmp_path: Path) -> None:
    source = tmp_path / "FF++"
    make_face_clip(source / REALS / "raw/videos/000.mp4", seconds=0.4, seed=3)
    run(source, source, 23, 40)
    config = ExtractConfig.build({**INLINE, "frames": 3})
    said: list[str] = []
    result = extract(source, config, Workspace(tmp_path / "ws"), said.append)
    assert "2 media were cut with the boxes of a better quality of the same clip" in said
    shards = ShardGroup(result.root, "media", ["faces"])
    faces = shards.read("faces").to_pandas()
    media = shards.read("media").to_pandas().set_index("media_id")
    faces["quality"] = faces["media_id"].map(media["quality"])
    cut = {
        quality: [
            (face.frame_index, face.pts_seconds, *face.box, *face.crop_box)
            for face in part.sort_values("frame_index").itertuples()
        ]
        for quality, part in faces.groupby("quality")
    }
    assert cut["c0"] == cut["c23"] == cut["c40"] and len(cut["c0"]) == 3
    crops = {quality: part["crop"].iloc[0] for quality, part in faces.groupby("quality")}
    assert len(set(crops.values())) == 3, "the pixels differ"


@pytest.mark.slow
def test_a_killed_run_leaves_no_half_file_and_is_gone_on_with(tree: Path, tmp_path: Path) -> None:
    for number in range(1, 5):
        make_clip(tree / REALS / f"raw/videos/00{number}.mp4", frames=150, size=(320, 240))
    command = [sys.executable, "-m", "ffpipe", "degrade", str(tree), "--crf", "40", "--out", str(tree)]
    command += ["--engine", "local", "--workers", "1", "--workspace", str(tmp_path / "ws")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    folder = tree / REALS / "c40/videos"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any(folder.glob("*.mp4")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    records = {json.loads(p.read_text())["copy"] for p in (tree / STATE / "copies").glob("*.json")}
    whole = {str(path.relative_to(tree)) for path in folder.glob("*.mp4")}
    assert whole and whole <= records
    result = run(tree, tree, 40)
    assert result.made == 6 - result.present and result.exit_code == 0
    assert not [p for p in tree.rglob(".ffpipe-copy.*")]
    assert len(list(folder.glob("*.mp4"))) == 5
