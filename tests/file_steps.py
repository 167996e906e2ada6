"""Every step of an action on the file system, one by one: the process dies in front of it, or the disk is full."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

#: What makes or moves a name, or waits for the disk; between two of these nothing that lasts changes.
STEPS = ("link", "rename", "replace", "fsync", "unlink")


class _Steps:
    """Counts the steps, and does something in front of the one that is asked for."""

    def __init__(
        self, patch: pytest.MonkeyPatch, at: int | None, act: Callable[[], None], on: bool = False
    ) -> None:
        self.count = 0
        self._on = on
        for name in STEPS:
            patch.setattr(os, name, self._counting(getattr(os, name), at, act))

    def _counting(
        self, step: Callable[..., Any], at: int | None, act: Callable[[], None]
    ) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            if at is not None and (self.count == at or self._on and self.count > at):
                self.count += 1
                act()
            self.count += 1
            return step(*arguments, **more)

        return counted


def steps_of(action: Callable[[], object]) -> int:
    """How many steps an action takes."""
    with pytest.MonkeyPatch.context() as patch:
        steps = _Steps(patch, None, lambda: None)
        action()
        return steps.count


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run an action in a child process that is killed in front of a step; whether it was."""
    child = os.fork()
    if not child:
        with pytest.MonkeyPatch.context() as patch:
            _Steps(patch, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
            action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def full_at(step: int, action: Callable[[], object]) -> None:
    """Run an action on a disk that is full at one step."""

    def full() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        _Steps(patch, step, full)
        action()


def read_only_from(step: int, action: Callable[[], object]) -> None:
    """Run an action on a file system that turns read-only in front of a step, and stays so."""

    def refused() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with pytest.MonkeyPatch.context() as patch:
        _Steps(patch, step, refused, on=True)
        action()
