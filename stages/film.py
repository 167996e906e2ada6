"""Pictures of our own as a film that browsers play: H.264 in an MP4, each picture shown at its own time."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from ffpipe.manifests.errors import StorageError
from ffpipe.stages.transcode.encoding import CODEC

Image = NDArray[np.uint8]

#: Ticks a second: as fine as any container's, so that no time is moved by more than half of one.
TICKS = 90_000
#: As good as the eye can tell, and quickly; for looking at, not for measuring.
_OPTIONS = {"crf": "18", "preset": "veryfast"}
#: BT.709 with limited range, by FFmpeg's numbers: what players expect of H.264 without a word.
_MATRIX, _LIMITED = 1, 1
#: Seconds that a film's only picture is shown where nothing else is known.
_ONE_PICTURE = 1.0


class Film:
    """An MP4 in the making; a context. 4:2:0, its index in front, no sound, one thread: the same pictures give the same
    bytes.

    Raises StorageError, naming the file, where it cannot be written.
    """

    def __init__(self, path: Path, width: int, height: int, comment: str = "") -> None:
        """`width` and `height` are even. `comment` goes into the file's metadata."""
        self._path = path
        self._held: tuple[Image, int] | None = None
        self._durations: dict[int, int] = {}
        self._last = round(_ONE_PICTURE * TICKS)
        self.frames = 0
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        # By its descriptor: no folder's name can be taken for anything else.
        self._name = f"file:/proc/self/fd/{self._file.fileno()}"
        self._container = av.open(self._name, "w", format="mp4", container_options={"movflags": "faststart"})
        self._container.metadata["comment"] = comment
        # The rate is only a hint: every picture has its own time.
        self._stream = cast(VideoStream, self._container.add_stream(CODEC, rate=25, options=dict(_OPTIONS)))
        self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
        encoder = self._stream.codec_context
        encoder.time_base, encoder.thread_count = Fraction(1, TICKS), 1
        encoder.colorspace, encoder.color_range = _MATRIX, _LIMITED
        encoder.color_primaries = encoder.color_trc = _MATRIX

    def add(self, rgb: Image, seconds: float) -> None:
        """Show RGB uint8 (height, width, 3) from a time on, which lies after that of the picture before."""
        ticks = max(round(seconds * TICKS), 0)
        if self._held is not None:
            ticks = max(ticks, self._held[1] + 1)
            self._encode(*self._held, ticks)
        self._held = rgb, ticks
        self.frames += 1

    def finish(self, latest: float | None = None) -> None:
        """Show the last picture as long as the one before, at most until `latest`, and close the file."""
        if self._held is None:
            raise ValueError("a film has at least one picture")
        until = self._held[1] + self._last
        if latest is not None:
            until = max(min(until, round(latest * TICKS)), self._held[1] + 1)
        self._encode(*self._held, until)
        self._held = None
        with self._writing():
            self._mux(self._stream.encode(None))
            self._container.close()
            os.fsync(self._file.fileno())
            if self._stored() != self.frames:
                raise OSError(errno.EIO, "it does not hold what was written to it")

    def _encode(self, rgb: Image, ticks: int, until: int) -> None:
        self._last = until - ticks
        self._durations[ticks] = until - ticks
        with self._writing():
            picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                format="yuv420p", dst_colorspace=_MATRIX, dst_color_range=_LIMITED, threads=1
            )
            picture.pts, picture.time_base = ticks, Fraction(1, TICKS)
            self._mux(self._stream.encode(picture))

    def _mux(self, packets: list[av.Packet[VideoStream]]) -> None:
        for packet in packets:
            if packet.pts is not None:
                packet.duration = self._durations.pop(packet.pts)
            self._container.mux(packet)

    def _stored(self) -> int:
        """Pictures in the finished file: a disk that filled up at the very end says nothing by itself."""
        with av.open(self._name, format="mp4") as written:
            return sum(1 for packet in written.demux(video=0) if packet.size)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:  # FFmpeg's errors are of this kind too
            raise StorageError(f"cannot write {self._path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What failed has been said; closing an unfinished file can only fail for the same reason.
        with suppress(OSError):
            self._container.close()
        self._file.close()
