"""The presentation times of a video's pictures, from its packets alone."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Status
from ffpipe.stages.decode.container import open_container, step, time_base
from ffpipe.stages.decode.contract import Limits
from ffpipe.stages.decode.gate import Source
from ffpipe.stages.sampling import shown_at


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


def scan(source: Source, index: int, limits: Limits) -> Timeline:
    """One pass over the packets of stream `index`, without decoding, through a demuxer of its own.

    Raises:
        MediaError: as `container.open_container`; too_large beyond the limit on pictures.
    """
    container = open_container(source, limits)
    with container:
        stream = container.streams[index]
        if not isinstance(stream, VideoStream):
            raise MediaError(Status.UNREADABLE, "its streams change from one opening to the next")
        return _timeline(_packets(container, stream, limits), time_base(stream), step(stream))


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
    gap = max((later - earlier for earlier, later in itertools.pairwise(pts)), default=0) * base or nominal
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


def _packets(
    container: InputContainer, stream: VideoStream, limits: Limits
) -> Iterator[av.Packet[VideoStream]]:
    """The stream's packets up to where the file can be read."""
    packets = container.demux(stream)
    counted = 0
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
            counted += 1
            limits.check_frames(counted)
            yield packet
