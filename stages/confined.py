"""One child process for dangerous work: started apart, listened to while it works, killed when it stalls.

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
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from ffpipe.stages.decode.channel import Channel, ChannelClosed, ChannelTimeout, Message

#: The folder that holds this very package; a child finds it there, and nothing in the current folder.
PACKAGE_ROOT = str(Path(__file__).absolute().parents[2])
_BOOT = (
    "import sys; root = sys.argv.pop(1); root in sys.path or sys.path.insert(0, root); "
    "import importlib; importlib.import_module(sys.argv.pop(1)).main(sys.argv[1:])"
)
#: One thread each, few memory arenas (address space is bounded), memory of pictures kept for the next ones, and
#: silence.
_CHILD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    "OPENCV_LOG_LEVEL": "OFF",
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
}
#: Variables so named hold what a hostile medium must not find in the child that reads it.
_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "PASSPHRASE", "CREDENTIAL", "API_KEY", "ACCESS_KEY")
#: Seconds that a child which closed its channel gets to end by itself, so that it can be said how.
END_SECONDS = 5.0
#: Bytes of a child's last words that are read.
_WORDS = 1 << 16


class ChildStalled(Exception):
    """The child said nothing within its time; it is killed when its context ends."""


class ChildDied(Exception):
    """The child ended without a result.

    `signal` is what killed it, None where it ended by itself; `cause` says so in words, and `words` is the last line
    that it printed.
    """

    def __init__(self, code: int, words: str) -> None:
        self.signal = signal.Signals(-code) if code < 0 else None
        self.cause = f"signal {self.signal.name}" if self.signal else f"exit code {code}"
        self.words = words
        super().__init__(self.told("its child died"))

    def told(self, what: str) -> str:
        """What happened, with its cause and the child's last words."""
        return f"{what} ({self.cause}){': ' + self.words if self.words else ''}"


class ConfinedChild:
    """A running child; use it as a context or close it, from one thread that outlives it.

    `module` has a `main(arguments)`, which is given the parent's process id, the descriptor of its end of a
    `Channel`, and `settings`. The child inherits `descriptors`, so that no file name need reach it, and the environment
    without its secrets.
    """

    def __init__(self, module: str, settings: Sequence[str], descriptors: Sequence[int] = ()) -> None:
        # In memory, since a full disk must not keep a child from saying so.
        self._words = os.memfd_create("ffpipe-stderr", os.MFD_CLOEXEC)
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        try:
            with theirs:
                self._process = _start(module, theirs.fileno(), settings, descriptors, self._words)
        except BaseException:
            self.channel.close()
            os.close(self._words)
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def lives(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def receive(self, deadline: float) -> Message:
        """The next message, until a time of `time.monotonic`. Raises ChildStalled and ChildDied."""
        try:
            return self.channel.receive(max(deadline - time.monotonic(), 0.001))
        except ChannelTimeout as error:
            raise ChildStalled from error
        except ChannelClosed as error:
            raise self.ended() from error

    def ended(self, patience: float = END_SECONDS) -> ChildDied:
        """How the child ended; one that closed its channel and lives on after `patience` seconds is killed."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self.kill()
        lines = os.pread(self._words, _WORDS, 0).decode(errors="replace").strip().splitlines()
        return ChildDied(self._process.returncode, lines[-1] if lines else "")

    def kill(self) -> None:
        """End the child at once, whatever it does; how it ended can still be asked."""
        self._process.kill()
        self._process.wait()
        self.channel.close()

    def close(self) -> None:
        """Kill the child and free what belongs to it."""
        self.kill()
        if self._words >= 0:
            os.close(self._words)
            self._words = -1

    def __enter__(self) -> ConfinedChild:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _start(
    module: str, theirs: int, settings: Sequence[str], descriptors: Sequence[int], words: int
) -> subprocess.Popen[bytes]:
    arguments = [module, str(os.getpid()), str(theirs), *settings]
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT, PACKAGE_ROOT, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=words,
        stderr=words,
        pass_fds=(theirs, *descriptors),
        cwd="/",
        env=child_environment(),
        start_new_session=True,
    )


def child_environment() -> dict[str, str]:
    """This process's environment without its secrets (a Ray cluster's token, say), and with what makes a child lean."""
    kept = {n: v for n, v in os.environ.items() if not any(word in n.upper() for word in _SECRET_WORDS)}
    return kept | _CHILD_ENVIRONMENT
