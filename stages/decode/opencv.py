"""Decodes with OpenCV, one picture after another; only kept pictures are converted.

Times come from the packets, since OpenCV counts from the first picture and leaves damaged ones out silently:
each picture is matched to the packet of the same time, or of the same number in files without times. OpenCV
does not report damage, so that smeared pictures after it are kept here, other than with PyAV. What it would
show otherwise than the other decoders is refused: BT.2020 and high dynamic range, which it converts to BT.709
colours, and the second of two video streams. Its build has no software decoder for AV1.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.contract import Picture, Pixels
from ffpipe.stages.decode.listed import wanted_pictures
from ffpipe.stages.decode.orient import write_upright
from ffpipe.stages.decode.timeline import Timeline
from ffpipe.stages.decode.video import Video

#: OpenCV's way of handing options to FFmpeg.
_OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
#: OpenCV's code for an allocation that failed.
_OUT_OF_MEMORY = -4
#: One thread, no hardware.
_PARAMETERS = (cv2.CAP_PROP_N_THREADS, 1, cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_NONE)
#: FFmpeg's numbers of BT.2020 primaries and of the PQ and HLG transfer curves.
_BT2020, _PQ, _HLG = 9, 16, 18


class BgrPicture:
    """A picture as OpenCV gives it: blue first, as stored."""

    __slots__ = ("_bgr", "height", "index", "pts_seconds", "rotation", "width")

    def __init__(self, bgr: Pixels, index: int, pts_seconds: float, rotation: int) -> None:
        self._bgr = bgr
        self.index = index
        self.pts_seconds = pts_seconds
        self.rotation = rotation
        stored = bgr.shape[:2]
        self.height, self.width = stored[::-1] if rotation in (90, 270) else stored

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out."""
        write_upright(
            self._bgr[..., ::-1].copy() if self.rotation else self._bgr[..., ::-1], self.rotation, out
        )


class OpencvBackend:
    """See the module."""

    def pictures(self, video: Video) -> Iterator[tuple[Picture, int]]:
        """Each distinct picture that the targets meet, in order, and how many targets it meets.

        Raises:
            MediaError: unreadable, where OpenCV does not open or decode what passed the gate; unsupported,
                where it would decode something else or other colours.
        """
        _check_colours(video)
        timeline, wanted = video.need_timeline(), wanted_pictures(video)
        last = max(wanted, default=-1)
        with _capture(video) as capture:
            rotation = video.turn()
            grabbed, index = 0, -1
            while wanted and capture.grab():
                grabbed += 1
                video.limits.check_frames(grabbed)
                index += 1
                if timeline.reliable:
                    seconds = video.start + capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
                    index = max(_nearest(timeline, seconds), index)
                if index in wanted:
                    yield _retrieve(capture, index, timeline, rotation), wanted.pop(index)
                if index >= last:
                    break
        if wanted:
            video.faults.append(f"OpenCV stops after {grabbed} pictures")


def _check_colours(video: Video) -> None:
    codec = video.stream.codec_context
    if int(codec.color_primaries) == _BT2020 or int(codec.color_trc) in (_PQ, _HLG):
        raise MediaError(
            Status.UNSUPPORTED, "OpenCV changes BT.2020 and high dynamic range colours; use the decoder pyav"
        )


def _retrieve(capture: cv2.VideoCapture, index: int, timeline: Timeline, rotation: int) -> BgrPicture:
    try:
        found, bgr = capture.retrieve()
    except cv2.error as error:
        if error.code == _OUT_OF_MEMORY:
            raise MemoryError from error
        raise MediaError(Status.UNREADABLE, f"OpenCV: {error.err}") from error
    if not found:
        raise MediaError(Status.UNREADABLE, "OpenCV cannot convert its pictures")
    return BgrPicture(bgr, index, timeline.seconds[index], rotation)


def _nearest(timeline: Timeline, seconds: float) -> int:
    """Index of the picture whose time is nearest."""
    after = bisect_left(timeline.seconds, seconds)
    around = [index for index in (after - 1, after) if 0 <= index < len(timeline.seconds)]
    return min(around, key=lambda index: abs(timeline.seconds[index] - seconds))


@contextmanager
def _capture(video: Video) -> Iterator[cv2.VideoCapture]:
    before = os.environ.get(_OPTIONS_VARIABLE)
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": video.source.format,
        "max_pixels": video.limits.max_pixels,
    }
    os.environ[_OPTIONS_VARIABLE] = "|".join(f"{name};{value}" for name, value in options.items())
    try:
        capture = cv2.VideoCapture(video.source.url, cv2.CAP_FFMPEG, _PARAMETERS)
    finally:
        if before is None:
            del os.environ[_OPTIONS_VARIABLE]
        else:
            os.environ[_OPTIONS_VARIABLE] = before
    try:
        if not capture.isOpened():
            raise MediaError(Status.UNREADABLE, "OpenCV cannot open it; the decoder pyav may")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)  # ffpipe turns for every decoder alike
        width = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if width != video.stream.codec_context.width or height != video.stream.codec_context.height:
            raise MediaError(Status.UNSUPPORTED, "OpenCV opens another of its video streams; use pyav")
        yield capture
    finally:
        capture.release()
