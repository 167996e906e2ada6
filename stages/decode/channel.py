"""How a decoding child and its parent talk: short JSON messages by socket, pixels through shared memory."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import socket
import time
from typing import Any

import numpy as np

from ffpipe.stages.decode.contract import Pixels

Message = dict[str, Any]

#: Pictures in flight: one is looked at, one waits, one is being decoded.
SLOTS = 3
#: Longest message accepted, in bytes: a path and its options fit many times over.
_MAX_MESSAGE = 1 << 20
#: The same of what a parent asks of its child, since a sequence of pictures is asked for by all their names.
MAX_REQUEST = 64 << 20
#: Shared memory above this many bytes is given back after each medium.
_KEEP_BYTES = 128 << 20
#: Sealed so that a child gone wild cannot shrink the memory under its reader (from <linux/memfd.h>).
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class ChannelClosed(Exception):
    """The other side has ended."""


class ChannelTimeout(Exception):
    """The other side said nothing in time."""


class Channel:
    """Messages over a stream socket, each a four-byte length and JSON; undecodable file names survive."""

    def __init__(self, end: socket.socket, longest: int = _MAX_MESSAGE) -> None:
        self._socket = end
        self._longest = longest
        self._buffer = bytearray()

    def send(self, **message: object) -> None:
        """Send one message.

        Raises:
            ChannelClosed: nobody reads it.
        """
        body = json.dumps(message).encode()
        try:
            self._socket.sendall(len(body).to_bytes(4, "big") + body)
        except OSError as error:
            raise ChannelClosed from error

    def receive(self, timeout: float | None = None) -> Message:
        """The next message, waiting at most `timeout` seconds for it.

        Raises:
            ChannelTimeout: it did not come.
            ChannelClosed: the other side ended, or talks nonsense.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        length = int.from_bytes(self._take(4, deadline), "big")
        if length > self._longest:
            raise ChannelClosed
        try:
            message = json.loads(self._take(length, deadline))
        except (ValueError, RecursionError) as error:
            raise ChannelClosed from error
        if not isinstance(message, dict):
            raise ChannelClosed
        return message

    def pending(self) -> bool:
        """Whether a message has begun to arrive."""
        return bool(self._buffer) or bool(select.select([self._socket], [], [], 0)[0])

    def _take(self, count: int, deadline: float | None) -> bytes:
        while len(self._buffer) < count:
            self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-3))
            try:
                chunk = self._socket.recv(1 << 16)
            except TimeoutError as error:
                raise ChannelTimeout from error
            except OSError as error:
                raise ChannelClosed from error
            if not chunk:
                raise ChannelClosed
            self._buffer += chunk
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def close(self) -> None:
        """End the conversation."""
        self._socket.close()


class SharedPictures:
    """SLOTS places for one RGB picture each, in memory that both processes map.

    The memory is sparse: a page costs nothing until a picture is written to it.
    """

    def __init__(self, descriptor: int, max_pixels: int) -> None:
        self.descriptor = descriptor
        self._stride = slot_bytes(max_pixels)
        self._map = mmap.mmap(descriptor, SLOTS * self._stride)
        self._bytes: Pixels = np.frombuffer(self._map, np.uint8)
        self._used = 0

    def view(self, slot: int, height: int, width: int) -> Pixels:
        """The picture in a slot, (height, width, 3).

        Raises:
            ValueError: there is no such slot, or it is too small.
        """
        size = height * width * 3
        if not 0 <= slot < SLOTS or height < 1 or width < 1 or size > self._stride:
            raise ValueError(f"slot {slot} of {SLOTS} cannot hold {width}x{height} pixels")
        self._used = max(self._used, size)
        start = slot * self._stride
        return self._bytes[start : start + size].reshape(height, width, 3)

    def trim(self) -> None:
        """Give memory back to the system if much was used."""
        if self._used * SLOTS > _KEEP_BYTES:
            self._map.madvise(mmap.MADV_REMOVE)
            self._used = 0


def slot_bytes(max_pixels: int) -> int:
    """Bytes set aside for one picture, whole pages."""
    return -(-max_pixels * 3 // mmap.PAGESIZE) * mmap.PAGESIZE


def create_shared(max_pixels: int) -> int:
    """A descriptor of memory for SharedPictures, of fixed size."""
    descriptor = os.memfd_create("ffpipe-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, SLOTS * slot_bytes(max_pixels))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor
