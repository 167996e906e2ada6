"""Interrupts of a process of their own: the line, the exit code, and that a second one ends it at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from processes import takes_interrupts, wait_until

from ffpipe.pipeline.interrupts import HOW_TO_GO_ON, INTERRUPTED

BEFORE = "from ffpipe.pipeline import interrupts; interrupts.end_at_once(); import time; time.sleep(60)"
STUBBORN = """
import time
from ffpipe.pipeline import interrupts
interrupts.raise_first()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("seen", interrupts.seen(), flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_before_anything_has_begun_the_process_ends_with_the_line(number: int) -> None:
    process = subprocess.Popen([sys.executable, "-c", BEFORE], stderr=subprocess.PIPE, text=True)
    assert wait_until(lambda: takes_interrupts(process.pid))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (INTERRUPTED, f"{HOW_TO_GO_ON}\n")


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)])
def test_the_second_one_ends_a_process_that_is_still_cleaning_up(numbers: tuple[int, int]) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", STUBBORN], text=True, **pipes) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(numbers[0])
        assert process.stdout.readline() == "seen True\n"
        process.send_signal(numbers[1])
        assert process.wait(60) == INTERRUPTED
        assert process.stderr.read() == f"{HOW_TO_GO_ON}\n"


def test_what_was_told_to_ignore_ctrl_c_ignores_it() -> None:
    ignoring = f"import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n{BEFORE}"
    process = subprocess.Popen([sys.executable, "-c", ignoring], stderr=subprocess.PIPE)
    assert wait_until(lambda: takes_interrupts(process.pid))
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.1)
    assert process.poll() is None
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_program_takes_interrupts_while_it_is_still_imported(number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ffpipe", "demo", "--help"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert wait_until(lambda: takes_interrupts(process.pid) or process.poll() is not None)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said.strip()) == (INTERRUPTED, HOW_TO_GO_ON)
