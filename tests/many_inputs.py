"""Thousands of tiny inputs from a seed, sound ones among bad ones, each with the status that it must end with.

A few seed files are made once; each input is one of them with bytes of its own where they change nothing, so that
contents differ and ten thousand are written in seconds.
"""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from media import face_painter, make_clip, make_face_clip, make_gif, make_noise_clip, noise
from names import NAMES
from PIL import Image

#: Pixels of the clips and stills: the smallest at which the photographed face is found.
SIZE = (160, 120)

Maker = Callable[["_Seeds", bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A way to make an input: its share of all, its suffix, and its status (None: whatever the decoder makes of it)."""

    share: int
    suffix: str
    status: str | None
    make: Maker


class _Seeds:
    """The files that inputs are made of, read once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        make_face_clip(folder / "face.mp4", seconds=0.16, size=SIZE)
        make_noise_clip(folder / "noise.mp4", frames=4, size=SIZE)
        make_clip(folder / "one.mp4", frames=1, size=SIZE)
        make_gif(folder / "small.gif", frames=3)
        Image.fromarray(face_painter(SIZE, 1, 1)(0, *SIZE)).save(folder / "face.png")
        Image.fromarray(noise(0, *SIZE)).save(folder / "noise.jpg")
        self._content = {path.name: path.read_bytes() for path in folder.iterdir()}

    def __getitem__(self, name: str) -> bytes:
        return self._content[name]


def _boxed(name: str) -> Maker:
    """An mp4 with a box at its end that every reader skips."""
    return lambda seeds, own, _: seeds[name] + struct.pack(">I4s", 8 + len(own), b"free") + own


def _trailed(name: str) -> Maker:
    """A file of a format that ends before its last bytes."""
    return lambda seeds, own, _: seeds[name] + own


def _cut(seeds: _Seeds, own: bytes, _: random.Random) -> bytes:
    """An mp4 that ends before its index."""
    whole = seeds["face.mp4"]
    return (
        whole[:32] + struct.pack(">I4s", 8 + len(own), b"free") + own + whole[32 : whole.rindex(b"moov") - 4]
    )


def _mutant(seeds: _Seeds, own: bytes, generator: random.Random) -> bytes:
    """A clip or still with some of its bytes flipped."""
    content = bytearray(
        seeds[generator.choice(("face.mp4", "noise.mp4", "small.gif", "face.png", "noise.jpg"))]
    )
    for _ in range(generator.randint(1, 12)):
        content[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
    return bytes(content) + own


def _huge_still(_: _Seeds, own: bytes, __: random.Random) -> bytes:
    """A PNG whose header promises 60,000 x 60,000 pixels."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)), (b"IDAT", own))
    )


def _playlist(_: _Seeds, own: bytes, generator: random.Random) -> bytes:
    begin = generator.choice(
        (b"#EXTM3U\n", b"ffconcat version 1.0\nfile '/etc/passwd'\n", b"v=0\n", b"<MPD>\n")
    )
    return begin + b"#" + own.hex().encode()


KINDS: dict[str, Kind] = {
    "face clip": Kind(14, ".mp4", "ok", _boxed("face.mp4")),
    "face still": Kind(8, ".png", "ok", _trailed("face.png")),
    "scenery clip": Kind(10, ".mp4", "no_face", _boxed("noise.mp4")),
    "scenery still": Kind(6, ".jpg", "no_face", _trailed("noise.jpg")),
    "one frame": Kind(6, ".mov", "no_face", _boxed("one.mp4")),
    "GIF": Kind(6, ".gif", "no_face", _trailed("small.gif")),
    "zero bytes": Kind(5, ".mp4", "unreadable", lambda *_: b""),
    "text": Kind(5, ".mp4", "unsupported", lambda _, own, __: b"No video at all. " + own.hex().encode()),
    "random bytes": Kind(5, ".avi", "unsupported", lambda _, own, draw: b"\xf1" + own + draw.randbytes(400)),
    "cut before its index": Kind(6, ".mp4", "unreadable", _cut),
    "playlist": Kind(5, ".m3u8", "unsupported", _playlist),
    "renamed archive": Kind(5, ".mp4", "unsupported", lambda _, own, __: b"PK\x03\x04" + own * 8),
    "huge header": Kind(5, ".png", "too_large", _huge_still),
    "mutant": Kind(10, ".mp4", None, _mutant),
}  # fmt: skip

#: Of a hundred inputs so many are copies of earlier ones, and so many have names that try something.
COPIES, ODD_NAMES = 4, 4


def make_inputs(folder: Path, count: int, seed: int = 0) -> dict[bytes, str | None]:
    """Write `count` inputs into a new folder; path below it (bytes, as the file system has it) to status.

    The same seed and count give the same names, contents and order, whatever the encoder's version made of the seeds.
    """
    seeds = _Seeds(folder.with_name(folder.name + "-seeds"))
    generator = random.Random(seed)
    folder.mkdir(parents=True)
    statuses: dict[bytes, str | None] = {}
    contents: list[tuple[bytes, str | None]] = []
    for number in range(count):
        if contents and generator.randrange(100) < COPIES:
            (content, status), suffix = generator.choice(contents), ".mp4"
        else:
            kind = generator.choices(list(KINDS.values()), [kind.share for kind in KINDS.values()])[0]
            content, status, suffix = (
                kind.make(seeds, struct.pack(">QQ", seed, number), generator),
                kind.status,
                kind.suffix,
            )
        contents = [*contents[-63:], (content, status)]
        name = _name(number, suffix, generator)
        path = folder / os.fsdecode(name)
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content)
        statuses[name] = status
    return statuses


def _name(number: int, suffix: str, generator: random.Random) -> bytes:
    plain = f"{number:05}".encode()
    if generator.randrange(100) >= ODD_NAMES:
        return plain + suffix.encode()
    odd = generator.choice(NAMES)[: 255 - len(plain) - 4]
    return odd.removesuffix(b".mp4") + plain + suffix.encode()[:4]
