"""The sound files that are mutated: small, of many kinds, and equal however often they are made."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from media import make_clip, make_gif, numbered
from PIL import Image

#: Pixels of every seed, and pictures of a moving one.
SIZE = (64, 48)
PICTURES = 8


@cache
def seed(name: str) -> bytes:
    """The content of a seed."""
    with TemporaryDirectory() as folder:
        return SEEDS[name](Path(folder))


def _clip(suffix: str, codec: str = "libx264", **more: object) -> Callable[[Path], bytes]:
    def make(folder: Path) -> bytes:
        path = folder / f"clip{suffix}"
        make_clip(path, size=SIZE, frames=PICTURES, codec=codec, gop=4, **more)  # type: ignore[arg-type]
        return path.read_bytes()

    return make


def _remuxed(suffix: str, options: dict[str, str], codec: str = "libx264") -> Callable[[Path], bytes]:
    """The clip in a container written with these options."""

    def make(folder: Path) -> bytes:
        plain, path = folder / "plain.mkv", folder / f"clip{suffix}"
        make_clip(plain, size=SIZE, frames=PICTURES, codec=codec, gop=4)
        with av.open(str(plain)) as source, av.open(str(path), "w", options=options) as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    target.mux(packet)
        return path.read_bytes()

    return make


def _gif(folder: Path) -> bytes:
    return make_gif(folder / "clip.gif", frames=PICTURES, size=SIZE).path.read_bytes()


def still(kind: str, index: int = 0) -> bytes:
    """A picture as a file of this kind."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(numbered(index, *SIZE))).save(file, format=kind)
    return file.getvalue()


def _tar(folder: Path) -> bytes:
    """A shard of pictures, as image data sets are packed."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for index in range(PICTURES):
            content = still("PNG", index)
            member = tarfile.TarInfo(f"{index:04}.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


#: Matroska writers otherwise draw a random identity for every file.
_SAME = {"fflags": "+bitexact"}
SEEDS: dict[str, Callable[[Path], bytes]] = {
    "mp4": _clip(".mp4"),
    "mp4_fragmented": _remuxed(".mp4", {"movflags": "frag_keyframe+empty_moov", **_SAME}),
    "mov_hevc": _clip(".mov", "libx265"),
    "mkv": _remuxed(".mkv", _SAME),
    "webm": _remuxed(".webm", _SAME, "libvpx-vp9"),
    "ts": _clip(".ts", "mpeg2video"),
    "avi": _clip(".avi", "mpeg4"),
    "gif": _gif,
    "png": lambda _: still("PNG"),
    "jpeg": lambda _: still("JPEG"),
    "webp": lambda _: still("WEBP"),
    "tar": _tar,
}
