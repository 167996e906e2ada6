"""Unusual and malformed media for the table of expected statuses; plain clips are made by `media`."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from media import TICKS, Clip, make_clip, make_random, numbered
from PIL import Image

#: Matrix, primaries and transfer curve of HDR10, as FFmpeg numbers them.
_BT2020_NCL, _BT2020, _PQ = 9, 9, 16


def make_muxed(
    path: Path,
    options: dict[str, str] | None = None,
    frames: int = 6,
    streams: int = 1,
    start: float = 0.0,
    container_options: dict[str, str] | None = None,
    format_name: str | None = None,
) -> Clip:
    """A clip whose container gets options of its own; of several video streams the first is the largest."""
    with av.open(str(path), "w", format=format_name, options=options or {}) as container:
        made = []
        for number in range(streams):
            width, height = 192 >> number, 128 >> number
            stream = container.add_stream(
                "libx264", rate=25, options={"preset": "ultrafast", "g": "12", "bf": "0"}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.codec_context.time_base = Fraction(1, TICKS)
            stream.codec_context.thread_count = 1
            made.append((stream, width, height))
        for index in range(frames):
            for stream, width, height in made:
                frame = av.VideoFrame.from_ndarray(numbered(index, width, height), format="rgb24")
                frame = frame.reformat(format="yuv420p")
                frame.pts, frame.time_base = round((start + index / 25) * TICKS), Fraction(1, TICKS)
                container.mux(stream.encode(frame))
        for stream, *_ in made:
            container.mux(stream.encode(None))
    times = tuple(start + index / 25 for index in range(frames))
    return Clip(path, 192, 128, times, duration=frames / 25)


def make_encrypted(path: Path) -> Clip:
    """An mp4 under common encryption (CENC, AES in counter mode), by FFmpeg's own muxer."""
    options = {
        "encryption_scheme": "cenc-aes-ctr",
        "encryption_key": "00112233445566778899aabbccddeeff",
        "encryption_kid": "0123456789abcdef0123456789abcdef",
    }
    return make_muxed(path, options)


def make_two_sizes(path: Path) -> Clip:
    """A stream whose pictures grow from 192x128 to 256x192 in its middle, as broadcasts and calls do."""
    small = make_clip(path.with_name("small" + path.suffix), frames=4)
    large = make_clip(path.with_name("large" + path.suffix), frames=4, size=(256, 192), start=4 / 25)
    path.write_bytes(small.path.read_bytes() + large.path.read_bytes())
    return replace(small, path=path, pts=small.pts + large.pts)


def make_hdr(path: Path) -> Clip:
    """Ten bits in BT.2020 with the PQ curve (HDR10)."""
    x265 = f"log-level=none:colorprim={_BT2020}:transfer={_PQ}:colormatrix={_BT2020_NCL}"
    options = {"preset": "ultrafast", "x265-params": x265}
    return make_clip(path, frames=4, codec="libx265", pixel_format="yuv420p10le", options=options)


def make_shortened(path: Path, keep: float, frames: int = 50) -> Clip:
    """A clip of which the last bytes are missing, in whatever container."""
    clip = make_clip(path, frames=frames, gop=10)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return clip


def make_garbage_in_the_middle(path: Path) -> Clip:
    """A clip of 30 pictures with a key frame every 10, whose bytes from 40% to 50% are random."""
    clip = make_clip(path, frames=30, gop=10)
    content = bytearray(path.read_bytes())
    begin, end = len(content) * 4 // 10, len(content) // 2
    content[begin:end] = np.random.default_rng(0).bytes(end - begin)
    path.write_bytes(content)
    return clip


def make_behind(path: Path, head: bytes) -> Clip:
    """The first bytes of a known format, and random ones behind."""
    make_random(path)
    path.write_bytes(head + path.read_bytes())
    return Clip(path)


def make_bytes(path: Path, content: bytes) -> Clip:
    """A file of these bytes."""
    path.write_bytes(content)
    return Clip(path)


def make_zip(path: Path) -> Clip:
    """An archive with a clip's name in it."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip.mp4", b"\0" * 100)
    return Clip(path)


def make_sparse(path: Path, size: int) -> Clip:
    """A file that claims `size` bytes and holds next to none."""
    path.write_bytes(b"\x00\x00\x00\x08wide")
    os.truncate(path, size)
    return Clip(path)


# ---------------------------------------------------------------- stills


def make_still(path: Path, mode: str = "RGB", size: tuple[int, int] = (96, 64), **options: object) -> Clip:
    """A numbered picture, saved by Pillow with its own options."""
    Image.fromarray(numbered(37, *size)).convert(mode).save(path, **options)  # type: ignore[arg-type]
    return Clip(path, *size, (0.0,))


def make_animation(path: Path) -> Clip:
    """Three pictures in a format for stills (WebP or PNG)."""
    first, *others = (Image.fromarray(numbered(index, 96, 64)) for index in range(3))
    first.save(path, save_all=True, append_images=others, duration=100, lossless=True)
    return Clip(path, 96, 64, (0.0,))


def make_sixteen_bits(path: Path) -> Clip:
    """A grey PNG of 16 bits a pixel."""
    Image.fromarray(np.linspace(0, 65535, 64 * 96).reshape(64, 96).astype(np.uint16)).save(path)
    return Clip(path, 96, 64, (0.0,))


def make_turned_still(path: Path, orientation: int = 6) -> Clip:
    """A JPEG that a camera noted to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.rot90(numbered(37, 96, 64))).save(path, exif=exif, quality=95)
    return Clip(path, 96, 64, (0.0,), rotation=90)


def make_half(make: Callable[[Path], Clip], path: Path) -> Clip:
    """The first half of what `make` makes."""
    clip = make(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return clip


# ---------------------------------------------------------------- headers of huge pictures


def png_of(width: int, height: int) -> bytes:
    """A black PNG of one bit a pixel: small in itself, whatever its size when it is unpacked."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    row = bytes(1 + -(-width // 8))
    packer = zlib.compressobj(1)
    rows = b"".join(packer.compress(row * min(1000, height - at)) for at in range(0, height, 1000))
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", rows + packer.flush())
        + chunk(b"IEND", b"")
    )


def make_huge_gif(path: Path, side: int) -> Clip:
    """A GIF whose screen and one picture claim `side` x `side` pixels."""
    screen = struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    picture = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x44\x01\x00"
    return make_bytes(path, b"GIF89a" + screen + picture * 2 + b";")


#: The way from an mp4 to the settings of its H.264 stream.
_SETTINGS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC")


def make_huge_video(path: Path, side: int) -> Clip:
    """A whole mp4 of H.264 whose header claims `side` x `side` pixels, a multiple of 16, in a few kilobytes."""
    make_clip(path, size=(64, 64), frames=4, options={"profile": "baseline", "x264-params": "level=3"})
    content = bytearray(path.read_bytes())
    places = [0]
    for name in _SETTINGS:
        places.append(content.index(name, places[-1]))
    begin = (
        places[-1] + 12
    )  # after the name, five bytes of facts, a count, and the length of the parameter set
    end = begin + int.from_bytes(content[begin - 2 : begin], "big")
    claimed = _resized(bytes(content[begin:end]), side // 16)
    content[begin - 2 : end] = struct.pack(">H", len(claimed)) + claimed
    for at in places[1:]:
        (size,) = struct.unpack(">I", content[at - 4 : at])
        content[at - 4 : at] = struct.pack(">I", size + len(claimed) - (end - begin))
    shape = places[-2] + 28
    content[shape : shape + 4] = struct.pack(">HH", side, side)
    path.write_bytes(content)
    return Clip(path, side, side)


def _resized(unit: bytes, blocks: int) -> bytes:
    """A baseline sequence parameter set, now for pictures of `blocks` x `blocks` macroblocks."""
    bits = "".join(f"{byte:08b}" for byte in unit[4:].replace(b"\x00\x00\x03", b"\x00\x00")).rstrip("0")[:-1]
    values, at = [], 0
    while len(values) < 3 or (
        values[2] == 0 and len(values) < 4
    ):  # identity, frame numbers, order of pictures
        value, at = _golomb(bits, at)
        values.append(value)
    _, at = _golomb(bits, at)  # reference frames
    at += 1  # gaps in frame numbers
    _, end = _golomb(bits, at)
    _, end = _golomb(bits, end)
    side = f"{blocks:b}"
    bits = bits[:at] + 2 * ("0" * (len(side) - 1) + side) + bits[end:] + "1"
    bits += "0" * (-len(bits) % 8)
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return unit[:4] + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", body)


def _golomb(bits: str, at: int) -> tuple[int, int]:
    """An Exp-Golomb number of a bit string, and where it ends."""
    zeros = bits.index("1", at) - at
    end = at + 2 * zeros + 1
    return int(bits[at + zeros : end], 2) - 1, end
