"""One child process for one dangerous job: started apart, listened to while it works, killed when it stalls.

What the child does to itself (`decode.protection`) is the first thing its `main` has to do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType

from ffpipe.stages.decode.channel import Channel, ChannelClosed, ChannelTimeout, Message
from ffpipe.stages.decode.sandbox import PACKAGE_ROOT, child_environment

_BOOT = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    "import importlib; importlib.import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)
#: Bytes of a child's last words that are read.
_WORDS = 1 << 16


class ChildStalled(Exception):
    """The child said nothing within its time; it is killed when its context ends."""


class ChildDied(Exception):
    """The child ended without a result; `signal` is what killed it, None where it ended by itself."""

    def __init__(self, code: int, words: str) -> None:
        self.signal = signal.Signals(-code) if code < 0 else None
        cause = f"signal {self.signal.name}" if self.signal else f"exit code {code}"
        super().__init__(f"its child died ({cause}){': ' + words if words else ''}")


class ConfinedChild:
    """A running child; use it as a context, from one thread that outlives it.

    `module` has a `main(arguments)`, which is given the parent's process id, the descriptor of its end of a
    `Channel`, and `settings`. The child inherits `descriptors`, so that no file name need reach it, and the environment
    without its secrets.
    """

    def __init__(self, module: str, settings: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        with ExitStack() as stack:
            # In memory, since a full disk must not keep a child from saying so.
            descriptor = os.memfd_create("ffpipe-stderr", os.MFD_CLOEXEC)
            self._words = stack.enter_context(os.fdopen(descriptor, "w+b"))
            ours, theirs = socket.socketpair()
            self._channel = Channel(ours)
            stack.callback(self._channel.close)
            with theirs:
                arguments = [module, str(os.getpid()), str(theirs.fileno()), *settings]
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", _BOOT, PACKAGE_ROOT, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=self._words,
                    stderr=self._words,
                    pass_fds=(theirs.fileno(), *descriptors),
                    cwd="/",
                    env=child_environment(),
                    start_new_session=True,
                )
            stack.callback(self._end)
            self._stack = stack.pop_all()

    def receive(self, deadline: float) -> Message:
        """The next message, until a time of `time.monotonic`. Raises ChildStalled and ChildDied."""
        try:
            return self._channel.receive(max(deadline - time.monotonic(), 0.001))
        except ChannelTimeout as error:
            raise ChildStalled from error
        except ChannelClosed as error:
            code = self._process.wait()
            self._words.seek(0)
            lines = self._words.read(_WORDS).decode(errors="replace").strip().splitlines()
            raise ChildDied(code, lines[-1] if lines else "") from error

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> ConfinedChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
