"""Runs the child that makes the copies of a video, and says what became of it, whatever it did."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, replace

from ffpipe.manifests.errors import MediaError, StorageError
from ffpipe.manifests.records import Status
from ffpipe.stages.confined import ChildDied, ChildStalled, ConfinedChild
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.channel import Message
from ffpipe.stages.transcode.encoding import Transcoded

#: Seconds granted for each second of video and each copy, on a machine whose cores are all busy.
_SECONDS_PER_COPY = 60.0
_CHILD = "ffpipe.stages.transcode.child"


def transcode_confined(path: str, outputs: Mapping[int, int], limits: Limits) -> Transcoded:
    """`encoding.transcode` in a child that can reach and change nothing else, bounded and killed when it stalls.

    outputs: rate factor -> descriptor of an empty file, open for writing, so that no file name reaches the child's
    encoder. Memory and time grow with the number of copies.

    Raises:
        MediaError: the video cannot be used, or the child died or stalled over it.
        StorageError: the disk is full, or cannot be written. It has the reason alone: only the caller knows the files.
    """
    bounds = replace(
        limits,
        memory_bytes=limits.memory_bytes * (1 + len(outputs)),
        seconds_per_second=limits.seconds_per_second + _SECONDS_PER_COPY * len(outputs),
    )
    settings = [json.dumps(asdict(bounds)), path, json.dumps(dict(outputs))]
    with ConfinedChild(_CHILD, settings, list(outputs.values())) as child:
        return _facts(_followed(child, bounds))


def _followed(child: ConfinedChild, limits: Limits) -> Message:
    """The child's last message. Raises MediaError where it dies or stalls."""
    began, allowed = time.monotonic(), limits.wall_seconds
    while True:
        try:
            message = child.receive(began + allowed)
        except ChildStalled as error:
            raise MediaError(Status.TIMEOUT, f"not done in {allowed:.0f} s") from error
        except ChildDied as error:
            raise _obituary(error) from error
        if message["kind"] != "header":
            return message
        allowed += limits.allowance(float(message["duration"]))


def _obituary(died: ChildDied) -> MediaError:
    if died.signal == signal.SIGXCPU:
        return MediaError(Status.TIMEOUT, "it used up its CPU seconds")
    if died.signal == signal.SIGXFSZ:
        return MediaError(Status.TOO_LARGE, "a copy grew beyond the limit on bytes")
    return MediaError(Status.CRASHED, str(died))


def _facts(message: Message) -> Transcoded:
    kind = message.pop("kind")
    if kind == "disk":
        raise StorageError(str(message["reason"]))
    if kind == "error":
        raise MediaError(message["status"], message["reason"])
    return Transcoded(**message)
