"""One job over many inputs, run by the command line as a user would, watched, killed on demand, and looked at after."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from process_tree import Sample, Watch
from processes import wait_until_gone

from ffpipe.manifests.shards import ShardGroup


@dataclass(frozen=True)
class Work:
    """One job over a folder of inputs, in a workspace of its own."""

    job: str
    home: Path
    inputs: Path
    weights: Path
    engine: str

    @property
    def command(self) -> list[str]:
        """The job as a user would type it."""
        own = ["--weights", str(self.weights)] if self.job == "score" else ["--name", "load"]
        common = ["--workspace", str(self.home), "--engine", self.engine, "--frames", "2"]
        return [sys.executable, "-m", "ffpipe", self.job, str(self.inputs), *own, *common]

    @property
    def temporary(self) -> Path:
        """The folder for temporary files that the job is told of."""
        return self.home.with_name(self.home.name + "-tmp")

    @property
    def shards(self) -> ShardGroup:
        """Where the rows are, the lead table first."""
        if self.job == "score":
            found = sorted((self.home / "scores").glob("*"))
            return ShardGroup(
                found[0] if found else self.home / "scores/none", "report", ["tracks", "scores", "faces"]
            )
        return ShardGroup(self.home / "datasets" / "load", "media", ["faces"])

    def commits(self) -> int:
        """Chunks that are committed by now."""
        shards = self.shards
        return len(list((shards.root / shards.lead / "_commits").glob("*.json")))

    def rows(self) -> pd.DataFrame:
        """The lead table, one row an input, in the order of their names."""
        return self.shards.read(self.shards.lead).to_pandas().sort_values("path_bytes").reset_index(drop=True)


@dataclass(frozen=True)
class Run:
    """A finished run: its exit code, seconds, and what was seen of its processes."""

    code: int
    seconds: float
    watch: Watch

    def at(self, share: float) -> Sample:
        """The first sample at which this share of all chunks was committed."""
        samples = self.watch.samples
        return next(s for s in samples if s.done >= share * samples[-1].done)


def run(work: Work, kill_at: int | None = None) -> Run:
    """Run a job to its end, or kill its driver once so many chunks are committed."""
    began = time.monotonic()
    with tempfile.TemporaryFile() as said:
        driver = subprocess.Popen(work.command, stdout=said, stderr=said, env=_environment(work))
        with Watch(driver.pid, work.commits) as watch:
            while driver.poll() is None:
                if kill_at is not None and work.commits() >= kill_at:
                    driver.send_signal(signal.SIGKILL)
                time.sleep(0.2)
        if driver.returncode not in (0, 3, -signal.SIGKILL):
            said.seek(0)
            sys.exit(f"{work.job} ended with {driver.returncode}: {said.read()[-2000:].decode()}")
    return Run(driver.returncode, time.monotonic() - began, watch)


def _environment(work: Work) -> dict[str, str]:
    if work.engine == "ray":
        # Ray keeps the logs of its sessions, and its sockets' names must be short.
        return dict(os.environ)
    work.temporary.mkdir(exist_ok=True)
    return os.environ | {"TMPDIR": str(work.temporary)}


def statuses_of(rows: pd.DataFrame, inputs: Path) -> dict[bytes, str]:
    """Status by path below the folder of inputs; fails where an input has two rows."""
    below = len(os.fsencode(inputs)) + 1
    found = {path[below:]: status for path, status in zip(rows["path_bytes"], rows["status"], strict=True)}
    assert len(found) == len(rows), "an input has two rows"
    return found


def left_behind(work: Work, watch: Watch) -> list[str]:
    """Processes, shared memory and temporary files that a finished job should have taken with it."""
    alive = wait_until_gone(watch.seen)
    shared = [str(path) for path in watch.shared if path.exists()]
    temporary = [str(path) for path in work.shards.root.glob("*/_tmp/*")]
    if work.engine == "local":
        temporary += map(str, work.temporary.iterdir())
    return [*(f"process {one.pid}" for one in alive), *shared, *temporary]
