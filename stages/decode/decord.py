"""Decodes with decord 0.6, which is no longer maintained: for comparison, and only ever in the sandbox.

It can stall or abort on damaged files and reads a whole file or nothing. It turns pictures upright itself.
Files of which it silently returns other frames than asked for are refused: MPEG streams, open groups of
pictures, and those where it counts other pictures than the file shows (edit lists). It has no decoder for
AV1. Above 8 bits it takes the nearest chroma sample where the others interpolate, so that sharp edges of
colour differ there by more than 2 levels.
"""

from __future__ import annotations

from collections.abc import Iterator

import decord
import numpy as np

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.container import check_unforced
from ffpipe.stages.decode.contract import Picture, Pixels
from ffpipe.stages.decode.listed import wanted_pictures
from ffpipe.stages.decode.video import Video

decord.logging.set_level(decord.logging.QUIET)

#: Containers in which it returns frames some way off the index asked for.
_MISCOUNTED = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc"})


class DecordPicture:
    """An upright picture as decord gives it."""

    __slots__ = ("_rgb", "height", "index", "pts_seconds", "rotation", "width")

    def __init__(self, rgb: Pixels, index: int, pts_seconds: float, rotation: int) -> None:
        self._rgb = rgb
        self.index = index
        self.pts_seconds = pts_seconds
        self.rotation = rotation
        self.height, self.width = rgb.shape[:2]

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out."""
        np.copyto(out, self._rgb)


class DecordBackend:
    """See the module."""

    def pictures(self, video: Video) -> Iterator[tuple[Picture, int]]:
        """Each distinct picture that the targets meet, in order, and how many targets it meets.

        Raises:
            MediaError: unreadable, where decord does not open or decode what passed the gate; unsupported,
                where it would return other frames.
        """
        timeline, wanted = video.need_timeline(), wanted_pictures(video)
        if video.source.format in _MISCOUNTED or timeline.leading:
            what = "open groups of pictures" if timeline.leading else f"{video.source.format} files"
            raise MediaError(
                Status.UNSUPPORTED, f"decord returns wrong frames of {what}; use the decoder pyav"
            )
        check_unforced(video.source, video.limits)
        rotation = video.turn()
        try:
            reader = decord.VideoReader(video.source.url, ctx=decord.cpu(0), num_threads=1)
            _check_count(len(reader), len(timeline.pts))
            for index, hits in wanted.items():
                rgb = reader[index].asnumpy()
                yield DecordPicture(_checked(rgb, video), index, timeline.seconds[index], rotation), hits
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MediaError(Status.UNREADABLE, f"decord: {first.rpartition('] ')[2]}") from error


def _check_count(counted: int, packets: int) -> None:
    if counted != packets:
        raise MediaError(Status.UNREADABLE, f"decord counts {counted} pictures where the file has {packets}")


def _checked(rgb: Pixels, video: Video) -> Pixels:
    if rgb.ndim != 3 or rgb.shape[2] != 3:
        raise MediaError(Status.UNREADABLE, f"decord returns no RGB but an array of {rgb.shape}")
    video.limits.check_pixels(rgb.shape[1], rgb.shape[0])
    return rgb
