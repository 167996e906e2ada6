"""Processes of a run under test: who is below whom, who holds a decoding child, and who is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

#: Seconds after which no process of ours outlives its parent.
GONE_WITHIN = 5.0


def descendants(pid: int) -> Iterator[int]:
    for child in children_of(pid):
        yield child
        yield from descendants(child)


def children_of(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(c) for t in tasks for c in (t / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            found.add(pid)
    return found


def workers_of(driver: int) -> list[int]:
    """Processes below the driver that hold a decoding child, so they are in the middle of a medium."""
    return [pid for pid in descendants(driver) if any(b"decode" in cmdline(c) for c in children_of(pid))]


def cmdline(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def wait_until(true: Callable[[], bool], seconds: float = 600.0) -> bool:
    """Whether something became true in time."""
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def gone(pids: set[int]) -> bool:
    """Whether all of these have ended, within the time that they are given."""
    return wait_until(lambda: not alive(pids), GONE_WITHIN)


def takes_interrupts(pid: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM by now."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    caught = next(line.split()[1] for line in lines if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> 14 & 1)
