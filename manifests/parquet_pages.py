"""What a row group of a Parquet file takes in memory, told from its page headers before a page is unpacked.

A few bytes can stand for gigabytes: a page that says how large it unpacks, runs that repeat one value, and indices
into a dictionary of long texts. Each is counted as what pyarrow would have to make of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from ffpipe.manifests.parquet_footer import ParquetFault, Piece
from ffpipe.manifests.thrift import Struct, ThriftFault, ThriftReader

#: Bytes that one row group may take in memory, all columns together.
MAX_GROUP_BYTES = 2 << 30
#: Bytes that a dictionary may unpack to; writers stop at one mebibyte or so.
_MAX_DICTIONARY = 64 << 20
#: Bytes in which a page's header must be found; it may hold the smallest and largest value of the page.
_HEADER_BYTES = (1 << 12, 1 << 20)
#: Most values in a header.
_MAX_VALUES = 256
_DATA, _INDEX, _DICTIONARY, _DATA_V2 = 0, 1, 2, 3
#: Encodings of values by number: PLAIN, dictionary indices (old and new), RLE, bit-packed, delta numbers and lengths,
#: byte stream split. Left out is DELTA_BYTE_ARRAY: each text repeats the beginning of the one before for nothing.
_INDICES = (2, 8)
_ENCODINGS = (0, 3, 4, 5, 6, 9, *_INDICES)
#: Bytes that Arrow needs for each value besides its content: an offset.
_OFFSET = 8


@dataclass(frozen=True, slots=True)
class _Page:
    kind: int
    values: int
    encoding: int
    start: int
    stored: int
    unpacked: int


def group_bytes(descriptor: int, pieces: tuple[Piece, ...]) -> int:
    """Bytes that the pieces of a row group take at most, once they are read.

    Raises:
        ParquetFault: damage, an encoding that is not read, or more than MAX_GROUP_BYTES.
    """
    total = 0
    for piece in pieces:
        total += _piece_bytes(descriptor, piece)
        if total > MAX_GROUP_BYTES:
            name = b".".join(piece.column.path).decode(errors="replace")
            raise ParquetFault(
                f"a row group unpacks to more than {MAX_GROUP_BYTES >> 30} GiB (column {name!r}); "
                "write the table with smaller row groups"
            )
    return total


def _piece_bytes(descriptor: int, piece: Piece) -> int:
    unpacked = indexed = counted = 0
    dictionary: _Page | None = None
    for page in _pages(descriptor, piece):
        unpacked += page.unpacked
        if page.kind == _DICTIONARY:
            if dictionary is not None or counted:
                raise ParquetFault("a second dictionary in a column, or one behind its pages")
            dictionary = page
        elif page.kind != _INDEX:
            counted += page.values
            indexed += page.values if page.encoding in _INDICES else 0
    if counted != piece.values:
        raise ParquetFault(
            f"the pages of a column hold {counted} values, {piece.values} are said to be there"
        )
    if piece.column.width is not None:
        return max(unpacked, piece.values * piece.column.width)
    return unpacked + _OFFSET * piece.values + _repeated_bytes(descriptor, piece, dictionary, indexed)


def _repeated_bytes(descriptor: int, piece: Piece, dictionary: _Page | None, indexed: int) -> int:
    """Bytes of the values that a column takes from its dictionary, as if each were the longest one."""
    if dictionary is None or not indexed:
        return 0
    rough = indexed * dictionary.unpacked
    if rough <= MAX_GROUP_BYTES >> 6:
        return rough
    if dictionary.unpacked > _MAX_DICTIONARY:
        raise ParquetFault(f"a dictionary of {dictionary.unpacked} bytes; the limit is {_MAX_DICTIONARY}")
    return indexed * _longest(_unpacked(descriptor, piece, dictionary))


def _unpacked(descriptor: int, piece: Piece, page: _Page) -> bytes:
    raw = os.pread(descriptor, page.stored, page.start)
    if piece.codec is None:
        return raw
    try:
        return bytes(pa.Codec(piece.codec).decompress(raw, decompressed_size=page.unpacked, asbytes=True))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ParquetFault("a dictionary cannot be unpacked") from error


def _longest(values: bytes) -> int:
    """The longest of byte arrays that stand one after another, each behind its length in four bytes."""
    longest = at = 0
    while at < len(values):
        length = int.from_bytes(values[at : at + 4], "little")
        longest, at = max(longest, length), at + 4 + length
    return longest


def _pages(descriptor: int, piece: Piece) -> Iterator[_Page]:
    """The pages of a column, which must fill the place that the footer says they have."""
    at, end = piece.start, piece.start + piece.bytes
    while at < end:
        page = _page(descriptor, at, end)
        yield page
        at = page.start + page.stored


def _page(descriptor: int, at: int, end: int) -> _Page:
    for room in _HEADER_BYTES:
        reader = ThriftReader(os.pread(descriptor, min(room, end - at), at), _MAX_VALUES)
        try:
            return _as_page(reader.struct(), at + reader.position, end)
        except ThriftFault as fault:
            reason = fault
        except (KeyError, TypeError, AttributeError) as error:
            raise ParquetFault("a page's header is damaged") from error
    raise ParquetFault(f"a page's header is damaged: {reason}")


def _as_page(stored: Struct, start: int, end: int) -> _Page:
    kind, unpacked, size = stored[1], stored[2], stored[3]
    if unpacked < 0 or size < 0 or start + size > end:
        raise ParquetFault("a page lies outside its column")
    if kind == _INDEX:
        return _Page(kind, 0, 0, start, size, unpacked)
    if kind not in (_DATA, _DICTIONARY, _DATA_V2):
        raise ParquetFault(f"a page of kind {kind}")
    facts = stored[{_DATA: 5, _DICTIONARY: 7, _DATA_V2: 8}[kind]]
    values, encoding = facts[1], facts[4 if kind == _DATA_V2 else 2]
    if values < 0 or encoding not in _ENCODINGS:
        raise ParquetFault(f"a page of {values} values in encoding {encoding}, which is not read")
    return _Page(kind, values, encoding, start, size, unpacked)
