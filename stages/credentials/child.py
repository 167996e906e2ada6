"""The child that reads one medium's content credentials: confined before it opens anything, and ended with it."""

from __future__ import annotations

import os
import socket

from ffpipe.stages.decode.channel import Channel, ChannelClosed
from ffpipe.stages.decode.protection import bound_cpu, confine, die_with_parent

#: Address space in bytes, whatever the file's size: a picture is held whole, a video is read in pieces.
_MEMORY = 2 << 30


def main(arguments: list[str]) -> None:
    """Protect this process, then say what the credentials of the one file are.

    Arguments: parent's process id, descriptors of the socket, the medium and the trust list (-1: none), CPU seconds.
    """
    parent, channel_end, given, trust, seconds = arguments
    die_with_parent(int(parent))
    confine(_MEMORY)
    bound_cpu(float(seconds))
    channel = Channel(socket.socket(fileno=int(channel_end)))
    try:
        _read(channel, int(given), int(trust))
    except ChannelClosed:
        return


def _read(channel: Channel, given: int, trust: int) -> None:
    from ffpipe.stages.credentials.reading import read

    anchors = ""
    if trust >= 0:
        with os.fdopen(trust, encoding="ascii", errors="replace") as file:
            anchors = file.read()
    try:
        with os.fdopen(given, "rb") as medium:
            channel.send(kind="end", **read(medium, anchors))
    except MemoryError:
        channel.send(kind="error", reason="it needs more memory than the limit")
