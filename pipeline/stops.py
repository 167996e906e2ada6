"""A worker that somebody stopped (SIGSTOP, a debugger) is ended after a while, so that no job waits for it for ever.

Its guard is a tiny process of its own, since a stopped process cannot look after itself, and since Ray tells nobody
of a worker that is stopped. The guard counts its own looks, not the time: a whole job that is stopped from the
keyboard (Ctrl-Z) and continued has lost nothing. The engine then does with the worker's chunk what it does with that
of any dead worker.
"""

from __future__ import annotations

import os
import subprocess
import sys

#: Looks in a row that must find the worker stopped, and seconds between them.
LOOKS, SECONDS = 60, 1.0

# T is stopped, t stopped by a tracer. The name in front of the state may hold spaces and parentheses. It ends with
# the worker: an orphan has another parent.
_GUARD = """
import os, signal, sys, time
worker, looks, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
seen = 0
while os.getppid() == worker:
    with open(f"/proc/{worker}/stat", errors="replace") as file:
        state = file.read().rpartition(")")[2].split()[0]
    seen = seen + 1 if state in "Tt" else 0
    if seen >= looks:
        os.kill(worker, signal.SIGKILL)
        break
    time.sleep(seconds)
"""

_guards: dict[int, subprocess.Popen[bytes]] = {}


def guard_against_stops(looks: int = LOOKS, seconds: float = SECONDS) -> None:
    """Have this process killed once it was seen stopped `looks` times in a row; the second call does nothing."""
    if os.getpid() in _guards:
        return
    _guards[os.getpid()] = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), str(looks), str(seconds)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
    )
