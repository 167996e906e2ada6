"""Thousands of tiny inputs, sound and hostile, in one job: time and memory over the run, then a kill and a resume.

Makes the inputs from a seed, runs `score` and `extract` by the command line in a process of their own, and samples the
memory of the whole process tree every second; shared pages count once (PSS). Then the same job is killed with SIGKILL
when half of it is committed, run again, and compared row for row with the run that was left alone.

    python benchmarks/load.py --inputs 10000 --engine local
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pandas as pd
from many_inputs import make_inputs, make_weights
from process_tree import ROLES, Sample, Watch, wait_until_gone

from ffpipe.manifests.shards import ShardGroup

MIB = 1 << 20
#: Seconds that workers and decoding children get to notice that their driver was killed.
GONE_AFTER = 5.0


@dataclass(frozen=True)
class Work:
    """One job over the inputs: its command, where its shards are, and the column that tells one input from another."""

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
        driver = subprocess.Popen(work.command, stdout=said, stderr=said)
        with Watch(driver.pid, work.commits) as watch:
            while driver.poll() is None:
                if kill_at is not None and work.commits() >= kill_at:
                    driver.send_signal(signal.SIGKILL)
                time.sleep(0.2)
        if driver.returncode not in (0, 3, -signal.SIGKILL):
            said.seek(0)
            sys.exit(f"{work.job} ended with {driver.returncode}: {said.read()[-2000:].decode()}")
    return Run(driver.returncode, time.monotonic() - began, watch)


def print_run(work: Work, done: Run, rows: pd.DataFrame) -> None:
    """The table of one run."""
    count, cpu = len(rows), done.watch.cpu_seconds
    print(
        f"\n{work.job}, engine {work.engine}: {count} inputs in {done.seconds:.0f} s, {count / done.seconds:.1f} "
        f"inputs/s, {cpu:.0f} CPU s, {1000 * cpu / count:.1f} CPU ms an input"
    )
    print("rows: " + ", ".join(f"{n} {status}" for status, n in sorted(Counter(rows["status"]).items())))
    print(f"{'committed':>10} {'seconds':>8} " + " ".join(f"{role:>9}" for role in ROLES) + "  MiB, PSS")
    for share in (0.1, 0.5, 1.0):
        sample = done.at(share)
        held = " ".join(f"{sample.memory[role] / MIB:9.0f}" for role in ROLES)
        print(f"{share:10.0%} {sample.seconds:8.0f} {held}")
    peaks = " ".join(f"{max(s.memory[role] for s in done.watch.samples) / MIB:9.0f}" for role in ROLES)
    print(f"{'peak':>10} {'':8} {peaks}")


def check(rows: pd.DataFrame, inputs: Path, statuses: dict[bytes, str | None]) -> None:
    """Say whether every input has exactly one row, and the status that its maker knows."""
    below = len(os.fsencode(inputs)) + 1
    found = {path[below:]: status for path, status in zip(rows["path_bytes"], rows["status"], strict=True)}
    once = len(rows) == len(found) and found.keys() == statuses.keys()
    wrong = {n: (found[n], s) for n, s in statuses.items() if s and once and found[n] != s}
    print(f"exactly one row each: {'yes' if once else 'NO'}; statuses other than expected: {wrong or 'none'}")


def left_behind(work: Work, before: set[Path], family: set[int]) -> list[str]:
    """Processes, shared memory and temporary files that a finished job should have taken with it."""
    alive = wait_until_gone(family, GONE_AFTER)
    shared = set(Path("/dev/shm").iterdir()) - before
    temporary = [str(path) for path in work.shards.root.glob("*/_tmp/*")]
    return [*(f"process {pid}" for pid in alive), *map(str, shared), *temporary]


def measure(job: str, place: Path, statuses: dict[bytes, str | None], engine: str, kill: bool) -> None:
    """One job: left alone, then killed at half and run again."""
    before = set(Path("/dev/shm").iterdir())
    works = [
        Work(job, place / f"{job}-{name}", place / "inputs", place / "weights", engine)
        for name in ("whole", "killed")
    ]
    whole = run(works[0])
    rows = works[0].rows()
    print_run(works[0], whole, rows)
    check(rows, works[0].inputs, statuses)
    print(f"left behind: {left_behind(works[0], before, whole.watch.seen) or 'nothing'}")
    if not kill:
        return
    killed = run(works[1], kill_at=works[0].commits() // 2)
    orphans = wait_until_gone({p for p in killed.watch.seen if engine == "local"}, GONE_AFTER)
    committed = works[1].commits()
    resumed = run(works[1])
    again = works[1].rows()
    same = again.drop(columns=_excluded(again)).equals(rows.drop(columns=_excluded(rows)))
    print(
        f"killed with {committed} of {works[0].commits()} chunks committed: {len(orphans)} processes left after "
        f"{GONE_AFTER:.0f} s; resumed in {resumed.seconds:.0f} s; rows equal: {'yes' if same else 'NO'}; left behind: "
        f"{left_behind(works[1], before, resumed.watch.seen) or 'nothing'}"
    )


def _excluded(rows: pd.DataFrame) -> Sequence[str]:
    """Columns that hold times of the run."""
    return [name for name in rows.columns if name in ("seconds", "decode_seconds")]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=1000)
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", choices=("score", "extract"), action="append")
    parser.add_argument("--without-kill", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ffpipe-load-") as folder:
        place = Path(folder)
        statuses = make_inputs(place / "inputs", options.inputs, options.seed)
        make_weights(place / "weights")
        for job in options.job or ("score", "extract"):
            measure(job, place, statuses, options.engine, not options.without_kill)


if __name__ == "__main__":
    main()
