"""Reads from an mp4's own boxes what FFmpeg does not tell: encrypted tracks, and pictures that cannot be there."""

from __future__ import annotations

import os
from collections.abc import Iterator

#: The way from the file to a track's sample descriptions.
_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
#: Sample entries of encrypted video (ISO/IEC 23001-7).
_ENCRYPTED = frozenset({b"encv", b"drmi"})
#: A header larger than this many boxes a level is not worth reading.
_MAX_BOXES = 4096


#: The ways to a track's kind and to the tables that say how many samples it has, from its media box.
_HANDLER, _SIZES = (b"hdlr",), ((b"minf", b"stbl", b"stsz"), (b"minf", b"stbl", b"stz2"))
#: The way to a fragment's runs of samples.
_RUN = (b"moof", b"traf", b"trun")


def listed_pictures(descriptor: int, size: int) -> int:
    """Most samples that an mp4 or mov of `size` bytes lists of one video track, or in its fragments.

    A few bytes can list thousands of millions, each of which FFmpeg makes an entry of before it reads one.
    """
    tracks = [0]
    for start, end in _at(descriptor, 0, size, (b"moov", b"trak", b"mdia")):
        kinds = (os.pread(descriptor, 4, at + 8) for at, _ in _at(descriptor, start, end, _HANDLER))
        if b"vide" in kinds:
            tables = (place for path in _SIZES for place in _at(descriptor, start, end, path))
            tracks += [_number(descriptor, at + 8) for at, _ in tables]
    runs = sum(_number(descriptor, at + 4) for at, _ in _at(descriptor, 0, size, _RUN))
    return max(*tracks, runs)


def _number(descriptor: int, at: int) -> int:
    return int.from_bytes(os.pread(descriptor, 4, at), "big")


def _at(descriptor: int, start: int, end: int, path: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Where the contents of the boxes lie that a path of names leads to."""
    for name, content, stop in _boxes(descriptor, start, end):
        if name == path[0]:
            yield from _at(descriptor, content, stop, path[1:]) if len(path) > 1 else [(content, stop)]


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
        # A box may say that it ends where no file can: the next one is not even looked for.
        header = os.pread(descriptor, 16, start) if start < end else b""
        if len(header) < 8:
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
