"""Messages arrive whole, in order and in time; shared memory cannot be shrunk under its reader."""

from __future__ import annotations

import os
import socket

import numpy as np
import pytest

from ffpipe.stages.decode.channel import (
    Channel,
    ChannelClosed,
    ChannelTimeout,
    SharedPictures,
    create_shared,
)


@pytest.fixture
def ends() -> tuple[Channel, socket.socket]:
    one, other = socket.socketpair()
    return Channel(one), other


def test_messages_keep_order_and_undecodable_names(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    sender = Channel(other)
    name = os.fsdecode(b"\xff\xfe\n.mp4")
    sender.send(kind="open", path=name)
    sender.send(kind="stop")
    assert channel.pending()
    assert channel.receive(1) == {"kind": "open", "path": name}
    assert channel.receive(1) == {"kind": "stop"}
    assert not channel.pending()


def test_silence_is_a_timeout_and_an_end_is_an_end(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    with pytest.raises(ChannelTimeout):
        channel.receive(0.01)
    other.close()
    with pytest.raises(ChannelClosed):
        channel.receive(1)
    with pytest.raises(ChannelClosed):
        channel.send(kind="stop")


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02{]", b"\x00\x00\x00\x01" + b"7"])
def test_nonsense_ends_the_conversation(ends: tuple[Channel, socket.socket], nonsense: bytes) -> None:
    channel, other = ends
    other.sendall(nonsense)
    with pytest.raises(ChannelClosed):
        channel.receive(1)


def test_both_sides_see_the_same_pixels() -> None:
    descriptor = create_shared(100 * 100)
    ours, theirs = SharedPictures(descriptor, 100 * 100), SharedPictures(descriptor, 100 * 100)
    ours.view(1, 30, 40)[:] = 7
    ours.view(2, 30, 40)[:] = 9
    assert (theirs.view(1, 30, 40) == 7).all()
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)
    os.close(descriptor)


@pytest.mark.parametrize(
    ("slot", "height", "width"), [(3, 1, 1), (-1, 1, 1), (0, 200, 200), (0, 0, 5), (0, 5, -1)]
)
def test_pictures_stay_within_their_place(slot: int, height: int, width: int) -> None:
    descriptor = create_shared(100 * 100)
    with pytest.raises(ValueError, match="cannot hold"):
        SharedPictures(descriptor, 100 * 100).view(slot, height, width)
    os.close(descriptor)


def test_memory_that_a_large_medium_took_is_given_back() -> None:
    descriptor = create_shared(8192 * 8192)
    pictures = SharedPictures(descriptor, 8192 * 8192)
    pictures.view(0, 4096, 4096)[:] = np.uint8(1)
    assert os.fstat(descriptor).st_blocks * 512 >= 4096 * 4096 * 3
    pictures.trim()
    assert os.fstat(descriptor).st_blocks == 0
    os.close(descriptor)
