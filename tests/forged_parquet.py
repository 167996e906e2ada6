"""Parquet files with any footer and page header, for the tests: written by pyarrow, taken apart, and changed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: Thrift's compact kinds.
TRUE, FALSE, I32, I64, BINARY, LIST, STRUCT = 1, 2, 5, 6, 8, 9, 12


class Node(dict[int, tuple[int, Any]]):
    """A struct of Thrift: field number -> (kind, value); a list is (kind of its items, items)."""

    def at(self, *path: int) -> Any:
        """The value at a path of field numbers; within a list a number is a place."""
        found: Any = self
        for number in path:
            found = found[number][1] if isinstance(found, Node) else found[1][number]
        return found

    def put(self, number: int, value: Any, kind: int | None = None) -> None:
        """Give a field another value, of its own kind where it is there."""
        self[number] = (kind if kind is not None else self[number][0], value)


def forged(table: pa.Table, change: Callable[[Node], object] = lambda footer: None, **options: Any) -> bytes:
    """The table as a Parquet file with a changed footer; options are those of `pq.write_table`."""
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return with_footer(sink.getvalue(), change)


def with_footer(content: bytes, change: Callable[[Node], object]) -> bytes:
    """A Parquet file with a changed footer."""
    length = int.from_bytes(content[-8:-4], "little")
    footer, _ = parse(content[-8 - length : -8])
    change(footer)
    raw = encode(footer)
    return content[: -8 - length] + raw + len(raw).to_bytes(4, "little") + content[-4:]


def with_page(content: bytes, number: int, change: Callable[[Node], object]) -> bytes:
    """A file of one column and one row group with a changed header of one page; the footer fits what has moved."""
    footer, _ = parse(content[-8 - int.from_bytes(content[-8:-4], "little") : -8])
    facts = footer.at(4, 0, 1, 0, 3)
    at = min(facts.at(place) for place in (9, 11) if place in facts)
    for _ in range(number):
        header, size = parse(content[at:])
        at += size + header.at(3)
    header, size = parse(content[at:])
    change(header)
    raw = encode(header)

    def moved(footer: Node) -> None:
        facts = footer.at(4, 0, 1, 0, 3)
        facts.put(7, facts.at(7) + len(raw) - size)
        for place in (9, 11):
            if place in facts and facts.at(place) > at:
                facts.put(place, facts.at(place) + len(raw) - size)

    return with_footer(content[:at] + raw + content[at + size :], moved)


def rewritten_schema(change: Callable[[bytes], bytes]) -> Callable[[Node], None]:
    """Changes the Arrow schema that pyarrow stores in the footer, as its IPC message."""

    def apply(footer: Node) -> None:
        for pair in footer.at(5)[1]:
            if pair.at(1) == b"ARROW:schema":
                pair.put(2, base64.b64encode(change(base64.b64decode(pair.at(2)))))

    return apply


# ---------------------------------------------------------------- Thrift's compact protocol, with its kinds


def parse(data: bytes) -> tuple[Node, int]:
    """The struct at the beginning of the bytes, and how many of them it takes."""
    stream = io.BytesIO(data)
    return _struct(stream), stream.tell()


def _struct(stream: io.BytesIO) -> Node:
    node, number = Node(), 0
    while head := stream.read(1)[0]:
        number = number + (head >> 4) if head >> 4 else _signed(stream)
        kind = head & 15
        node[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else _value(stream, kind))
    return node


def _value(stream: io.BytesIO, kind: int) -> Any:
    if kind == STRUCT:
        return _struct(stream)
    if kind == LIST:
        head = stream.read(1)[0]
        count = head >> 4 if head >> 4 < 15 else _unsigned(stream)
        return head & 15, [_value(stream, head & 15) for _ in range(count)]
    if kind == BINARY:
        return stream.read(_unsigned(stream))
    return stream.read(1)[0] if kind in (TRUE, FALSE, 3) else _signed(stream)


def _unsigned(stream: io.BytesIO) -> int:
    number = place = 0
    while True:
        byte = stream.read(1)[0]
        number |= (byte & 127) << place
        place += 7
        if byte < 128:
            return number


def _signed(stream: io.BytesIO) -> int:
    number = _unsigned(stream)
    return (number >> 1) ^ -(number & 1)


def encode(node: Node) -> bytes:
    """A struct as bytes."""
    return b"".join(_fields(node)) + b"\0"


def _fields(node: Node) -> Iterator[bytes]:
    for number, (kind, value) in sorted(node.items()):
        kind = (TRUE if value else FALSE) if kind in (TRUE, FALSE) else kind
        yield bytes([kind]) + _varint(2 * number)
        if kind not in (TRUE, FALSE):
            yield _encoded(kind, value)


def _encoded(kind: int, value: Any) -> bytes:
    if kind == STRUCT:
        return encode(value)
    if kind == LIST:
        inner, items = value
        return bytes([0xF0 | inner]) + _varint(len(items)) + b"".join(_encoded(inner, item) for item in items)
    if kind == BINARY:
        return _varint(len(value)) + value
    return (
        bytes([value]) if kind in (TRUE, FALSE, 3) else _varint(2 * value if value >= 0 else -2 * value - 1)
    )


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])
