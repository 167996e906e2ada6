"""One table of every kind of malformed and unusual medium: its status when decoded, and when extract's reader reads it.

A new kind is one row. `decoded` is what decoding every picture ends in, `read` what is stored in the media table; a
sound medium without a face is `no_face` there. A reason is one plain line, and says the words given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import odd_media as odd
import pytest
from media import (
    Clip,
    make_audio_only,
    make_clip,
    make_cover_only,
    make_cut,
    make_empty,
    make_face_clip,
    make_gif,
    make_noise_clip,
    make_random,
    make_text,
    make_truncated_header,
    make_variable_rate,
)

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Entry
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import MediumItem, items_from
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.sandbox import DecodeSandbox
from ffpipe.stages.sampling import Sampling

Maker = Callable[[Path], Clip]


@dataclass(frozen=True)
class Case:
    """A kind of medium: the file's name, how it is made, and what must be said of it.

    frames: how many pictures there are, or the bounds of it; None: those that went in. Where all that went in come
    out, their times are compared too; shifted: from the first on, since the format starts its clock later.
    """

    name: str
    make: Maker
    decoded: str = "ok"
    read: str = "no_face"
    words: str = ""
    frames: int | tuple[int, int] | None = None
    shifted: bool = False


def clip(**options: object) -> Maker:
    """A maker of a numbered clip with these options."""
    return lambda path: make_clip(path, **({"frames": 6} | options))  # type: ignore[arg-type]


def face(**options: object) -> Maker:
    """A maker of half a second with one face."""
    return lambda path: make_face_clip(path, seconds=0.4, **options)  # type: ignore[arg-type]


def behind(head: bytes) -> Maker:
    """A maker of random bytes behind the first bytes of a format."""
    return lambda path: odd.make_behind(path, head)


def refused(name: str, make: Maker, status: str, words: str) -> Case:
    """A file of which nothing can be used."""
    return Case(name, make, status, status, words, 0)


def partial(name: str, make: Maker, least: int, most: int, words: str = "decoded ") -> Case:
    """A file of which a part can be used."""
    return Case(name, make, "partial", "partial", words, (least, most))


CASES = {
    # no medium at all
    "zero bytes": refused("a.mp4", make_empty, "unreadable", "the file is empty"),
    "text": refused("a.mp4", make_text, "unsupported", "no known video or image"),
    "random bytes": refused("a.mp4", make_random, "unsupported", "no known video or image"),
    "zip": refused("a.mp4", odd.make_zip, "unsupported", "no known video or image"),
    "PDF": refused(
        "a.mp4",
        lambda path: odd.make_bytes(path, b"%PDF-1.7\n%%EOF\n"),
        "unsupported",
        "no known video or image",
    ),
    "program": refused(
        "a.mp4",
        lambda path: odd.make_bytes(path, b"\x7fELF\x02\x01\x01" + bytes(80)),
        "unsupported",
        "no known",
    ),
    "random bytes behind mp4's first": refused(
        "a.mp4", behind(b"\0\0\0\x18ftypisom" + bytes(12)), "unreadable", "mov"
    ),
    "random bytes behind Matroska's first": refused(
        "a.mkv", behind(b"\x1a\x45\xdf\xa3"), "unreadable", "matroska"
    ),
    "random bytes behind AVI's first": refused("a.avi", behind(b"RIFF\0\1\0\0AVI "), "unreadable", "avi"),
    "random bytes behind JPEG's first": refused("a.jpg", behind(b"\xff\xd8\xff\xe0"), "unreadable", "JPEG"),
    # damage
    "truncated moov": refused("a.mp4", make_truncated_header, "unreadable", "mov: "),
    "cut at 60%": partial("a.mp4", make_cut, 55, 60, "of 100 sampled frames"),
    "cut Matroska": partial("a.mkv", lambda path: odd.make_shortened(path, 0.6), 25, 35),
    "cut transport stream, which announces nothing": Case(
        "a.ts", lambda path: odd.make_shortened(path, 0.6), frames=(25, 35)
    ),
    "garbage in the middle": partial("a.mp4", odd.make_garbage_in_the_middle, 10, 25),
    # no pictures, few pictures, small pictures
    "audio only": refused("a.mp4", make_audio_only, "unsupported", "holds no video"),
    "cover picture only": refused("a.m4a", make_cover_only, "unsupported", "holds only a cover picture"),
    "one frame": Case("a.mp4", clip(frames=1)),
    "no face": Case("a.mp4", make_noise_clip),
    "2x2 pixels": Case("a.mp4", clip(size=(2, 2))),
    "one pixel wide": Case("a.mp4", clip(size=(1, 64), pixel_format="yuv444p")),
    "odd size": Case("a.mp4", clip(size=(97, 75), pixel_format="yuv444p")),
    # samples
    "yuv444p10": Case("a.mp4", clip(pixel_format="yuv444p10le")),
    "HDR": Case("a.mp4", odd.make_hdr),
    "alpha (ProRes 4444)": Case("a.mov", clip(codec="prores_ks", pixel_format="yuva444p10le")),
    "alpha (VP9)": Case("a.webm", clip(codec="libvpx-vp9", pixel_format="yuva420p")),
    "interlaced": Case("a.mp4", clip(options={"x264-params": "tff=1"})),
    "non-square pixels": Case("a.mp4", clip(options={"aspect": "4:3"})),
    # times
    "variable frame rate": Case("a.mp4", make_variable_rate),
    "no timestamps": Case("a.h264", clip()),
    "negative timestamps": Case("a.ts", lambda path: odd.make_muxed(path, _KEEP_NEGATIVE, start=-0.1)),
    "negative timestamps, hidden by an edit list": Case(
        "a.mp4", lambda path: odd.make_muxed(path, start=-0.12), frames=3
    ),
    "an offset of hours": Case("a.mkv", clip(start=36_000.0, b_frames=2)),
    # several streams, several sizes
    "resolution change mid-stream": Case("a.h264", odd.make_two_sizes, frames=8),
    "two video streams": Case("a.mp4", lambda path: odd.make_muxed(path, streams=2)),
    "encrypted (CENC)": refused("a.mp4", odd.make_encrypted, "unsupported", "encrypted"),
    # rotation, with a face so that an upright picture shows
    "rotation 0": Case("a.mp4", face(), read="ok"),
    "rotation 90": Case("a.mp4", face(rotation=90), read="ok"),
    "rotation 180": Case("a.mp4", face(rotation=180), read="ok"),
    "rotation 270": Case("a.mp4", face(rotation=270), read="ok"),
    # codecs and containers
    "AV1": Case("a.mp4", clip(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})),
    "HEVC": Case("a.mp4", clip(codec="libx265")),
    "MPEG-1": Case("a.mpg", clip(codec="mpeg1video"), shifted=True),
    "GIF": Case("a.gif", make_gif),
    "MOV": Case("a.mov", clip()),
    "MPEG-TS": Case("a.ts", clip()),
    "WebM (VP9)": Case("a.webm", clip(codec="libvpx-vp9")),
    "Matroska": Case("a.mkv", clip()),
    "AVI (Motion JPEG)": Case("a.avi", clip(codec="mjpeg", pixel_format="yuvj420p")),
    "Flash video": Case("a.flv", clip(codec="flv")),
    "Windows Media": Case("a.wmv", clip(codec="wmv2")),
    "fragmented mp4": Case(
        "a.mp4", lambda path: odd.make_muxed(path, {"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    ),
    "H.264 without a container": Case(
        "a.bin", lambda path: _renamed(clip()(path.with_suffix(".h264")), path)
    ),
    # stills
    "animated WebP, of which the first picture counts": Case("a.webp", odd.make_animation),
    "animated PNG, of which the first picture counts": Case("a.png", odd.make_animation),
    "CMYK JPEG": Case("a.jpg", lambda path: odd.make_still(path, "CMYK")),
    "progressive JPEG": Case("a.jpg", lambda path: odd.make_still(path, progressive=True)),
    "JPEG that a camera turned": Case("a.jpg", odd.make_turned_still),
    "16-bit PNG": Case("a.png", odd.make_sixteen_bits),
    "PNG with alpha": Case("a.png", lambda path: odd.make_still(path, "RGBA")),
    "JPEG cut in half": refused(
        "a.jpg", lambda path: odd.make_half(odd.make_still, path), "unreadable", "JPEG"
    ),
    "HEIC": refused(
        "a.heic",
        lambda path: odd.make_bytes(path, b"\0\0\0\x18ftypheic" + bytes(40)),
        "unsupported",
        "HEIF or AVIF",
    ),
    "AVIF": refused("a.avif", odd.make_still, "unsupported", "HEIF or AVIF"),
    # too large, by what the header or the file says
    "a still of 16000x16000": refused(
        "a.png",
        lambda path: odd.make_bytes(path, odd.png_of(16_000, 16_000)),
        "too_large",
        "16000x16000 pixels",
    ),
    "a video of 16000x16000": refused(
        "a.mp4", lambda path: odd.make_huge_video(path, 16_000), "too_large", "16000x16000 pixels"
    ),
    "a GIF of 65535x65535": refused(
        "a.gif", lambda path: odd.make_huge_gif(path, 65_535), "too_large", "65535x65535 pixels"
    ),
    "a sparse file of a terabyte": refused(
        "a.mov", lambda path: odd.make_sparse(path, 1 << 40), "too_large", "bytes"
    ),
}
_KEEP_NEGATIVE = {"avoid_negative_ts": "disabled"}


def _renamed(made: Clip, path: Path) -> Clip:
    made.path.rename(path)
    return Clip(path, made.width, made.height, made.pts)


@pytest.fixture(scope="module")
def reader() -> Iterator[MediumReader]:
    """What a worker of extract keeps warm."""
    opened = MediumReader(ExtractConfig(frames=4), CropSettings(), None)
    yield opened
    opened.close()


def decode(sandbox: DecodeSandbox, path: Path) -> tuple[str, str, list[float]]:
    """Status, reason and presentation times of all pictures."""
    try:
        medium = sandbox.open(path, Sampling.of_all())
        times = [frame.pts_seconds for frame in medium if frame.rgb.size]
    except MediaError as error:
        return error.status, error.reason, []
    assert medium.decoded == len(times)
    return "partial" if medium.partial_reason else "ok", medium.partial_reason or "", times


def item(path: Path, cache: HashCache) -> MediumItem:
    """As extract plans it."""
    (made,) = items_from([Entry(str(path))], hash_inputs([str(path)], cache, max_bytes=Limits().max_bytes))
    return made


@pytest.mark.parametrize("kind", CASES)
def test_each_kind_has_its_status(
    sandbox: DecodeSandbox, reader: MediumReader, tmp_path: Path, kind: str
) -> None:
    case = CASES[kind]
    made = case.make(tmp_path / case.name)
    status, reason, times = decode(sandbox, made.path)
    assert (status, reason) == (case.decoded, reason)
    assert case.words in reason
    plain(reason)
    least, most = (
        (case.frames, case.frames) if isinstance(case.frames, int) else case.frames or (made.frames,) * 2
    )
    assert least <= len(times) <= most
    assert times == sorted(set(times)), "times ascend"
    if case.frames is None:
        first = times[0] - made.pts[0] if case.shifted else 0.0
        assert [time - first for time in times] == pytest.approx(list(made.pts), abs=2e-3), (
            "presentation times"
        )
    stored = reader.read(item(made.path, HashCache(tmp_path / "hashes"))).media
    assert (stored.status, stored.reason) == (case.read, stored.reason)
    plain(stored.reason or "")
    assert (stored.reason is None) == (case.read == "ok")


def plain(reason: str) -> None:
    assert "\n" not in reason
    assert len(reason) < 200
    assert "Traceback" not in reason
    assert "/" not in reason.replace("I/O", ""), "no path"
