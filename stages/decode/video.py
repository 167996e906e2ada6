"""A video opened for decoding: header read and checked, targets set, and its timeline where one is needed."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from types import TracebackType

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Probe, Status
from ffpipe.stages.decode.boxes import has_encrypted_video
from ffpipe.stages.decode.contract import Limits
from ffpipe.stages.decode.gate import Source
from ffpipe.stages.sampling import Sampling, for_scoring, shown_at, targets

#: Containers whose header gives no duration, or a guess from the bit rate.
_GUESSED_DURATION = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc", "ogg", "flv"})
#: A rate assumed where neither timestamps nor the header give one, in frames per second.
_ASSUMED_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Presentation times of all pictures, ascending, from one pass over the packets.

    pts are in stream ticks and seconds the same in seconds. key_pts and key_dts belong together: a key
    frame's presentation time and the time to seek to for it, in ticks. end is when the last picture leaves
    the screen by its own duration, latest_end the same if it lasts as long as the widest gap before it, both
    in seconds. reliable is False where packets have no time or share one. leading
    says that pictures shown before a key frame come after it in the file (open groups).
    """

    pts: list[int]
    seconds: list[float]
    key_pts: list[int]
    key_dts: list[int]
    end: float
    latest_end: float
    reliable: bool
    leading: bool

    def shown_at(self, time: float) -> int | None:
        """Index of the picture on screen at `time` seconds, None after the end; the first answers before it."""
        return shown_at(self.seconds, time) if self.pts and time < self.latest_end else None

    def key_before(self, index: int) -> int:
        """Number of the key frame from which picture `index` can be decoded."""
        return max(bisect_right(self.key_pts, self.pts[index]) - 1, 0)


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

    def turn(self) -> int:
        """The clockwise turn in degrees that the header asks for, as its first picture carries it."""
        with _open_container(self.source, self.limits) as container:
            stream = _prepared(container.streams[self.stream.index], self.limits)
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
        self.container = _open_container(self.source, self.limits)
        self.stream = _prepared(self.container.streams[index], self.limits)
        self.moved = False

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.close()


def clockwise(frame: VideoFrame) -> int:
    """The clockwise turn, 0, 90, 180 or 270 degrees, that shows the frame upright."""
    return round(-frame.rotation / 90) * 90 % 360


def time_base(stream: VideoStream) -> Fraction:
    """Seconds per tick of the stream."""
    return stream.time_base or Fraction(1, 90_000)


def step(stream: VideoStream) -> Fraction:
    """Seconds from one picture to the next by the header's rate, where timestamps do not say."""
    rate = stream.average_rate or stream.guessed_rate or _ASSUMED_RATE
    return 1 / Fraction(rate) if rate > 0 else 1 / _ASSUMED_RATE


def open_video(source: Source, sampling: Sampling | None, limits: Limits) -> Video:
    """Open a recognised video, check its header against the limits, and set the targets.

    Without sampling, what scoring looks at is taken. Closing is the caller's.

    Raises:
        MediaError: unreadable, unsupported (no video, encrypted, no decoder) or too_large.
    """
    if source.format == "mov" and has_encrypted_video(source.descriptor, source.size):
        raise MediaError(Status.UNSUPPORTED, "encrypted: its video track is protected (CENC)")
    container = _open_container(source, limits)
    try:
        stream = _video_stream(container, source, limits)
        return _plan(source, container, stream, sampling, limits)
    except BaseException:
        container.close()
        raise


def _open_container(source: Source, limits: Limits) -> InputContainer:
    """FFmpeg's demuxer, forced to the format that the first bytes say; it can open nothing but this file."""
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": source.format,
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams + 1),
        "threads": "1",
    }
    if source.format == "mov":
        options["enable_drefs"] = "0"
    try:
        container = av.open(f"file:{source.url}", format=source.format, options=options)
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(Status.UNREADABLE, f"{source.format}: {plain(error)}") from error
    if container.format.name.split(",")[0] != source.format:
        container.close()
        raise MediaError(Status.UNSUPPORTED, f"read as {container.format.name}, which is not allowed")
    return container


def plain(error: BaseException) -> str:
    """FFmpeg's words for an error, without its number and without paths."""
    return str(getattr(error, "strerror", None) or error)


def _video_stream(container: InputContainer, source: Source, limits: Limits) -> VideoStream:
    if len(container.streams) == 0:
        raise MediaError(Status.UNREADABLE, f"{source.format}: its header describes no stream")
    if len(container.streams) > limits.max_streams:
        raise MediaError(Status.TOO_LARGE, f"{len(container.streams)} streams; limit {limits.max_streams}")
    cover = Disposition.attached_pic
    stream = container.streams.best("video")
    if stream is None or stream.disposition & cover:
        real = [one for one in container.streams.video if not one.disposition & cover]
        if not real:
            what = "only a cover picture" if container.streams.video else "no video"
            raise MediaError(Status.UNSUPPORTED, f"holds {what}")
        stream = real[0]
    return _prepared(stream, limits)


def _prepared(stream: Stream, limits: Limits) -> VideoStream:
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise MediaError(Status.UNSUPPORTED, "no decoder for its video")
    limits.check_pixels(stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream


def _plan(
    source: Source, container: InputContainer, stream: VideoStream, sampling: Sampling | None, limits: Limits
) -> Video:
    base = time_base(stream)
    duration = _stated_duration(source, container, stream)
    timeline = None
    if duration is None or stream.start_time is None or (sampling and sampling.kind == "all"):
        timeline = scan(source, stream.index, limits)
        if not timeline.pts:
            raise MediaError(Status.UNREADABLE, f"{source.format}: its video stream holds no picture")
        start = timeline.seconds[0]
        duration = duration or max(timeline.end - start, 0.0)
    else:
        start = float(stream.start_time * base)
    limits.check_seconds(duration)
    rule = sampling or for_scoring(duration)
    if timeline and rule.kind == "all" and len(timeline.pts) > rule.max_frames:
        rule = Sampling.of_count(rule.max_frames)
    times = targets(rule, start, duration)
    listed = sum(not entry.is_discard for entry in stream.index_entries) if source.format == "mov" else 0
    expected = max(len(timeline.pts), listed) if timeline and rule.kind == "all" else len(times)
    probe = _probe(source, container, stream, duration, timeline)
    return Video(source, limits, container, stream, probe, start, duration, times, expected, timeline)


def _stated_duration(source: Source, container: InputContainer, stream: VideoStream) -> float | None:
    """Seconds of video by the header; None where it does not say or only guesses."""
    if source.format in _GUESSED_DURATION:
        return None
    if stream.duration and stream.duration > 0:
        return float(stream.duration * time_base(stream))
    tag = _tagged_duration(stream)
    if tag is not None:
        return max(tag - float((stream.start_time or 0) * time_base(stream)), 0.0) or None
    if len(container.streams) == 1 and container.duration and container.duration > 0:
        start = container.start_time or 0
        ends_absolute = source.format == "matroska"
        return (container.duration - (start if ends_absolute else 0)) / av.time_base or None
    return None


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


def scan(source: Source, index: int, limits: Limits) -> Timeline:
    """One pass over the packets of stream `index`, without decoding, through a demuxer of its own.

    Raises:
        MediaError: as open_video.
    """
    container = _open_container(source, limits)
    with container:
        stream = container.streams[index]
        if not isinstance(stream, VideoStream):
            raise MediaError(Status.UNREADABLE, "its streams change from one opening to the next")
        return _timeline(_packets(container, stream), time_base(stream), step(stream))


def _timeline(packets: Iterable[av.Packet[VideoStream]], base: Fraction, nominal: Fraction) -> Timeline:
    pts: list[int] = []
    keys: list[tuple[int, int]] = []
    held, reliable, leading = 0, True, False
    following = 0
    for packet in packets:
        time = packet.pts if packet.pts is not None else packet.dts
        reliable = reliable and packet.pts is not None
        time = following if time is None else time
        if packet.is_discard:
            continue
        if time >= following:
            held = packet.duration or 0
            following = time + (held or int(nominal / base))
        leading = leading or bool(keys and time < keys[-1][0])
        pts.append(time)
        if packet.is_keyframe:
            keys.append((time, time if packet.dts is None else packet.dts))
    pts.sort()
    keys.sort()
    reliable = reliable and len(set(pts)) == len(pts)
    gap = max((later - earlier for earlier, later in pairwise(pts)), default=0) * base or nominal
    last = (pts[-1] if pts else 0) * base
    return Timeline(
        pts=pts,
        seconds=[float(ticks * base) for ticks in pts],
        key_pts=[time for time, _ in keys],
        key_dts=[dts for _, dts in keys],
        end=float(last + (held * base or nominal)),
        latest_end=float(last + max(held * base, gap)),
        reliable=reliable,
        leading=leading,
    )


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[av.Packet[VideoStream]]:
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except MemoryError:
            raise
        except av.FFmpegError:
            return
        if packet is None:
            return
        if packet.size:
            yield packet
