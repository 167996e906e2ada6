"""Whole jobs over mutants and sound clips: one row an input, the sound ones' rows as without mutants, nothing left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from media import make_face_clip
from processes import Process, children_of, cmdline, processes, wait_until_gone
from small_weights import make_linear_weights

from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.config import ExtractConfig, ScoreConfig
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.score import score
from ffpipe.pipeline.workspace import Workspace
from fuzz.decoding import ENDINGS
from fuzz.mutations import mutant, rotation
from fuzz.seeds import SEEDS

#: An archive is no medium by itself: its pictures are, in a data set of archives.
MEDIA = tuple(name for name in SEEDS if name != "tar")
QUICK, THOROUGH = 22, 220
#: A picture of the still seeds shows no face; a mutant of it is one medium more.
STATUSES = ENDINGS | {"no_face"}


def make_good(folder: Path) -> Path:
    for number in range(2):
        make_face_clip(folder / f"good{number}.mp4", seconds=0.3, seed=number)
    return folder


def add_mutants(good: Path, folder: Path, count: int) -> Path:
    """The sound clips and so many mutants, each under the name that makes it again."""
    shutil.copytree(good, folder)
    for name, number in rotation(count, MEDIA):
        (folder / f"{name}-{number}.{name.partition('_')[0]}").write_bytes(mutant(name, number))
    return folder


def extracted(source: Path, home: Path, **settings: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    config = ExtractConfig.build({"engine": "local", "frames": 4, "timeout": 20, **settings})
    group = ShardGroup(extract(source, config, Workspace(home), lambda _: None).root, "media", ["faces"])
    return _by_name(group.read("media")), group.read("faces").to_pandas()


def _by_name(rows: pa.Table) -> pd.DataFrame:
    """The rows by their file's name, without what depends on where it lies; values as they are stored."""
    kept = rows.drop_columns(["path", "path_bytes", *({"dataset", "provenance_id"} & set(rows.column_names))])
    names = [Path(path).name for path in rows["path"].to_pylist()]
    return pd.DataFrame(kept.to_pylist(), index=names, dtype=object).sort_index()


def children() -> set[Process]:
    """Processes that this one started, without the one that Python itself keeps for pools."""
    return processes(pid for pid in children_of(os.getpid()) if b"resource_tracker" not in cmdline(pid))


def check_media(found: pd.DataFrame, folder: Path, alone: pd.DataFrame) -> None:
    assert sorted(found.index) == sorted(path.name for path in folder.iterdir()), "one row an input"
    pd.testing.assert_frame_equal(found.loc[alone.index], alone)
    mutants = found.drop(index=alone.index)
    assert set(mutants["status"]) <= STATUSES
    failed = mutants[~mutants["status"].isin(["ok", "no_face", "partial"])]
    assert failed["reason"].notna().all()
    assert not mutants["reason"].fillna("").str.contains("\n").any()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_good(tmp_path_factory.mktemp("good") / "set")


@pytest.fixture(scope="module")
def alone(good: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    found = extracted(good, tmp_path_factory.mktemp("alone"), workers=0)
    assert (found[0]["status"] == "ok").all()
    assert len(found[1]) == 8
    return found


def of_good(faces: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    kept = faces[faces["media_id"].isin(alone["media_id"])]
    return kept.sort_values("face_id").reset_index(drop=True)


def test_extract_over_mutants(good: Path, alone: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path) -> None:
    folder = add_mutants(good, tmp_path / "in", QUICK)
    media, faces = extracted(folder, tmp_path / "ws", workers=0)
    check_media(media, folder, alone[0])
    pd.testing.assert_frame_equal(of_good(faces, alone[1]), of_good(alone[1], alone[1]))


@pytest.mark.slow
def test_a_pool_over_many_mutants_leaves_nothing(
    good: Path,
    alone: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither a process nor a temporary file is left of two workers."""
    folder = add_mutants(good, tmp_path / "in", THOROUGH)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = children()
    media, faces = extracted(folder, tmp_path / "ws", workers=2)
    check_media(media, folder, alone[0])
    pd.testing.assert_frame_equal(of_good(faces, alone[1]), of_good(alone[1], alone[1]))
    assert not wait_until_gone(children() - before)
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.slow
@pytest.mark.ray
def test_extract_over_many_mutants_with_ray(
    good: Path, alone: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, ray_cluster: None
) -> None:
    folder = add_mutants(good, tmp_path / "in", THOROUGH)
    media, faces = extracted(folder, tmp_path / "ray", engine="ray", workers=2)
    check_media(media, folder, alone[0])
    pd.testing.assert_frame_equal(of_good(faces, alone[1]), of_good(alone[1], alone[1]))
    local, _ = extracted(folder, tmp_path / "local", workers=2)
    pd.testing.assert_frame_equal(local, media)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_linear_weights(tmp_path_factory.mktemp("weights") / "model")


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_score_over_mutants(
    good: Path, weights: Path, tmp_path: Path, ray_cluster: None, engine: str
) -> None:
    folder = add_mutants(good, tmp_path / "in", THOROUGH)
    given = {"weights": weights, "engine": engine, "workers": 2, "frames": 4}
    config = ScoreConfig.build(given)
    reports = {}
    for name, source in (("alone", good), ("mixed", folder)):
        result = score(
            [source], config, Workspace(tmp_path / name), out=tmp_path / f"{name}.parquet", say=lambda _: None
        )
        reports[name] = _by_name(result.report)
    mixed, by_itself = reports["mixed"], reports["alone"]
    assert sorted(mixed.index) == sorted(path.name for path in folder.iterdir())
    pd.testing.assert_frame_equal(mixed.loc[by_itself.index], by_itself)
    assert set(mixed["status"]) <= STATUSES
    assert (mixed.loc[~mixed["status"].isin(["ok", "partial"]), "verdict"] == "not_assessable").all()


@pytest.mark.slow
def test_a_run_leaves_nothing_in_shared_memory(good: Path, tmp_path: Path) -> None:
    """The command has a /dev/shm and a temporary folder of its own, which are looked at when it has ended."""
    folder = add_mutants(good, tmp_path / "in", QUICK)
    command = [sys.executable, "-m", "ffpipe", "extract", str(folder), "--workspace", str(tmp_path / "ws")]
    script = (
        "mount -t tmpfs none /dev/shm; "
        f"{' '.join(command)} --engine local --workers 2 --frames 4 >/dev/null 2>&1; echo code $?; "
        "ls -A /dev/shm"
    )
    isolated = ["unshare", "--mount", "--map-root-user", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    if subprocess.run([*isolated, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no namespaces of users and mounts on this machine")
    done = subprocess.run([*isolated, script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["code", "3"], done.stdout + done.stderr
