"""What a Parquet file says of itself, read from its raw footer and checked before pyarrow may interpret any of it.

Interpreting a footer already runs the deserialiser of every registered Arrow extension type that it names, and takes
sizes and counts on trust. Here they must agree with each other and with the size of the file.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ffpipe.manifests.thrift import Struct, ThriftFault, ThriftReader

#: Largest footer, in bytes, and most values in it: 20 columns in 500 row groups have about 400,000.
MAX_FOOTER, _MAX_VALUES = 4 << 20, 500_000
#: Most rows in a file.
MAX_ROWS = 100_000_000
#: Most columns, and groups of columns inside each other, the root counted. The deepest of ours is a list: 3.
_MAX_COLUMNS, _MAX_LEVELS = 4096, 12

_BASE64_RUN = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
_EXTENSION_MARK = b"ARROW:extension"
_FOUND = "the file declares Arrow extension types, which ffpipe never writes; refused"

#: Bytes of a value by physical type; None for byte arrays, 0 where the schema says.
_WIDTHS: Mapping[int, int | None] = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: None, 7: 0}
#: Names of pyarrow's codecs by their number; Hadoop's own LZ4 is left out.
_CODECS = {0: None, 1: "snappy", 2: "gzip", 4: "brotli", 6: "zstd", 7: "lz4_raw"}
_REPEATED = 2


class ParquetFault(Exception):
    """A file is no Parquet file that is read here; the text says why, on one line."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the lowest level: its path, bytes a value (None: byte arrays), and whether it is in a list."""

    path: tuple[bytes, ...]
    width: int | None
    repeated: bool


@dataclass(frozen=True, slots=True)
class Piece:
    """A column's part of a row group: where its pages lie, as the footer says. codec is None where uncompressed."""

    column: Column
    start: int
    bytes: int
    values: int
    codec: str | None


@dataclass(frozen=True, slots=True)
class Footer:
    """The row groups of a file, each with its rows and its pieces, one a column."""

    columns: tuple[Column, ...]
    groups: tuple[tuple[int, tuple[Piece, ...]], ...]


def read_footer(raw: bytes, end: int) -> Footer:
    """The footer of a file whose pages lie in the bytes from 4 to `end`.

    Raises:
        ParquetFault: extension types, encryption, two columns of one name, damage, nonsense, or beyond a bound.
    """
    if names_extension_types(raw):
        raise ParquetFault(_FOUND)
    try:
        return _footer(ThriftReader(raw, _MAX_VALUES).struct(), end)
    except ThriftFault as fault:
        raise ParquetFault(f"its footer is damaged: {fault}") from fault
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ParquetFault("its footer is damaged: a field is missing or of another type") from error


def names_extension_types(footer: bytes) -> bool:
    """Whether the footer, or any base64 text in it (pyarrow stores its schema so), names extension types."""
    if _EXTENSION_MARK in footer:
        return True
    runs = [match.group().rstrip(b"=") for match in _BASE64_RUN.finditer(footer)]
    # The byte before the text is a length and can look like base64 itself: all four alignments are tried.
    return any(_EXTENSION_MARK in _decode(run[shift:]) for run in runs for shift in range(4))


def _decode(run: bytes) -> bytes:
    return base64.b64decode(run[: len(run) // 4 * 4])


def _footer(stored: Struct, end: int) -> Footer:
    if stored[1] not in (1, 2):
        raise ParquetFault(f"version {stored[1]} of Parquet; 1 and 2 are read")
    if 8 in stored:
        raise ParquetFault("its columns are encrypted")
    schema = _Schema(stored[2])
    groups = tuple(_group(one, schema.columns, end) for one in stored[4])
    rows = sum(rows for rows, _ in groups)
    if rows != stored[3] or rows > MAX_ROWS:
        what = f"at most {MAX_ROWS} are read" if rows == stored[3] else f"its row groups have {rows}"
        raise ParquetFault(f"says that it has {stored[3]} rows; {what}")
    places = sorted((piece.start, piece.bytes) for _, pieces in groups for piece in pieces if piece.bytes)
    if any(start + size > after for (start, size), (after, _) in pairwise(places)):
        raise ParquetFault("two of its columns lie in the same bytes")
    return Footer(schema.columns, groups)


class _Schema:
    """The columns of a schema, which is stored as a list of its nodes, each before its children."""

    def __init__(self, nodes: Sequence[Struct]) -> None:
        if not 1 <= len(nodes) <= 2 * _MAX_COLUMNS:
            raise ParquetFault(f"a schema of {len(nodes)} nodes; at most {2 * _MAX_COLUMNS} are read")
        self._nodes = iter(nodes)
        self.columns = tuple(self._columns(next(self._nodes), (), False, 1))
        if next(self._nodes, None) is not None:
            raise ParquetFault("its footer is damaged: columns outside the schema")
        if len(self.columns) > _MAX_COLUMNS:
            raise ParquetFault(f"{len(self.columns)} columns; at most {_MAX_COLUMNS} are read")

    def _columns(self, node: Struct, path: tuple[bytes, ...], repeated: bool, level: int) -> Iterator[Column]:
        repeated = repeated or node.get(3) == _REPEATED
        if 1 in node and not node.get(5):
            width = _WIDTHS[node[1]]
            yield Column(path, _fixed_length(node) if width == 0 else width, repeated)
            return
        if level > _MAX_LEVELS:
            raise ParquetFault(f"columns nested more than {_MAX_LEVELS} deep")
        names: set[bytes] = set()
        for _ in range(node.get(5, 0)):
            child = next(self._nodes, None)
            if child is None:
                raise ParquetFault("its footer is damaged: the schema is cut short")
            name = child[4]
            if name in names:
                raise ParquetFault(f"two columns called {name.decode(errors='replace')!r}")
            names.add(name)
            yield from self._columns(child, (*path, name), repeated, level + 1)


def _fixed_length(node: Struct) -> int:
    length = int(node[2])
    if not 0 < length < 1 << 20:
        raise ParquetFault(f"values of {length} bytes each")
    return length


def _group(stored: Struct, columns: Sequence[Column], end: int) -> tuple[int, tuple[Piece, ...]]:
    rows, chunks = stored[3], stored[1]
    if rows < 0 or len(chunks) != len(columns):
        raise ParquetFault(
            f"a row group of {rows} rows and {len(chunks)} columns; the schema has {len(columns)}"
        )
    return rows, tuple(
        _piece(chunk, column, rows, end) for chunk, column in zip(chunks, columns, strict=True)
    )


def _piece(chunk: Struct, column: Column, rows: int, end: int) -> Piece:
    name = b".".join(column.path).decode(errors="replace")
    if chunk.get(1):
        raise ParquetFault(f"column {name!r} is said to be in another file")
    if 8 in chunk or 9 in chunk:
        raise ParquetFault(f"column {name!r} is encrypted")
    facts = chunk[3]
    if tuple(facts[3]) != column.path or _WIDTHS[facts[1]] not in (column.width, 0):
        raise ParquetFault(f"column {name!r} is another one in its row group than in the schema")
    if facts[4] not in _CODECS:
        raise ParquetFault(f"column {name!r} is compressed in a way that is not read (number {facts[4]})")
    starts = [facts[number] for number in (9, 11) if facts.get(number)]
    start, size, values = min(starts, default=0), facts[7], facts[5]
    if (values or size) and (start < 4 or size < 0 or start + size > end):
        raise ParquetFault(f"column {name!r} lies outside the file")
    # Only an entry of a list can be there more than once a row.
    if values < 0 or (values != rows and not column.repeated):
        raise ParquetFault(f"column {name!r} has {values} values in a row group of {rows} rows")
    return Piece(column, start, size, values, _CODECS[facts[4]])
