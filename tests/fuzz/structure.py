"""Where the elements of a container stand: what a mutation that knows the format may aim at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Boxes of an mp4, and chunks of a RIFF file, that hold others.
_HOLDERS = frozenset(b"moov trak mdia minf stbl dinf edts mvex moof traf udta".split())
#: The same of Matroska: segment, tracks, entry, video, cluster, block group, cues, point, positions, seek head, seek.
_MASTERS = frozenset(
    {0x18538067, 0x1654AE6B, 0xAE, 0xE0, 0x1F43B675, 0xA0, 0x1C53BB6B, 0xBB, 0xB7, 0x114D9B74, 0x4DBB}
)


@dataclass(frozen=True, slots=True)
class Element:
    """A part of a file: all of it is content[start:end], and these ranges of it say its kind and its size.

    Kind and size are (start, length) in bytes; a length of 0 says that there is none. order is that of the size's
    bytes; vint that the size is one of EBML's, whose length stands in its first bits.
    """

    start: int
    end: int
    kind: tuple[int, int]
    size: tuple[int, int]
    order: str = "big"
    vint: bool = False


def elements(content: bytes) -> list[Element]:
    """The elements of a file that is still sound enough to be read; none where its kind has no such parts."""
    for magic, at, read in _READERS:
        if content[at : at + len(magic)] == magic:
            return list(read(content))
    return []


def _boxes(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    end = len(content) if end is None else end
    while start + 8 <= end:
        length, name = int.from_bytes(content[start : start + 4], "big"), content[start + 4 : start + 8]
        stop = min(start + length, end)
        if length < 8:
            return
        yield Element(start, stop, (start + 4, 4), (start, 4))
        if name in _HOLDERS:
            yield from _boxes(content, start + 8, stop)
        start = stop


def _ebml(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    end = len(content) if end is None else end
    while start + 2 <= end:
        name, kind = _vint_length(content[start]), start
        at = start + name
        if not name or at >= end or not (width := _vint_length(content[at])):
            return
        length = int.from_bytes(content[at : at + width], "big") & ((1 << 7 * width) - 1)
        inner = at + width
        stop = end if length == (1 << 7 * width) - 1 else min(inner + length, end)
        yield Element(start, stop, (kind, name), (at, width), vint=True)
        if int.from_bytes(content[kind:at], "big") in _MASTERS:
            yield from _ebml(content, inner, stop)
        start = stop


def _vint_length(first: int) -> int:
    """Bytes of a number whose first byte this is: EBML counts the zero bits before the first one."""
    return 9 - first.bit_length() if first else 0


def _riff(content: bytes, start: int = 0, end: int | None = None) -> Iterator[Element]:
    end = len(content) if end is None else end
    while start + 8 <= end:
        length = int.from_bytes(content[start + 4 : start + 8], "little")
        stop = min(start + 8 + length + length % 2, end)
        yield Element(start, stop, (start, 4), (start + 4, 4), order="little")
        if content[start : start + 4] in (b"RIFF", b"LIST"):
            yield from _riff(content, start + 12, stop)
        start = stop


def _png(content: bytes) -> Iterator[Element]:
    start = 8
    while start + 12 <= len(content):
        stop = min(start + 12 + int.from_bytes(content[start : start + 4], "big"), len(content))
        yield Element(start, stop, (start + 4, 4), (start, 4))
        start = stop


def _jpeg(content: bytes) -> Iterator[Element]:
    start = 2
    while start + 4 <= len(content) and content[start] == 0xFF:
        stop = min(start + 2 + int.from_bytes(content[start + 2 : start + 4], "big"), len(content))
        yield Element(start, stop, (start, 2), (start + 2, 2))
        start = stop


def _packets(content: bytes) -> Iterator[Element]:
    """Transport packets: the program's number is their kind; the adaptation field's length is their size."""
    for start in range(0, len(content) - 187, 188):
        yield Element(start, start + 188, (start + 1, 2), (start + 4, 1))


def _members(content: bytes) -> Iterator[Element]:
    """Members of a tar with their data."""
    start = 0
    while start + 512 <= len(content) and content[start]:
        digits = content[start + 124 : start + 135]
        size = int(digits, 8) if digits.isdigit() else 0
        stop = min(start + 512 + -(-size // 512) * 512, len(content))
        yield Element(start, stop, (start + 156, 1), (start + 124, 12))
        start = stop


_READERS: tuple[tuple[bytes, int, Callable[[bytes], Iterator[Element]]], ...] = (
    (b"ftyp", 4, _boxes),
    (b"\x1a\x45\xdf\xa3", 0, _ebml),
    (b"RIFF", 0, _riff),
    (b"\x89PNG", 0, _png),
    (b"\xff\xd8", 0, _jpeg),
    (b"\x47", 0, _packets),
    (b"ustar", 257, _members),
)
