"""Reads from an mp4's own boxes what FFmpeg does not tell: whether its tracks are encrypted."""

from __future__ import annotations

import os
from collections.abc import Iterator

#: The way from the file to a track's sample descriptions.
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
#: Sample entries of encrypted video (ISO/IEC 23001-7).
_ENCRYPTED = frozenset({b"encv", b"drmi"})
#: A header larger than this many boxes a level is not worth reading.
_MAX_BOXES = 4096


def has_encrypted_video(descriptor: int, size: int) -> bool:
    """Whether an mp4 or mov of `size` bytes says that a video track is encrypted."""
    return any(name in _ENCRYPTED for name in _sample_entries(descriptor, 0, size, 0))


def _sample_entries(descriptor: int, start: int, end: int, level: int) -> Iterator[bytes]:
    for name, content, stop in _boxes(descriptor, start, end):
        if name != _PATH[level]:
            continue
        if level + 1 < len(_PATH):
            yield from _sample_entries(descriptor, content, stop, level + 1)
        else:
            yield from (entry for entry, _, _ in _boxes(descriptor, content + 8, stop))


def _boxes(descriptor: int, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start of content and end of each box between two offsets, as far as they make sense."""
    for _ in range(_MAX_BOXES):
        header = os.pread(descriptor, 16, start)
        if len(header) < 8 or start >= end:
            return
        length, name, content = int.from_bytes(header[:4], "big"), header[4:8], start + 8
        if length == 1:
            length, content = int.from_bytes(header[8:16], "big"), start + 16
        elif length == 0:
            length = end - start
        if length < content - start:
            return
        yield name, content, min(start + length, end)
        start += length
