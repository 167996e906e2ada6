"""Ctrl-C and SIGTERM: one line on how to go on and exit code 130, whenever they come, and however often.

The first one during a job is raised in the main thread, so that what is open is closed. A second one ends the process
at once: whatever is killed when, nothing is half written, and no worker outlives its driver.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130
HOW_TO_GO_ON = "interrupted; run the same command again to go on from here"

_SHOW_CURSOR = b"\x1b[?25h"
_seen = False


def end_at_once() -> None:
    """From now on an interrupt ends the process where it is: for the time in which nothing has begun yet."""
    _handle_with(_end)


def raise_first() -> None:
    """From now on the first interrupt is a KeyboardInterrupt in the main thread, the second ends the process."""
    _handle_with(_raise)


def ignore_more() -> None:
    """From now on interrupts do nothing: the process is about to end with INTERRUPTED."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def seen() -> bool:
    """Whether an interrupt was raised; libraries may turn it into another exception on its way."""
    return _seen


def _handle_with(handler: signal._HANDLER) -> None:
    # What runs in a shell's background, or under nohup, was told to ignore Ctrl-C.
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGTERM, handler)


def _raise(_number: int, _frame: FrameType | None) -> None:
    global _seen  # noqa: PLW0603 - a signal handler has no other place
    _seen = True
    end_at_once()
    raise KeyboardInterrupt


def _end(_number: int, _frame: FrameType | None) -> None:
    cursor = _SHOW_CURSOR if sys.stderr is not None and sys.stderr.isatty() else b""
    os.write(2, cursor + HOW_TO_GO_ON.encode() + b"\n")
    os._exit(INTERRUPTED)
