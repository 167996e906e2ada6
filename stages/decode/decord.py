"""Decodes with decord 0.6, which is no longer maintained: for comparison, and only ever in the sandbox.

It can stall or abort on damaged files and reads a whole file or nothing. It turns pictures upright itself.
Frames are asked for one by one, by the number of packets counted before, since its own count can be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import decord
import numpy as np

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.contract import Picture, Pixels
from ffpipe.stages.decode.listed import wanted_pictures
from ffpipe.stages.decode.video import Video

decord.logging.set_level(decord.logging.QUIET)


class DecordPicture:
    """An upright picture as decord gives it."""

    __slots__ = ("_rgb", "height", "index", "pts_seconds", "width")

    def __init__(self, rgb: Pixels, index: int, pts_seconds: float) -> None:
        self._rgb = rgb
        self.index = index
        self.pts_seconds = pts_seconds
        self.height, self.width = rgb.shape[:2]

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out."""
        np.copyto(out, self._rgb)


class DecordBackend:
    """See the module."""

    def pictures(self, video: Video) -> Iterator[tuple[Picture, int]]:
        """Each distinct picture that the targets meet, in order, and how many targets it meets.

        Raises:
            MediaError: unreadable, where decord does not open or decode what passed the gate.
        """
        timeline, wanted = video.need_timeline(), wanted_pictures(video)
        try:
            reader = decord.VideoReader(video.source.url, ctx=decord.cpu(0), num_threads=1)
            if len(reader) != len(timeline.pts):
                raise MediaError(
                    Status.UNREADABLE,
                    f"decord counts {len(reader)} pictures where the file has {len(timeline.pts)}",
                )
            for index, hits in wanted.items():
                picture = reader[index].asnumpy()
                video.limits.check_pixels(picture.shape[1], picture.shape[0])
                yield DecordPicture(picture, index, timeline.seconds[index]), hits
        except (decord.DECORDError, RuntimeError, IndexError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise MediaError(Status.UNREADABLE, f"decord: {first}") from error
