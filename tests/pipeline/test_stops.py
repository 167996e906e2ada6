"""A worker that was stopped is ended by its guard, after as many looks in a row as it is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from processes import children_of, processes, wait_until, wait_until_gone

WORKER = """
import sys, time
from ffpipe.pipeline.stops import guard_against_stops
guard_against_stops(int(sys.argv[1]), float(sys.argv[2]))
guard_against_stops(1, 0.01)
print("guarded", flush=True)
time.sleep(600)
"""


def start(looks: int, seconds: float) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", WORKER, str(looks), str(seconds)]
    worker = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "guarded\n"
    return worker


def test_a_stopped_worker_is_ended_and_its_guard_with_it() -> None:
    with start(3, 0.02) as worker:
        guard = processes(children_of(worker.pid))
        assert len(guard) == 1
        os.kill(worker.pid, signal.SIGSTOP)
        assert worker.wait(60) == -signal.SIGKILL
        assert not wait_until_gone(guard)


def test_a_worker_that_goes_on_in_time_is_left_alone_and_the_guard_ends_with_it() -> None:
    with start(10**6, 0.01) as worker:
        guard = processes(children_of(worker.pid))
        assert len(guard) == 1
        os.kill(worker.pid, signal.SIGSTOP)
        os.kill(worker.pid, signal.SIGCONT)
        assert wait_until(lambda: worker.poll() is None)
        worker.kill()
        worker.wait()
        assert not wait_until_gone(guard)
