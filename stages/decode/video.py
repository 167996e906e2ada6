"""A video opened for decoding: header read and checked, targets set, and its timeline where one is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import TracebackType

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Probe, Status
from ffpipe.stages.decode.boxes import has_encrypted_video, listed_pictures
from ffpipe.stages.decode.container import clockwise, open_container, plain, prepared, time_base, video_stream
from ffpipe.stages.decode.contract import Limits
from ffpipe.stages.decode.gate import Source
from ffpipe.stages.decode.timeline import Timeline, scan
from ffpipe.stages.sampling import Sampling, for_scoring, targets

#: Containers whose header gives no duration, or a guess from the bit rate.
_GUESSED_DURATION = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc", "ogg", "flv"})
#: Containers whose duration FFmpeg takes from the pictures that they list; elsewhere the header may lie.
_LISTED_DURATION = frozenset({"mov", "gif"})


@dataclass(slots=True)
class Video:
    """An open video, its facts and what to take from it.

    times are the targets in seconds, empty for every picture; expected counts them (for every picture: the
    packets). faults collects why pictures are missing. moved says that the container was sought in.
    """

    source: Source
    limits: Limits
    container: InputContainer
    stream: VideoStream
    probe: Probe
    start: float
    duration: float
    times: list[float]
    expected: int
    timeline: Timeline | None
    faults: list[str] = field(default_factory=list)
    moved: bool = False

    def seconds(self, ticks: int) -> float:
        """A time in stream ticks, in seconds, rounded once."""
        return float(ticks * time_base(self.stream))

    def need_timeline(self) -> Timeline:
        """The timeline, from a pass over the packets if there was none yet."""
        if self.timeline is None:
            self.timeline = scan(self.source, self.stream.index, self.limits)
        return self.timeline

    def cut_short(self) -> str | None:
        """That an mp4 ends before some of the pictures that its header lists, as one cut off while it was copied."""
        if self.source.format != "mov":
            return None
        listed = self.stream.index_entries
        beyond = sum(entry.pos + entry.size > self.source.size for entry in listed)
        return f"the file ends before {beyond} of its {len(listed)} pictures" if beyond else None

    def turn(self) -> int:
        """The clockwise turn in degrees that the header asks for, as its first picture carries it."""
        with open_container(self.source, self.limits) as container:
            stream = prepared(container.streams[self.stream.index], self.limits)
            try:
                return clockwise(next(container.decode(stream)))
            except (av.FFmpegError, StopIteration) as error:
                what = plain(error) or "the file ends before it"
                raise MediaError(Status.UNREADABLE, f"no picture could be decoded: {what}") from error

    def seek(self, ticks: int) -> None:
        """Go on from the last key frame not later than `ticks`."""
        self.moved = True
        self.container.seek(ticks, stream=self.stream, backward=True, any_frame=False)

    def reopen(self) -> None:
        """Begin anew at the first packet, whatever its time."""
        index = self.stream.index
        self.container.close()
        self.container = open_container(self.source, self.limits)
        self.stream = prepared(self.container.streams[index], self.limits)
        self.moved = False

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.close()


def open_video(source: Source, sampling: Sampling | None, limits: Limits) -> Video:
    """Open a recognised video, check its header against the limits, and set the targets.

    Without sampling, what scoring looks at is taken. Closing is the caller's.

    Raises:
        MediaError: unreadable, unsupported (no video, encrypted, no decoder) or too_large.
    """
    if source.format == "mov" and has_encrypted_video(source.descriptor, source.size):
        raise MediaError(Status.UNSUPPORTED, "encrypted: its video track is protected (CENC)")
    if source.format == "mov" and (listed := listed_pictures(source.descriptor, source.size)) > source.size:
        raise MediaError(
            Status.UNREADABLE, f"its header lists {listed} pictures in a file of {source.size} bytes"
        )
    container = open_container(source, limits)
    try:
        stream = video_stream(container, source, limits)
        return _plan(source, container, stream, sampling, limits)
    except BaseException:
        container.close()
        raise


def _plan(
    source: Source, container: InputContainer, stream: VideoStream, sampling: Sampling | None, limits: Limits
) -> Video:
    stated = _stated_duration(source, container, stream)
    timeline = None
    if (
        stated is None
        or stream.start_time is None
        or source.format not in _LISTED_DURATION
        or (sampling and sampling.kind == "all")
    ):
        timeline = scan(source, stream.index, limits)
        if not timeline.pts:
            raise MediaError(Status.UNREADABLE, f"{source.format}: its video stream holds no picture")
    start = timeline.seconds[0] if timeline else float((stream.start_time or 0) * time_base(stream))
    found = max(timeline.end - start, 0.0) if timeline else 0.0
    duration = max(stated or 0.0, found)
    limits.check_seconds(duration)
    times, expected = _targets(sampling, start, duration, timeline, _listed(source, stream))
    probe = _probe(source, container, stream, duration, timeline)
    return Video(source, limits, container, stream, probe, start, duration, times, expected, timeline)


def _targets(
    sampling: Sampling | None, start: float, duration: float, timeline: Timeline | None, listed: int
) -> tuple[list[float], int]:
    """When to look, and how many looks that is.

    A header that promises so much more than there is that no look would meet a picture is taken for a lie:
    what is there is looked at, and counts as the small part of the promise that it is.
    """
    rule = sampling or for_scoring(duration)
    if timeline and rule.kind == "all":
        if len(timeline.pts) <= rule.max_frames:
            return [], max(len(timeline.pts), listed or _promised(timeline, start, duration))
        rule = Sampling.of_count(rule.max_frames)
    times = targets(rule, start, duration)
    if timeline and times[0] >= timeline.latest_end:
        found = max(timeline.end - start, 0.0)
        within = targets(rule, start, found)
        return within, max(
            len(times), math.ceil(len(within) * duration / found) if found else len(within) + 1
        )
    return times, len(times)


def _promised(timeline: Timeline, start: float, duration: float) -> int:
    """How many pictures there would be if those that are there went on to the end that the header states."""
    found = timeline.end - start
    if found <= 0 or start + duration <= timeline.latest_end:
        return 0
    return math.ceil(len(timeline.pts) * duration / found)


def _listed(source: Source, stream: VideoStream) -> int:
    """How many pictures an mp4's header lists, whether or not they are there."""
    return sum(not entry.is_discard for entry in stream.index_entries) if source.format == "mov" else 0


def _stated_duration(source: Source, container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of video by the header; None where it does not say, only guesses, or says nonsense."""
    if source.format in _GUESSED_DURATION:
        return None
    seconds = 0.0
    tag = _tagged_duration(stream)
    if stream.duration and stream.duration > 0:
        seconds = float(stream.duration * time_base(stream))
    elif tag is not None:
        seconds = tag - float((stream.start_time or 0) * time_base(stream))
    elif len(container.streams) == 1 and container.duration:
        start = (container.start_time or 0) if source.format == "matroska" else 0  # there it is the end
        seconds = (container.duration - start) / av.time_base
    return seconds if math.isfinite(seconds) and seconds > 0 else None


def _tagged_duration(stream: VideoStream) -> float | None:
    """The end that Matroska writers note per track, as hours:minutes:seconds."""
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    return hours * 3600 + minutes * 60 + seconds


def _probe(
    source: Source,
    container: InputContainer,
    stream: VideoStream,
    duration: float,
    timeline: Timeline | None,
) -> Probe:
    codec = stream.codec_context
    return Probe(
        container=source.format,
        codec=codec.codec.canonical_name,
        pixel_format=codec.pix_fmt,
        width=codec.width,
        height=codec.height,
        fps=float(stream.average_rate) if stream.average_rate else None,
        duration=duration,
        frame_count=len(timeline.pts) if timeline else stream.frames or None,
        bit_rate=codec.bit_rate or container.bit_rate or None,
    )
