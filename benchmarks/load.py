"""Thousands of tiny inputs, sound and hostile, in one job: time and memory over the run, then a kill and a resume.

Makes the inputs from a seed, runs `score` and `extract` by the command line in a process of their own, and samples the
memory of the whole process tree every second: pages that processes share count once (PSS), and `own` is what the driver
shares with nobody. Then the same job is killed with SIGKILL when half of it is committed, run again, and compared row
for row with the run that was left alone.

    python benchmarks/load.py --inputs 10000 --engine local
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import pandas as pd
from load_job import Run, Work, left_behind, run, statuses_of
from many_inputs import make_inputs
from process_tree import ROLES
from processes import GONE_WITHIN, wait_until_gone
from small_weights import make_linear_weights

MIB = 1 << 20


def print_run(work: Work, done: Run, rows: pd.DataFrame) -> None:
    """The table of one run."""
    count, cpu = len(rows), done.watch.cpu_seconds
    print(
        f"\n{work.job}, engine {work.engine}: {count} inputs in {done.seconds:.0f} s, {count / done.seconds:.1f} "
        f"inputs/s, {cpu:.0f} CPU s, {1000 * cpu / count:.1f} CPU ms an input"
    )
    print("rows: " + ", ".join(f"{n} {status}" for status, n in sorted(Counter(rows["status"]).items())))
    print(
        f"{'committed':>10} {'seconds':>8} " + " ".join(f"{r:>9}" for r in (*ROLES, "own")) + "  MiB of PSS"
    )
    for share in (0.1, 0.5, 1.0):
        sample = done.at(share)
        held = " ".join(f"{sample.memory[role] / MIB:9.0f}" for role in ROLES)
        print(f"{share:10.0%} {sample.seconds:8.0f} {held} {sample.driver_own / MIB:9.0f}")
    peaks = " ".join(f"{max(s.memory[role] for s in done.watch.samples) / MIB:9.0f}" for role in ROLES)
    print(f"{'peak':>10} {'':8} {peaks} {max(s.driver_own for s in done.watch.samples) / MIB:9.0f}")


def check(work: Work, rows: pd.DataFrame, statuses: dict[bytes, str | None]) -> None:
    """Say whether every input has exactly one row, and the status that its maker knows."""
    found = statuses_of(rows, work.inputs)
    once = found.keys() == statuses.keys()
    wrong = {n: (found.get(n), s) for n, s in statuses.items() if s and found.get(n) != s}
    print(f"exactly one row each: {'yes' if once else 'NO'}; statuses other than expected: {wrong or 'none'}")


def measure(job: str, place: Path, statuses: dict[bytes, str | None], engine: str, kill: bool) -> None:
    """One job: left alone, then killed at half and run again."""
    works = [
        Work(job, place / f"{job}-{name}", place / "inputs", place / "weights", engine)
        for name in ("whole", "killed")
    ]
    whole = run(works[0])
    rows = works[0].rows()
    print_run(works[0], whole, rows)
    check(works[0], rows, statuses)
    print(f"left behind: {left_behind(works[0], whole.watch) or 'nothing'}")
    if not kill:
        return
    killed = run(works[1], kill_at=works[0].commits() // 2)
    orphans = wait_until_gone(killed.watch.seen if engine == "local" else ())
    committed = works[1].commits()
    resumed = run(works[1])
    same = works[1].rows().equals(rows)
    print(
        f"killed with {committed} of {works[0].commits()} chunks committed: {len(orphans)} processes left after "
        f"{GONE_WITHIN:.0f} s; resumed in {resumed.seconds:.0f} s; rows equal: {'yes' if same else 'NO'}; left behind: "
        f"{left_behind(works[1], resumed.watch) or 'nothing'}"
    )


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
        make_linear_weights(place / "weights")
        for job in options.job or ("score", "extract"):
            measure(job, place, statuses, options.engine, not options.without_kill)


if __name__ == "__main__":
    main()
