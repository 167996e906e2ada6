"""Re-encodes a video as H.264 at constant rate factors: the same pictures at the same times, smaller and worse.

The settings are those of FaceForensics++'s own compression script: libx264 at its default preset, the rate factor
alone given, and the chroma sampling that the source has (RGB becomes 4:4:4, as FFmpeg chooses; its published c23 and
c40 are 4:4:4 for that reason). Other than there, presentation times are copied instead of spread over a fixed rate.
Eight bits a sample; sound is dropped; a rotation tag is kept as a tag; the colour matrix and range stay as tagged.
One thread an encoder, since libx264's output depends on their number. Two copies of a source may still differ in some
bits: libx264's assembly of the macroblock tree, which its default settings take, reads memory that it never wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self, cast

import av
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode import Decoding
from ffpipe.stages.decode.pyav import AvPicture

#: libx264's own default, which FaceForensics++ took; slower ones save bytes at the same rate factor.
PRESET = "medium"
CODEC = "libx264"
#: Pictures a second, and seconds a tick, where the source names none.
_ASSUMED_RATE = 25.0
_FALLBACK_BASE = Fraction(1, 90_000)
#: AVCOL_RANGE_JPEG: luma and chroma from 0 to 255.
_RANGE_FULL = 2


@dataclass(frozen=True, slots=True)
class Transcoded:
    """Facts of a finished copy: pictures, seconds, width and height as stored, pixel format, turn in degrees."""

    frames: int
    duration: float
    width: int
    height: int
    pixel_format: str
    rotation: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """A picture with its time and duration in ticks of `base` seconds."""

    frame: VideoFrame
    pts: int
    duration: int
    base: Fraction


def transcode(decoding: Decoding, outputs: Mapping[int, str]) -> Transcoded:
    """Write the video to each output file, rate factor -> path, as mp4; `decoding` samples every picture.

    Raises MediaError (unreadable also where not every picture could be decoded, since a copy that lacks some is no
    pair of its source; unsupported for an image, or pictures of several sizes), av.FFmpegError where a copy cannot be
    encoded or written.
    """
    facts: Transcoded | None = None
    with ExitStack() as stack:
        writers: list[_Writer] = []
        for shown in _timed(decoding):
            if facts is None:
                facts = _facts(decoding, shown.frame)
                rate = Fraction(decoding.probe.fps or _ASSUMED_RATE).limit_denominator(1001)
                writers = [
                    stack.enter_context(_Writer(target, crf, facts, shown, rate))
                    for crf, target in outputs.items()
                ]
            if (shown.frame.width, shown.frame.height) != (facts.width, facts.height):
                raise MediaError(Status.UNSUPPORTED, "its pictures change in size")
            facts = replace(facts, frames=facts.frames + 1)
            for writer in writers:
                writer.write(shown, facts.pixel_format)
        if facts is None or decoding.partial_reason:
            raise MediaError(Status.UNREADABLE, f"not whole: {decoding.partial_reason}")
        for writer in writers:
            writer.finish()
    return facts


def _facts(decoding: Decoding, frame: VideoFrame) -> Transcoded:
    turn = decoding.probe.rotation or 0
    return Transcoded(0, decoding.duration, frame.width, frame.height, pixel_format(frame), turn)


def pixel_format(frame: VideoFrame) -> str:
    """The 8-bit format of a frame's chroma sampling; 4:4:4 for RGB, and where a coarser one cannot hold odd sizes."""
    known = frame.format
    if known.is_rgb or known.has_palette:
        return "yuv444p"
    colour = len(known.components) > 1
    across, down = (not colour or halves(64) < 64 for halves in (known.chroma_width, known.chroma_height))
    odd = (across and frame.width % 2) or (down and frame.height % 2)
    sampling = "444" if odd or not across else "420" if down else "422"
    return f"yuv{'j' if frame.color_range == _RANGE_FULL else ''}{sampling}p"


def _timed(decoding: Decoding) -> Iterator[_Shown]:
    """Every picture with its time and how long it is shown: to the next one, the last to the end of the video."""
    held: _Shown | None = None
    start = 0
    for picture in decoding.pictures():
        if not isinstance(picture, AvPicture):
            raise MediaError(Status.UNSUPPORTED, "an image, not a video")
        if held is None:
            base = picture.frame.time_base or _FALLBACK_BASE
            start = round(picture.pts_seconds / base)
            held = _Shown(picture.frame, start, 1, base)
            continue
        ticks = max(round(picture.pts_seconds / held.base), held.pts + 1)
        yield replace(held, duration=ticks - held.pts)
        held = replace(held, frame=picture.frame, pts=ticks)
    if held is not None:
        yield replace(held, duration=max(start + round(decoding.duration / held.base) - held.pts, 1))


class _Writer:
    """One copy in the making; a context, so that its file is closed whatever happens."""

    def __init__(self, target: str, crf: int, facts: Transcoded, first: _Shown, rate: Fraction) -> None:
        self._container = av.open(f"file:{target}", "w", format="mp4")
        options = {"crf": str(crf), "preset": PRESET}
        self._stream = cast(VideoStream, self._container.add_stream(CODEC, rate=rate, options=options))
        self._stream.width, self._stream.height = facts.width, facts.height
        self._stream.pix_fmt = facts.pixel_format
        if facts.rotation:
            self._stream.set_display_rotation(-facts.rotation)  # counted the other way round
        encoder = self._stream.codec_context
        encoder.time_base, encoder.thread_count = first.base, 1
        _tag_colours(encoder, first.frame)
        self._durations: dict[int, int] = {}

    def write(self, shown: _Shown, pixels: str) -> None:
        """Encode one picture."""
        picture = shown.frame.reformat(format=pixels, threads=1)
        picture.pict_type = PictureType.NONE  # else the source's key frames would be forced on the copy
        picture.pts, picture.time_base = shown.pts, shown.base
        self._durations[shown.pts] = shown.duration
        self._mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Encode what is left."""
        self._mux(self._stream.encode(None))

    def _mux(self, packets: Sequence[av.Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()


def _tag_colours(encoder: VideoCodecContext, frame: VideoFrame) -> None:
    """What the source says of its colours; RGB becomes BT.601 of limited range, which is what no tag means."""
    if frame.format.is_rgb or frame.format.has_palette:
        return
    encoder.colorspace, encoder.color_range = frame.colorspace, frame.color_range
    encoder.color_primaries, encoder.color_trc = frame.color_primaries, frame.color_trc
