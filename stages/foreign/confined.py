"""Runs the child that opens a foreign checkpoint, and says what became of it, whatever it did."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

from torch import Tensor

from ffpipe.manifests.content import open_regular
from ffpipe.manifests.errors import IntegrityError, StorageError, UsageError, WeightsError
from ffpipe.manifests.inputs import display_path
from ffpipe.models import tensors
from ffpipe.models.pretrained import listed
from ffpipe.stages.confined import ChildDied, ChildStalled, ConfinedChild
from ffpipe.stages.decode.channel import Message
from ffpipe.stages.foreign.reading import MAX_FILE, Taken

_CHILD = "ffpipe.stages.foreign.child"
#: CPU seconds for any file, and bytes of it that take one more.
_SECONDS, _BYTES_PER_SECOND = 60.0, 20 << 20
#: Seconds that the libraries may take to start, and what a second of work may take, on a crowded machine.
_START_SECONDS, _CROWD = 120.0, 4
_WANTED = "give a checkpoint (.pth, .pt, .bin, .ckpt, .safetensors)"


@dataclass(frozen=True, slots=True)
class Source:
    """A foreign file: its name for people, its size in bytes and its sha256, hex."""

    name: str
    bytes: int
    sha256: str


def convert_confined(path: Path, seconds: float = _SECONDS) -> tuple[Source, Taken, dict[str, Tensor]]:
    """The tensors of a checkpoint that anybody may have made, read in a child without network, bounded and killable.

    A symlink to a regular file is followed, as the caches of model hubs have them. Nothing stays on disk. `seconds` of
    the processor are granted, and more for a large file.

    Raises:
        UsageError: there is no such file, or it is no regular one.
        WeightsError: it is not taken, with the reason.
        StorageError: it cannot be read, was changed meanwhile (IntegrityError), or the temporary folder is full.
    """
    with _opened(path) as file, tempfile.TemporaryFile(prefix="ffpipe-") as scratch:
        size, sha256 = os.fstat(file.fileno()).st_size, _sha256(file)
        source = Source(display_path(path), size, sha256)
        if size > MAX_FILE:
            raise WeightsError(f"{source.name} has {size} bytes; the limit is {MAX_FILE}")
        taken = _taken(source, seconds + size / _BYTES_PER_SECOND, file.fileno(), scratch.fileno())
        if _sha256(file) != sha256:
            raise IntegrityError(f"{source.name} was changed while it was read; nothing was taken from it")
        return source, taken, _tensors(source, scratch)


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    """The file, once it is known to be a regular one."""
    name = display_path(path)
    try:
        file = open_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{name}: no such file") from None
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise UsageError(f"{name} is no regular file; {_WANTED}") from None
        raise StorageError(f"{name} cannot be read: {error.strerror}") from None
    with file:
        yield file


def _sha256(file: FileIO) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


def _taken(source: Source, seconds: float, given: int, scratch: int) -> Taken:
    deadline = time.monotonic() + _START_SECONDS + _CROWD * seconds
    with ConfinedChild(_CHILD, [str(given), str(scratch), str(seconds)], [given, scratch]) as child:
        try:
            message = child.receive(deadline)
        except ChildStalled:
            raise WeightsError(f"{source.name}: its reader was not done in time and was killed") from None
        except ChildDied as error:
            why = "it used up its CPU seconds" if error.signal == signal.SIGXCPU else str(error)
            raise WeightsError(f"{source.name} cannot be read: {why}") from None
    return _facts(source, message)


def _facts(source: Source, message: Message) -> Taken:
    if message["kind"] == "disk":
        raise StorageError(
            f"{source.name}: {message['reason']}; its tensors pass through {tempfile.gettempdir()}"
        )
    if message["kind"] == "error":
        raise WeightsError(f"{source.name} {message['reason']}")
    return Taken(str(message["format"]), tuple(message["place"]), tuple(message["left_out"]))


def _tensors(source: Source, scratch: IO[bytes]) -> dict[str, Tensor]:
    """What the child wrote, read as if a stranger had written it: a child that was taken over is one."""
    try:
        found = tensors.load(Path(f"/proc/self/fd/{scratch.fileno()}"))
    except ValueError as error:
        raise WeightsError(f"{source.name}: its reader wrote no sound tensors: {error}") from None
    if broken := tensors.not_finite(found):
        raise WeightsError(
            f"{source.name} holds NaN or infinity in {listed(broken)}: no score can come of it"
        )
    return found
