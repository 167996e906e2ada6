"""An extract job whose workers and decoding children fail for real, at the file whose name says how."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ffpipe.pipeline.engine import Worker
from ffpipe.pipeline.extract import ExtractJob
from ffpipe.stages import confined
from ffpipe.stages.decode.sandbox import DecodeSandbox

#: What a child does instead of decoding, as the body of a function of its server.
_EVIL = {
    "nonsense": "self._channel._socket.sendall(b'\\0\\0\\0\\x05hello')",
    "endless": "self._channel._socket.sendall(b'\\xff' * 1000)",
    "wrong facts": "self._channel.send(kind='header', probe={'width': 'wide'}, targets=-1)",
    "wrong picture": (
        "self._channel.send(kind='header', probe={}, targets=1, file=None); "
        "self._channel.send(kind='picture', slot=77, index=0, pts=0, width=1, height=1)"
    ),
    "out of turn": "self._channel.send(kind='picture', slot=0)",
    "memory": "bytearray(1 << 50)",
}
_SOUND_BOOT = confined._BOOT
_EVIL_BOOT = """
import sys
sys.path.insert(0, sys.argv.pop(1))
assert sys.argv.pop(1) == "ffpipe.stages.decode.child"
from ffpipe.stages.decode import child
def decode(self, request):
    {evil}
child._Server._decode = decode
child.main(sys.argv[1:])
"""


#: What happens to the child once it has the file open, or to the worker.
_SIGNALS = {"killed": signal.SIGKILL, "segfault": signal.SIGSEGV, "stopped": signal.SIGSTOP}
KINDS = ("poison", *_SIGNALS, *_EVIL, "sound")


def file_name(kind: str) -> str:
    """The file at which a kind of fault happens."""
    return f"{kind.replace(' ', '-')}.mp4"


class FaultyExtract(ExtractJob):
    """Pickled as any job; its faults are put in place inside the worker process."""

    __slots__ = ()

    def build(self) -> Worker:
        opening = DecodeSandbox.open
        if opening.__name__ == "open":
            DecodeSandbox.open = _failing(opening)  # type: ignore[method-assign]
        return super().build()


def _failing(opening: Callable[..., Any]) -> Callable[..., Any]:
    def open_failing(self: DecodeSandbox, path: str, *arguments: Any, **more: Any) -> Any:
        kind = Path(path).stem.replace("-", " ")
        if kind == "poison":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind not in _EVIL:
            opened = opening(self, path, *arguments, **more)
            if kind in _SIGNALS:
                os.kill(self.pid, _SIGNALS[kind])
            return opened
        self.close()
        confined._BOOT = _EVIL_BOOT.format(evil=_EVIL[kind])
        try:
            return opening(self, path, *arguments, **more)
        finally:
            confined._BOOT = _SOUND_BOOT

    return open_failing
