"""Decodes with PyAV: the default, and the one that says where a file is damaged.

One thread, each picture decoded once and in order; only pictures that are kept become RGB. Where the targets
lie far apart compared with the key frames, it seeks from one to the next instead, with the same result.

RGB is made with the matrix and range that the stream names; where it names none, BT.601 limited range is
assumed, as FFmpeg, OpenCV and decord do. High dynamic range is not tone-mapped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import cast

import av
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.container import clockwise, plain, step, time_base
from ffpipe.stages.decode.contract import Picture, Pixels
from ffpipe.stages.decode.orient import write_upright
from ffpipe.stages.decode.timeline import Timeline
from ffpipe.stages.decode.video import Video
from ffpipe.stages.sampling import pick_shown

#: Seeking pays from this many key-frame distances between targets; below, each picture is passed anyway.
SEEK_FROM_GOPS = 1.5
#: How chroma is enlarged where FFmpeg has no direct way to RGB (above 8 bits): as OpenCV does.
_CHROMA = Interpolation.BICUBIC
#: Key frames are hardly ever closer than this, in seconds; below it no index is looked for.
_NEAREST_KEYS = 0.5
#: Only these containers say where their key frames are, exactly and up front.
_SEEKABLE = frozenset({"mov", "matroska"})


class AvPicture:
    """A picture in FFmpeg's planes (`frame`), not RGB yet."""

    __slots__ = ("_reformatter", "frame", "height", "index", "pts_seconds", "rotation", "width")

    def __init__(
        self, frame: VideoFrame, index: int, pts_seconds: float, reformatter: VideoReformatter
    ) -> None:
        self.frame = frame
        self._reformatter = reformatter
        self.index = index
        self.pts_seconds = pts_seconds
        self.rotation = clockwise(frame)
        turned = self.rotation in (90, 270)
        self.width, self.height = (frame.height, frame.width) if turned else (frame.width, frame.height)

    def render(self, out: Pixels) -> None:
        """Write upright RGB into out.

        Raises:
            MediaError: unsupported, where FFmpeg cannot convert the stream's colours.
        """
        try:
            rgb = self._reformatter.reformat(self.frame, format="rgb24", interpolation=_CHROMA, threads=1)
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            name = self.frame.format.name
            raise MediaError(Status.UNSUPPORTED, f"no way from {name} to RGB: {plain(error)}") from error
        write_upright(cast(Pixels, rgb.to_ndarray()), self.rotation, out)


@dataclass(frozen=True, slots=True)
class _Damage:
    """A packet that could not be read or decoded; ticks is its time if it has one."""

    ticks: int | None
    reason: str


class PyavBackend:
    """See the module."""

    def pictures(self, video: Video) -> Iterator[tuple[Picture, int]]:
        """Each distinct picture that the targets meet, in order, and how many targets it meets."""
        if not video.times:
            yield from ((picture, 1) for _, picture in _presented(video) if picture is not None)
            return
        done = 0
        if _sparse(video):
            for picture, hits in _by_seeking(video):
                done += hits
                yield picture, hits
        if done < len(video.times):
            if video.moved:
                video.reopen()
            yield from pick_shown(_presented(video), video.times[done:])


def _presented(video: Video) -> Iterator[tuple[float, AvPicture | None]]:
    """Every picture in presentation order with its time; None from where it is not known what is shown.

    After damage, everything up to the next key frame is passed over: a decoder goes on with pictures built on
    what it lost, and such smears are not evidence.
    """
    clock = _Clock(video)
    reformatter = VideoReformatter()
    damaged_from: float | None = None
    known = True
    for index, item in enumerate(_decoded(video)):
        video.limits.check_frames(index + 1)
        if isinstance(item, _Damage):
            at = clock.next_pts if item.ticks is None else video.seconds(item.ticks)
            damaged_from = at if damaged_from is None else min(at, damaged_from)
            video.faults.append(f"{item.reason} at {at:.2f} s")
            continue
        pts = clock.time_of(item)
        if item.is_corrupt and damaged_from is None:
            damaged_from = pts
            video.faults.append(f"damaged picture at {pts:.2f} s")
        if damaged_from is not None and pts >= damaged_from:
            if known:
                yield min(damaged_from, pts), None
            known = item.key_frame and not item.is_corrupt
            damaged_from = None if known else damaged_from
        if known:
            yield pts, AvPicture(item, index, pts, reformatter)
    if damaged_from is not None:
        yield max(damaged_from, clock.last_pts), None
    else:
        yield clock.end, None


class _Clock:
    """Presentation times that always ascend, also where the file's own are missing or repeat."""

    def __init__(self, video: Video) -> None:
        self._video = video
        self._base = time_base(video.stream)
        self._step = float(step(video.stream))
        self._first = True
        self._widest = 0.0
        self._held = 0.0
        self.last_pts = video.start

    @property
    def next_pts(self) -> float:
        """Where the next picture belongs by the nominal rate."""
        return self.last_pts if self._first else self.last_pts + self._step

    @property
    def end(self) -> float:
        """When the last picture leaves the screen: after its duration or the widest gap seen before it."""
        return self.last_pts + max(self._held, self._widest or self._step)

    def time_of(self, frame: VideoFrame) -> float:
        """The frame's time in seconds."""
        ticks = frame.pts if frame.pts is not None else frame.dts
        pts = self.next_pts if ticks is None else self._video.seconds(ticks)
        if not self._first:
            pts = pts if pts > self.last_pts else self.next_pts
            self._widest = max(self._widest, pts - self.last_pts)
        self._first = False
        self._held = float((frame.duration or 0) * self._base)
        self.last_pts = pts
        return pts


def _decoded(video: Video) -> Iterator[VideoFrame | _Damage]:
    """What the decoder gives for each packet, in presentation order; damage takes the place of its packet."""
    packets = video.container.demux(video.stream)
    flushed = False
    while not flushed:
        ticks: int | None = None
        try:
            packet = next(packets, None)
            flushed = packet is None or not packet.size
            ticks = None if packet is None else packet.pts
            yield from video.stream.codec_context.decode(
                packet if packet is not None and packet.size else None
            )
        except MemoryError:
            raise
        except EOFError:
            return
        except av.FFmpegError as error:
            yield _Damage(ticks, plain(error))
            if ticks is None and not flushed:
                yield from video.stream.codec_context.decode(None)
                return


# ---------------------------------------------------------------- seeking


def _sparse(video: Video) -> bool:
    """Whether the targets lie so far apart that seeking passes by fewer pictures than decoding all."""
    if video.source.format not in _SEEKABLE or len(video.times) < 2:
        return False
    spacing = (video.times[-1] - video.times[0]) / (len(video.times) - 1)
    if video.source.format == "matroska" and spacing >= _NEAREST_KEYS:
        video.seek(video.stream.start_time or 0)  # its index is read at the first seek only
    keys = sum(entry.is_keyframe for entry in video.stream.index_entries)
    return keys > 1 and spacing >= SEEK_FROM_GOPS * video.duration / keys


def _by_seeking(video: Video) -> Iterator[tuple[AvPicture, int]]:
    """As decoding in order, as long as every picture is found at its exact time and sound; ends early if not."""
    timeline = video.need_timeline()
    wanted = [timeline.shown_at(time) for time in video.times]
    if not timeline.reliable or not timeline.key_pts or None in wanted:
        return
    counts = [(index, len(list(group))) for index, group in groupby(wanted) if index is not None]
    reformatter = VideoReformatter()
    for key, group in groupby(counts, key=lambda item: timeline.key_before(item[0])):
        chosen = list(group)
        frames = _from_key(video, timeline, key, [timeline.pts[index] for index, _ in chosen])
        for index, hits in chosen:
            frame = next(frames, None)
            if frame is None:
                return
            yield AvPicture(frame, index, timeline.seconds[index], reformatter), hits


def _from_key(video: Video, timeline: Timeline, key: int, wanted: Sequence[int]) -> Iterator[VideoFrame]:
    """The frames of exactly the wanted times, from one key frame on; ends before the first that is not sound."""
    matroska = video.source.format == "matroska"
    begin = timeline.key_pts[key] if matroska else timeline.key_dts[key]
    video.seek(begin)
    missing = deque(wanted)
    for item in _decoded(video):
        if isinstance(item, _Damage) or item.is_corrupt or item.pts is None or item.pts > missing[0]:
            return
        if item.pts == missing[0]:
            missing.popleft()
            yield item
        if not missing:
            return
