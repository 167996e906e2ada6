"""Whole jobs as command lines, and what of their outcome must be equal after any fault and a resume."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from processes import wait_until

from ffpipe.manifests.shards import ShardGroup

KEYS = {"media": "path", "report": "path", "faces": "face_id", "scores": "face_id", "tracks": "media_id"}


@dataclass(frozen=True)
class WholeJob:
    """A job on a folder of media; everything that it writes is in `home`, its workspace `home/ws` included."""

    name: str
    more: Callable[[Path], Sequence[str]]
    outcome: Callable[[Path], dict[str, pd.DataFrame]]
    done: str
    """Glob below `home` of what each finished chunk or file leaves."""

    def arguments(self, source: Path, home: Path, engine: str = "local", workers: int = 2) -> list[str]:
        given = [self.name, str(source), "--workspace", str(home / "ws")]
        return [*given, "--engine", engine, "--workers", str(workers), *self.more(home)]

    def command(self, source: Path, home: Path, engine: str = "local") -> list[str]:
        return [sys.executable, "-m", "ffpipe", *self.arguments(source, home, engine)]

    def progress(self, home: Path) -> int:
        return len(list(home.glob(self.done)))

    def underway(
        self, source: Path, home: Path, engine: str = "local", commits: int = 1, **settings: Any
    ) -> subprocess.Popen[str]:
        """A driver that has committed so many chunks or files, and has not ended; its standard error is a pipe."""
        driver = subprocess.Popen(
            self.command(source, home, engine), stderr=subprocess.PIPE, text=True, **settings
        )
        assert wait_until(lambda: self.progress(home) >= commits or driver.poll() is not None)
        assert driver.poll() is None, driver.communicate()
        return driver

    def finish(self, source: Path, home: Path, engine: str = "local") -> dict[str, pd.DataFrame]:
        """The outcome of the job, or of the rest of it: what was committed is not done again."""
        done = self.progress(home)
        ended = subprocess.run(self.command(source, home, engine), capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        assert not done or re.search(r"[1-9]\d* (done before|copies are there)", ended.stderr), ended.stderr
        return self.outcome(home)


def _sorted(frame: pd.DataFrame, table: str) -> pd.DataFrame:
    kept = frame.drop(columns="provenance_id", errors="ignore")
    return kept.sort_values([KEYS[table], *(c for c in ("track_id",) if c in kept)]).reset_index(drop=True)


def _extracted(home: Path) -> dict[str, pd.DataFrame]:
    (root,) = (home / "ws/datasets").iterdir()
    group = ShardGroup(root, "media", ["faces"])
    assert not list(root.glob("*/_tmp/*")) and not list(root.glob(".*.tmp")), "leftovers"
    parts = {path.name for path, _ in group.shards("media")}
    assert {path.name for path in (root / "media").glob("part-*")} == parts, "parts without a commit"
    return {table: _sorted(group.read(table).to_pandas(), table) for table in group.tables}


def _scored(home: Path) -> dict[str, pd.DataFrame]:
    (root,) = (home / "ws/scores").iterdir()
    assert not list(root.glob("*/_tmp/*")) and not list(root.glob(".*.tmp")), "leftovers"
    files = {"report": "r.parquet", "tracks": "r.tracks.parquet", "scores": "r.scores.parquet"}
    assert {path.name for path in home.iterdir() if path.name != "ws"} == {*files.values()}
    found = {table: pq.read_table(home / name).to_pandas() for table, name in files.items()}
    stored = ShardGroup(root, "report", ["tracks", "scores", "faces"]).read("faces").to_pandas()
    return {table: _sorted(frame, table) for table, frame in {**found, "faces": stored}.items()}


def _degraded(home: Path) -> dict[str, pd.DataFrame]:
    # Two copies of one source may differ in some bits: their names and records are compared.
    assert not [path for path in (home / "copies").rglob(".ffpipe-copy.*")], "leftovers"
    manifest = pd.read_csv(home / "copies/manifest.csv").sort_values("path").reset_index(drop=True)
    assert all((home / "copies" / path).exists() for path in manifest["path"])
    return {"manifest": manifest}


def extract_job() -> WholeJob:
    return WholeJob(
        "extract", lambda home: ["--frames", "8"], _extracted, "ws/datasets/*/media/_commits/*.json"
    )


def score_job(weights: Path) -> WholeJob:
    def more(home: Path) -> list[str]:
        kept = ["--keep-faces", "all", "--out", str(home / "r.parquet")]
        return ["--frames", "8", "--weights", str(weights), *kept]

    return WholeJob("score", more, _scored, "ws/scores/*/report/_commits/*.json")


def degrade_job() -> WholeJob:
    def more(home: Path) -> list[str]:
        return ["--crf", "40", "--out", str(home / "copies")]

    return WholeJob("degrade", more, _degraded, "copies/.ffpipe-degrade/copies/*.json")


def assert_same(found: dict[str, pd.DataFrame], expected: dict[str, pd.DataFrame]) -> None:
    assert found.keys() == expected.keys()
    for table, frame in expected.items():
        pd.testing.assert_frame_equal(found[table], frame)
