"""Takes in one file: its body goes to the disk as it comes, within limits, and leaves nothing where it breaks off."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect

from ffpipe.manifests.durable import writing
from ffpipe.pipeline.output import size_text
from ffpipe.pipeline.serving.batches import Batch, State, Store, Upload, new_id
from ffpipe.pipeline.serving.refusal import Refused

#: Bytes that are held in memory of one upload before they are written.
_BLOCK = 1 << 20
#: Bytes of a name: more than any file system's path.
_LONGEST_NAME = 4096
#: Seconds without a byte after which an upload is given up.
STALLED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Bytes of a file, files of a batch, bytes of all uploads, and bytes of the disk that stay free."""

    file_bytes: int
    batch_files: int
    stored_bytes: int
    free_bytes: int


class Intake:
    """Takes files into batches; counts what is promised to uploads under way, so that several do not pass a limit."""

    def __init__(self, store: Store, limits: UploadLimits) -> None:
        self._store = store
        self.limits = limits
        self._lock = threading.Lock()
        self._coming: dict[str, tuple[str, int]] = {}

    async def take(self, batch: Batch, name: str, length: int | None, body: AsyncIterator[bytes]) -> Upload:
        """Store a file of so many bytes. Raises Refused for what is too large or broke off, StorageError."""
        check_name(name)
        if length is None:
            raise Refused(411, "say how long the file is (Content-Length), as browsers do")
        upload = Upload(new_id(), name, length)
        with self._promised(batch, upload):
            path = self._store.uploads(batch) / upload.id
            await _receive(body, path, length)
            with self._store.changing(batch):
                if batch.state is not State.OPEN or not self._store.holds(batch):
                    path.unlink(missing_ok=True)
                    raise Refused(409, "this batch was removed or started while the file came in")
                batch.uploads.append(upload)
        return upload

    @contextmanager
    def _promised(self, batch: Batch, upload: Upload) -> Iterator[None]:
        with self._lock:
            self._check(batch, upload.bytes)
            self._coming[upload.id] = (batch.id, upload.bytes)
            batch.touched = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                del self._coming[upload.id]

    def _check(self, batch: Batch, length: int) -> None:
        limits, coming = self.limits, sum(size for _, size in self._coming.values())
        if batch.state is not State.OPEN:
            raise Refused(409, "this batch takes no more files; begin another one")
        if length > limits.file_bytes:
            raise Refused(
                413, f"{size_text(length)} is too large: a file may have {size_text(limits.file_bytes)}"
            )
        files = len(batch.uploads) + sum(owner == batch.id for owner, _ in self._coming.values())
        if files >= limits.batch_files:
            raise Refused(413, f"a batch may have {limits.batch_files} files; begin another one")
        stored = self._store.stored_bytes()
        if stored + coming + length > limits.stored_bytes:
            raise Refused(
                507,
                f"uploads may take {size_text(limits.stored_bytes)} of this disk, and {size_text(stored + coming)} are "
                "taken; remove a batch, or wait until one is scored",
            )
        with writing(self._store.root):
            free = shutil.disk_usage(self._store.root).free
        if free - coming - length < limits.free_bytes:
            raise Refused(
                507,
                f"the disk has {size_text(free)} free, of which {size_text(limits.free_bytes)} stay free",
            )


def check_name(name: str) -> None:
    """Raises Refused for a name that no file can have, which is as far as names matter here."""
    size = len(name.encode("utf-8", "surrogateescape"))
    if not 0 < size <= _LONGEST_NAME or "\0" in name:
        raise Refused(
            400, f"a file's name has 1 to {_LONGEST_NAME} bytes, none of them NUL; this one has {size}"
        )


async def _receive(body: AsyncIterator[bytes], path: Path, length: int) -> None:
    """Write a body of exactly `length` bytes to a new file. Raises Refused, StorageError; the file is gone then."""
    whole = False
    try:
        with writing(path):
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            await _copy(body, file, path, length)
            with writing(path):
                await asyncio.to_thread(os.fsync, descriptor)
        whole = True
    finally:
        if not whole:
            path.unlink(missing_ok=True)


async def _copy(body: AsyncIterator[bytes], file: BinaryIO, path: Path, length: int) -> None:
    held, received = bytearray(), 0
    async for chunk in _in_time(body):
        received += len(chunk)
        if received > length:
            raise Refused(400, f"more bytes came than the {length} that were announced")
        held += chunk
        if len(held) >= _BLOCK:
            await _write(file, held, path)
    await _write(file, held, path)
    if received != length:
        raise Refused(400, f"the upload broke off after {received} of {length} bytes")


async def _write(file: BinaryIO, held: bytearray, path: Path) -> None:
    with writing(path):
        left = memoryview(bytes(held))
        while left:
            left = left[await asyncio.to_thread(file.write, left) :]
    held.clear()


async def _in_time(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks of a body. Raises Refused where the sender goes away or falls silent."""
    while True:
        try:
            yield await asyncio.wait_for(anext(body), STALLED_SECONDS)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                408, f"no byte came for {STALLED_SECONDS:.0f} seconds; send the file again"
            ) from None
        except ClientDisconnect:
            raise Refused(400, "the connection broke off before the file was whole") from None
