"""A process and all below it, sampled from outside while they work: what memory they hold, what CPU time they used."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from processes import Process, cmdline, descendants, facts, processes, stat_fields

#: Whose memory is told apart: the driver itself, its workers, the decoding children, and Ray's own processes.
ROLES = ("driver", "workers", "children", "others")


@dataclass(frozen=True)
class Sample:
    """What a tree held at one moment: bytes by role, counted once where processes share them; the driver's own bytes.

    done is what the caller counts as progress; members is how many processes there were of each role.
    """

    seconds: float
    done: int
    memory: dict[str, int]
    members: dict[str, int]
    driver_own: int


class Watch:
    """Samples a process tree from a thread of its own while the context lasts."""

    def __init__(self, pid: int, progress: Callable[[], int], every: float = 1.0) -> None:
        self.samples: list[Sample] = []
        self.seen: set[Process] = set()
        """Every process that was ever below the driver."""
        self.shared: set[Path] = set()
        """Every named piece of shared memory that any of them had mapped."""
        self._cpu: dict[int, float] = {}
        self._pid = pid
        self._progress = progress
        self._every = every
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def cpu_seconds(self) -> float:
        """CPU seconds of every process that was seen, up to when it was seen last."""
        return sum(self._cpu.values())

    def _run(self) -> None:
        while not self._stop.is_set():
            if sample := self._sample():
                self.samples.append(sample)
            self._stop.wait(self._every)

    def _sample(self) -> Sample | None:
        memory, members = dict.fromkeys(ROLES, 0), dict.fromkeys(ROLES, 0)
        family = {self._pid: "driver", **{pid: _role(cmdline(pid)) for pid in descendants(self._pid)}}
        self.seen |= processes(family.keys() - {self._pid})
        own = _rollup(self._pid).get("Anonymous")
        for pid, role in family.items():
            memory[role] += _rollup(pid).get("Pss", 0)
            members[role] += 1
            self.shared |= shared_memory(pid)
            if fields := stat_fields(pid):
                self._cpu[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if own is None:
            return None
        return Sample(time.monotonic() - self._began, self._progress(), memory, members, own)


def shared_memory(pid: int) -> set[Path]:
    """What a process has mapped of /dev/shm, as far as it still has a name."""
    places = (line.split(maxsplit=5)[-1] for line in facts(pid, "maps").splitlines())
    return {
        Path(os.fsdecode(p)) for p in places if p.startswith(b"/dev/shm/") and not p.endswith(b"(deleted)")
    }


def _role(line: bytes) -> str:
    if b"ffpipe.stages.decode.child" in line:
        return "children"
    # Ray names its idle workers apart from those at work.
    return "workers" if b"spawn_main" in line or line.startswith((b"ray::_work", b"ray::IDLE")) else "others"


def _rollup(pid: int) -> dict[str, int]:
    """Bytes by the kernel's names, summed over a process; nothing where it has ended."""
    rows = (line.split() for line in facts(pid, "smaps_rollup").splitlines())
    return {
        row[0].decode().rstrip(":"): int(row[1]) << 10 for row in rows if len(row) == 3 and row[2] == b"kB"
    }
