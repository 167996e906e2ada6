"""What decoders give and what bounds them: frames, limits, and what a backend must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status

if TYPE_CHECKING:
    from ffpipe.stages.decode.video import Video

Pixels = NDArray[np.uint8]

MEBIBYTE = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture of a medium: index in presentation order, time in seconds, upright RGB uint8 (H, W, 3).

    rgb is the stored grid, never stretched to square pixels: resampling would wipe out the very traces that
    are looked for. It is a view that the next frame overwrites; copy what is kept.
    """

    index: int
    pts_seconds: float
    rgb: Pixels

    def __repr__(self) -> str:
        height, width = self.rgb.shape[:2]
        return f"Frame({self.index}, t={self.pts_seconds:.3f}s, {width}x{height})"


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one medium may cost; beyond it the medium is too_large or a timeout.

    max_pixels: of one picture, from the header, before anything is decoded (8192 x 8192).
    max_frames: pictures decoded, also those only passed through. max_seconds: duration. max_bytes: file size.
    wall_seconds and cpu_seconds: for any medium, plus seconds_per_second for each second of its duration.
    memory_bytes: address space of the decoding child.
    """

    max_pixels: int = 8192 * 8192
    max_frames: int = 10_000_000
    max_seconds: float = 24 * 3600.0
    max_streams: int = 64
    max_bytes: int = 256 << 30
    wall_seconds: float = 60.0
    cpu_seconds: float = 60.0
    seconds_per_second: float = 8.0
    memory_bytes: int = 4096 * MEBIBYTE

    def check_pixels(self, width: int, height: int) -> None:
        """Refuse a picture of more than max_pixels, or of none.

        Raises:
            MediaError: too_large, or unreadable where a side is not positive.
        """
        if width <= 0 or height <= 0:
            raise MediaError(Status.UNREADABLE, f"the header says {width}x{height} pixels")
        if width * height > self.max_pixels:
            raise MediaError(
                Status.TOO_LARGE, f"{width}x{height} pixels; the limit is {self.max_pixels} a picture"
            )

    def check_seconds(self, duration: float) -> None:
        """Refuse a duration above max_seconds.

        Raises:
            MediaError: too_large.
        """
        if duration > self.max_seconds:
            raise MediaError(
                Status.TOO_LARGE, f"{duration:.0f} s long; the limit is {self.max_seconds:.0f} s"
            )

    def check_frames(self, decoded: int) -> None:
        """Refuse to decode more than max_frames pictures.

        Raises:
            MediaError: too_large.
        """
        if decoded > self.max_frames:
            raise MediaError(Status.TOO_LARGE, f"more than {self.max_frames} pictures")

    def allowance(self, duration: float) -> float:
        """Seconds granted for the duration, on top of wall_seconds and cpu_seconds."""
        return self.seconds_per_second * min(duration, self.max_seconds)


class Picture(Protocol):
    """A decoded picture that is not RGB yet; width and height are upright."""

    index: int
    pts_seconds: float
    width: int
    height: int

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out (height, width, 3). Valid until the next picture is asked for."""


class Backend(Protocol):
    """What a decoder's file offers."""

    def pictures(self, video: Video) -> Iterator[tuple[Picture, int]]:
        """Each distinct picture that the video's sampling meets, in order, and how many targets it meets.

        Targets that meet no sound picture are left out, and the cause is appended to video.faults.
        """
