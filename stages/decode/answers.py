"""What a decoding child says, checked before anything relies on it: a hostile medium may speak through its mouth."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Probe, Status
from ffpipe.manifests.schemas import SCHEMAS
from ffpipe.stages.decode.channel import Message

#: The media table has counts of frames in 32 bits and a frame's index in 64, both signed.
_MOST_FRAMES, _LAST_INDEX = (1 << 31) - 1, (1 << 63) - 1


class Nonsense(Exception):
    """An answer that no decoder gives."""


def probe_of(message: Message) -> Probe:
    """The header's facts, each of the type that the media table has. Raises Nonsense."""
    columns = SCHEMAS["media"]
    try:
        probe = Probe(**message["probe"])
        for name in Probe.__slots__:
            pa.scalar(getattr(probe, name), columns.field(name).type)
    except (KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise Nonsense("facts of a header") from error
    if probe.duration is not None and not 0 <= probe.duration < math.inf:
        raise Nonsense("a duration")
    return probe


def count_of(message: Message, name: str, most: int = _MOST_FRAMES) -> int:
    """A number from 0 to `most`. Raises Nonsense."""
    value = message.get(name)
    if not isinstance(value, int) or not 0 <= value <= most:
        raise Nonsense(name)
    return value


def index_of(message: Message) -> int:
    """A picture's place in its stream. Raises Nonsense."""
    return count_of(message, "index", _LAST_INDEX)


def seconds_of(message: Message) -> float:
    """A picture's presentation time. Raises Nonsense."""
    value = message.get("pts")
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise Nonsense("a presentation time")
    return float(value)


def file_of(message: Message) -> tuple[int, ...] | None:
    """The facts of the file that was opened; None for a sequence. Raises Nonsense."""
    value = message.get("file")
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, int) for each in value):
        raise Nonsense("facts of the file")
    return tuple(value)


def reason_of(message: Message, name: str) -> str | None:
    """A text for people, or None. Raises Nonsense."""
    value: Any = message.get(name)
    if value is not None and not isinstance(value, str):
        raise Nonsense(name)
    return value


def refusal_of(message: Message) -> MediaError:
    """Why a medium cannot be used. Raises Nonsense."""
    try:
        status = Status(message["status"])
        if not status.failed:
            raise ValueError(status)
        return MediaError(status, str(message["reason"]))
    except (KeyError, ValueError) as error:
        raise Nonsense("a refusal") from error
