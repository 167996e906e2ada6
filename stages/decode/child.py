"""The decoding child: one process that opens media for its parent, one after another, and can be killed.

Started by `sandbox.DecodeSandbox` alone. It imports decoders and NumPy, never a deep-learning library. A Python
error that is not the medium's fault ends it with a traceback, which the parent reports as a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from dataclasses import asdict

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Pictures, Status
from ffpipe.stages.decode import Decoding, Limits, load_decoder
from ffpipe.stages.decode.channel import MAX_REQUEST, SLOTS, Channel, ChannelClosed, Message, SharedPictures
from ffpipe.stages.decode.contract import Backend, Picture
from ffpipe.stages.decode.pictures import Archives, granted_seconds
from ffpipe.stages.decode.protection import bound_cpu, confine, die_with_parent
from ffpipe.stages.sampling import Sampling


def main(arguments: list[str]) -> None:
    """Protect this process, then serve until the parent closes the channel.

    Arguments: parent's process id, socket descriptor, shared memory descriptor, decoder, limits as JSON.
    """
    parent, channel_end, shared, decoder, bounds = arguments
    die_with_parent(int(parent))
    limits = Limits(**json.loads(bounds))
    protection = confine(limits.memory_bytes)
    channel = Channel(socket.socket(fileno=int(channel_end)), MAX_REQUEST)
    pictures = SharedPictures(int(shared), limits.max_pixels)
    server = _Server(channel, pictures, load_decoder(decoder), limits)
    channel.send(kind="ready", protection=asdict(protection))
    try:
        server.serve()
    except ChannelClosed:
        return


def requested(request: Message) -> bytes | Pictures:
    """The medium that a request to open names."""
    listed = request["pictures"]
    if listed is None:
        return os.fsencode(request["path"])
    return Pictures(**{**listed, "names": tuple(listed["names"])})


class _Stopped(Exception):
    """The parent wants no more of this medium."""


class _Server:
    """Answers `open` with a header, pictures and an end, or with an error."""

    def __init__(self, channel: Channel, pictures: SharedPictures, backend: Backend, limits: Limits) -> None:
        self._channel = channel
        self._pictures = pictures
        self._backend = backend
        self._limits = limits
        self._free: list[int] = []
        self._archives = Archives()

    def serve(self) -> None:
        """One medium after another."""
        while True:
            request = self._channel.receive()
            if request["kind"] != "open":
                continue  # a slot given back, or a stop, that crossed the end of its medium
            try:
                self._decode(request)
            except MediaError as error:
                self._channel.send(kind="error", status=error.status, reason=error.reason, worn_out=False)
            except MemoryError:
                reason = "decoding it needs more memory than the limit"
                self._channel.send(kind="error", status=Status.TOO_LARGE, reason=reason, worn_out=True)
                return

    def _decode(self, request: Message) -> None:
        self._free = list(range(SLOTS))
        medium = requested(request)
        granted = granted_seconds(medium, self._limits) if isinstance(medium, Pictures) else 0.0
        bound_cpu(self._limits.cpu_seconds + granted)
        sampling = Sampling(**request["sampling"]) if request["sampling"] else None
        with Decoding(medium, sampling, self._backend, self._limits, self._archives) as decoding:
            bound_cpu(self._limits.cpu_seconds + self._limits.allowance(decoding.duration))
            self._channel.send(
                kind="header", probe=asdict(decoding.probe), targets=decoding.targets, file=decoding.file
            )
            if request["header_only"]:
                decoding.partial_reason = decoding.cut_short()
            else:
                with contextlib.suppress(_Stopped):
                    for picture in decoding.pictures():
                        self._give(picture)
            self._channel.send(
                kind="end",
                probe=asdict(decoding.probe),
                covered=decoding.covered,
                partial_reason=decoding.partial_reason,
            )

    def _give(self, picture: Picture) -> None:
        slot = self._free_slot()
        picture.render(self._pictures.view(slot, picture.height, picture.width))
        self._channel.send(
            kind="picture",
            slot=slot,
            index=picture.index,
            pts=picture.pts_seconds,
            width=picture.width,
            height=picture.height,
        )

    def _free_slot(self) -> int:
        """A place for a picture, waiting for the parent to give one back.

        Raises:
            _Stopped: the parent wants no more.
        """
        while self._channel.pending() or not self._free:
            message = self._channel.receive()
            if message["kind"] == "stop":
                raise _Stopped
            self._free.append(int(message["slot"]))
        return self._free.pop()
