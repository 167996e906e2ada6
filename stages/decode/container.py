"""Opens a recognised video with FFmpeg through PyAV, so that it can reach nothing else, and finds its stream."""

from __future__ import annotations

import os
import struct
from fractions import Fraction

import av
from av.container import InputContainer
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.contract import Limits
from ffpipe.stages.decode.gate import Source

#: A rate assumed where neither timestamps nor the header give one, in frames per second.
_ASSUMED_RATE = Fraction(25)
#: Where a GIF says its width and height.
_GIF_SCREEN = 6


def open_container(source: Source, limits: Limits) -> InputContainer:
    """FFmpeg's demuxer, forced to the format that the first bytes say; it can open nothing but this file.

    Raises:
        MediaError: unreadable, too_large, or unsupported where FFmpeg takes it for another format.
        MemoryError: its header asks for more than there is.
    """
    if source.format == "gif":  # FFmpeg forgets the size of one that is too large
        limits.check_pixels(
            *struct.unpack("<HH", os.pread(source.descriptor, 4, _GIF_SCREEN).ljust(4, b"\0"))
        )
    try:
        container = av.open(
            f"file:{source.url}", format=source.format, options=_demuxer_options(source, limits)
        )
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(Status.UNREADABLE, f"{source.format}: {plain(error)}") from error
    if container.format.name.split(",")[0] != source.format:
        container.close()
        raise MediaError(Status.UNSUPPORTED, f"read as {container.format.name}, which is not allowed")
    return container


def check_unforced(source: Source, limits: Limits) -> None:
    """That FFmpeg takes a file for what its first bytes say also where nobody forces it to.

    For decoders that cannot be told the format: FFmpeg would weigh a file that begins in two ways by itself, and
    take a session description between the fields of a header for what it is.

    Raises:
        MediaError: unsupported.
        MemoryError: its header asks for more than there is.
    """
    try:
        av.open(f"file:{source.url}", options=_demuxer_options(source, limits)).close()
    except MemoryError:
        raise
    except (av.FFmpegError, ValueError) as error:
        what = f"left to choose, FFmpeg does not take it for {source.format} ({plain(error)})"
        raise MediaError(Status.UNSUPPORTED, f"{what}; use the decoder pyav") from error


def _demuxer_options(source: Source, limits: Limits) -> dict[str, str]:
    options = {
        "protocol_whitelist": "file",
        "format_whitelist": source.format,
        "max_pixels": str(limits.max_pixels),
        "max_streams": str(limits.max_streams + 1),
        "threads": "1",
    }
    return options | {"enable_drefs": "0"} if source.format == "mov" else options


def plain(error: BaseException) -> str:
    """FFmpeg's words for an error, without its number and without paths."""
    return str(getattr(error, "strerror", None) or error)


def video_stream(container: InputContainer, source: Source, limits: Limits) -> VideoStream:
    """The video stream that FFmpeg holds for the best, ready to decode on one thread.

    Raises:
        MediaError: unreadable, unsupported (no video but perhaps a cover, no decoder), or too_large.
    """
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
    return prepared(stream, limits)


def prepared(stream: Stream, limits: Limits) -> VideoStream:
    """A stream set to one thread and to the limit on pixels.

    Raises:
        MediaError: unsupported where it cannot be decoded, too_large or unreadable by its size.
    """
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        raise MediaError(Status.UNSUPPORTED, "no decoder for its video")
    limits.check_pixels(stream.codec_context.width, stream.codec_context.height)
    stream.codec_context.options = {"max_pixels": str(limits.max_pixels)}
    stream.codec_context.thread_count = 1
    stream.codec_context.thread_type = "NONE"
    return stream


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
