"""Reads Thrift's compact protocol, which Parquet's footers and page headers are written in; bounded in all it does.

A struct is a dictionary from field number to value: bool, int, bytes (also for floating point), list or struct.
"""

from __future__ import annotations

from typing import Any

Struct = dict[int, Any]

#: Structs and lists inside each other. A footer of Parquet needs eight.
_MAX_DEPTH = 12
#: Bytes of the longest number: 64 bits in groups of seven.
_LONGEST = 10
_TRUE, _FALSE, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LIST, _STRUCT = 1, 2, 3, (4, 5, 6), 7, 8, 9, 12


class ThriftFault(Exception):
    """The bytes are no such struct, or one beyond the bounds."""


class ThriftReader:
    """Reads structs from bytes; `position` is where the next one begins."""

    def __init__(self, data: bytes, max_values: int) -> None:
        self._data = data
        self._left = max_values
        self.position = 0

    def struct(self, depth: int = 0) -> Struct:
        """The struct at the position. Raises ThriftFault where there is none, or it holds too many values."""
        found: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            if number in found:
                raise ThriftFault(f"field {number} twice")
            self._count(depth)
            found[number] = kind == _TRUE if kind in (_TRUE, _FALSE) else self._value(kind, depth)
        return found

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise ThriftFault("too many values" if self._left < 0 else "nested too deeply")

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._varint())
        if kind == _STRUCT:
            return self.struct(depth + 1)
        if kind == _LIST:
            return self._list(depth + 1)
        if kind == _DOUBLE:
            return self._bytes(8)
        if kind in (_BYTE, _TRUE, _FALSE):
            return self._byte()
        raise ThriftFault(f"a value of kind {kind}, which Parquet does not use")

    def _list(self, depth: int) -> list[Any]:
        head = self._byte()
        count = head >> 4 if head >> 4 < 15 else self._varint()
        if count > min(self._left, len(self._data) - self.position):
            raise ThriftFault(f"a list of {count} values in {len(self._data)} bytes")
        self._left -= count
        return [self._value(head & 15, depth) for _ in range(count)]

    def _integer(self) -> int:
        """A signed number: zigzag."""
        number = self._varint()
        return (number >> 1) ^ -(number & 1)

    def _varint(self) -> int:
        number = 0
        for place in range(_LONGEST):
            byte = self._byte()
            number |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                return number
        raise ThriftFault("a number of more than 64 bits")

    def _byte(self) -> int:
        if self.position >= len(self._data):
            raise ThriftFault("it ends too early")
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, count: int) -> bytes:
        taken = self._data[self.position : self.position + count]
        if len(taken) < count:
            raise ThriftFault("it ends too early")
        self.position += count
        return taken
