"""A bound on a worker's own memory: past it the worker ends itself, which costs the medium at hand and nothing else.

Resident anonymous memory is watched rather than address space limited (RLIMIT_AS): torch and CUDA reserve far more
than they use, and a failed allocation surfaces as one of many exceptions in the midst of native code.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

_GIB = 1 << 30
#: Seconds between two looks; memory is filled at about a GiB a second.
_LOOK_SECONDS = 0.1
#: Share of the machine's memory that its workers may take together.
_SHARE = 0.8
#: A worker needs about 1 GiB; below this an ordinary medium of many megapixels would not fit.
_LEAST = 4 * _GIB
#: The kernel, short of memory, ends processes of the highest score first: a worker before its driver.
_OOM_SCORE = "1000"
#: How native allocators name themselves in errors that are not MemoryError.
_EXHAUSTED_WORDS = ("can't allocate memory", "insufficient memory", "failed to allocate", "bad_alloc")


def machine_memory() -> int:
    """Bytes of memory that this process may hope for: the machine's, or its control group's where that is less."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such file, or the word "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def default_limit(memory: int, cores: int) -> int:
    """Bytes for one worker of a machine: its core's share of the memory, but not less than a worker needs."""
    together = int(_SHARE * memory)
    return min(together, max(_LEAST, together // cores))


def guard(limit: int | None) -> None:
    """End this process with SIGKILL once it holds more than `limit` bytes; None takes the machine's default.

    A later call changes the limit.
    """
    global _guard
    if limit is None:
        limit = default_limit(machine_memory(), len(os.sched_getaffinity(0)))
    if _guard is None:
        with contextlib.suppress(OSError):  # a container may forbid it; the guard itself needs no right
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
        _guard = _Guard(limit)
        _guard.start()
    _guard.limit = limit


def is_exhausted(error: Exception) -> bool:
    """Whether an allocation on this machine failed; a GPU's memory does not count."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    return "cuda" not in text and any(word in text for word in _EXHAUSTED_WORDS)


def end_here() -> NoReturn:
    """End this worker as if it had been killed, so that the engine takes its medium for a crashed one."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("SIGKILL cannot be outlived")


class _Guard(threading.Thread):
    """Looks at this process's memory for as long as it lives."""

    def __init__(self, limit: int) -> None:
        super().__init__(name="memory guard", daemon=True)
        self.limit = limit

    def run(self) -> None:
        while own_memory() <= self.limit:
            time.sleep(_LOOK_SECONDS)
        end_here()


_guard: _Guard | None = None


def own_memory() -> int:
    """Bytes of resident memory that are this process's alone; files that it maps and Ray's store do not count."""
    with Path("/proc/self/status").open() as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon:"))
