"""Processes of a run under test: who is below whom, who holds a decoding child, and who is still there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

#: Seconds after which no process of ours outlives its parent.
GONE_WITHIN = 5.0


def descendants(pid: int) -> Iterator[int]:
    """Every process below one, parents first."""
    for child in children_of(pid):
        yield child
        yield from descendants(child)


def children_of(pid: int) -> list[int]:
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in list(Path(f"/proc/{pid}/task").iterdir()):
            # A thread that has just ended takes nothing from what the others have.
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (task / "children").read_text().split())
    return children


def facts(pid: int, name: str) -> bytes:
    """A file of /proc on a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def cmdline(pid: int) -> bytes:
    """The arguments of a process, parted by NUL."""
    return facts(pid, "cmdline")


def stat_fields(pid: int) -> list[bytes]:
    """/proc's fields from the state on, which follows the name in parentheses."""
    return facts(pid, "stat").rpartition(b")")[2].split()


class Process(NamedTuple):
    """A process as long as it lives: a number is given to another one later, but not with the same start."""

    pid: int
    started: int

    @property
    def lives(self) -> bool:
        """Whether it is there still; one that only waits to be collected is not."""
        fields = stat_fields(self.pid)
        return bool(fields) and fields[0] != b"Z" and int(fields[19]) == self.started


def processes(pids: Iterable[int]) -> set[Process]:
    """Those of the numbers that belong to a process now."""
    return {Process(pid, int(fields[19])) for pid in pids if (fields := stat_fields(pid))}


def family_of(driver: int) -> set[Process]:
    """All below a driver, but Ray's two agents: they hold no work and notice their raylet's end half a minute later."""
    return processes(pid for pid in descendants(driver) if b"Agent" not in cmdline(pid))


def workers_of(driver: int) -> list[int]:
    """Processes below the driver that hold a decoding child, so they are in the middle of a medium."""
    return [pid for pid in descendants(driver) if any(b"decode" in cmdline(c) for c in children_of(pid))]


def wait_until(true: Callable[[], bool], seconds: float = 600.0) -> bool:
    """Whether something became true in time."""
    deadline = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def wait_until_gone(members: Iterable[Process], seconds: float = GONE_WITHIN) -> set[Process]:
    """Those of the processes that still live after so many seconds."""
    watched = set(members)
    wait_until(lambda: not any(one.lives for one in watched), seconds)
    return {one for one in watched if one.lives}


def takes_interrupts(pid: int) -> bool:
    """Whether a process has a handler of its own for SIGTERM by now."""
    lines = facts(pid, "status").decode().splitlines()
    caught = next((line.split()[1] for line in lines if line.startswith("SigCgt")), "0")
    return bool(int(caught, 16) >> 14 & 1)
