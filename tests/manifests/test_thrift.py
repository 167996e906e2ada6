"""Structs of Thrift are read as they were written, and whatever else the bytes are ends in a fault, soon."""

from __future__ import annotations

import pytest
from forged_parquet import BINARY, I32, I64, LIST, STRUCT, TRUE, Node, encode
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.thrift import ThriftFault, ThriftReader


def read(data: bytes, values: int = 1000) -> object:
    return ThriftReader(data, values).struct()


def nested(levels: int) -> Node:
    node = Node()
    for _ in range(levels):
        node = Node({1: (STRUCT, node)})
    return node


def test_every_kind_of_value_is_read() -> None:
    inner = Node({20: (I64, -(1 << 62))})
    items = list(range(-10, 30))
    node = Node(
        {1: (I32, -5), 2: (BINARY, b"x" * 300), 3: (LIST, (I32, items)), 4: (STRUCT, inner), 9: (TRUE, False)}
    )
    reader = ThriftReader(encode(node) + b"rest", 1000)
    assert reader.struct() == {1: -5, 2: b"x" * 300, 3: items, 4: {20: -(1 << 62)}, 9: False}
    assert reader.position == len(encode(node))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "too early"),
        (b"\x15", "too early"),
        (b"\x18\x7fabc", "too early"),
        (b"\x15" + b"\xff" * 10 + b"\x01\x00", "more than 64 bits"),
        (b"\x19\xf5\xff\xff\xff\xff\x0f", "a list of 4294967295 values"),
        (b"\x1b\x01\x00", "kind 11"),
        (b"\x15\x02\x05\x02\x02\x00", "field 1 twice"),
    ],
)
def test_damage_is_told(data: bytes, words: str) -> None:
    with pytest.raises(ThriftFault, match=words):
        read(data)


def test_depth_and_number_of_values_are_bounded() -> None:
    assert read(encode(nested(12)))
    with pytest.raises(ThriftFault, match="too deeply"):
        read(b"\x1c" * 100_000)
    many = encode(Node({1: (LIST, (I32, [7] * 99))}))
    assert read(many, 100) == {1: [7] * 99}
    with pytest.raises(ThriftFault, match="a list of 99 values"):
        read(many, 99)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data)
    except ThriftFault as fault:
        assert str(fault)
    else:
        assert isinstance(found, dict)
