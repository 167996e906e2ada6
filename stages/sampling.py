"""Which presentation times to look at, and which frame is on screen then: pure, without any video."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

#: Frames taken from a video when faces are extracted for training.
EXTRACT_FRAMES = 32
#: Seconds by which a target may lie before a frame and still meet it: the rounding of a target that falls on
#: a frame's time exactly, and far less than any frame lasts.
ROUNDING_SECONDS = 1e-6
#: Most frames that scoring looks at, however long the video.
SCORING_MAX_FRAMES = 600
#: Scoring looks at least this often, in seconds, so that a short forgery in a long video is seen.
SCORING_EVERY_SECONDS = 2.0
#: The same for people.
SCORING_RULE = f"one frame every {SCORING_EVERY_SECONDS:g} s, {EXTRACT_FRAMES} to {SCORING_MAX_FRAMES} in all"
#: Most frames taken of any video unless asked otherwise: about an hour at 30 frames a second.
DEFAULT_MAX_FRAMES = 100_000

Shown = TypeVar("Shown")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How densely to look at a video; `count`, `every` and `all_frames` build the three kinds.

    Where `every` or `all` would take more than max_frames frames, max_frames evenly spread ones are taken.
    """

    kind: Literal["count", "every", "all"]
    count: int | None = None
    every_seconds: float | None = None
    max_frames: int = DEFAULT_MAX_FRAMES

    def __post_init__(self) -> None:
        if self.max_frames < 1:
            raise ValueError(f"max_frames is {self.max_frames}; allowed: 1 or more")
        if self.kind == "count" and (self.count is None or self.count < 1):
            raise ValueError(f"the number of frames is {self.count}; allowed: 1 or more")
        if self.kind == "every" and not _positive(self.every_seconds):
            raise ValueError(f"the spacing is {self.every_seconds} s; allowed: more than 0")

    @classmethod
    def of_count(cls, count: int = EXTRACT_FRAMES) -> Sampling:
        """`count` frames, evenly spread over the whole duration."""
        return cls("count", count=count, max_frames=max(count, 1))

    @classmethod
    def of_every(cls, seconds: float, max_frames: int = DEFAULT_MAX_FRAMES) -> Sampling:
        """One frame per `seconds`."""
        return cls("every", every_seconds=seconds, max_frames=max_frames)

    @classmethod
    def of_all(cls, max_frames: int = DEFAULT_MAX_FRAMES) -> Sampling:
        """Every frame."""
        return cls("all", max_frames=max_frames)

    def describe(self) -> str:
        """The rule in a few words, for people and for provenance."""
        if self.kind == "count":
            return f"{self.count} frames, evenly spread"
        if self.kind == "every":
            return f"one frame every {self.every_seconds:g} s, at most {self.max_frames}"
        return f"every frame, at most {self.max_frames}"


def _positive(seconds: float | None) -> bool:
    return seconds is not None and math.isfinite(seconds) and seconds > 0


def for_scoring(duration: float) -> Sampling:
    """What scoring looks at: max(32, one per 2 s) frames, at most 600; duration in seconds."""
    dense = math.ceil(max(duration, 0.0) / SCORING_EVERY_SECONDS)
    return Sampling.of_count(min(max(EXTRACT_FRAMES, dense), SCORING_MAX_FRAMES))


def targets(sampling: Sampling, start: float, duration: float) -> list[float]:
    """Presentation times to look at, in seconds, ascending; empty for every frame (`all`).

    Target k of N is start + (k + 0.5) * duration / N: the middles of N equal parts. `every` S gives
    start + (k + 0.5) * S as long as the whole step fits in, and at least the middle of the duration.
    A medium without duration (one picture) is looked at once, at its start.

    Raises:
        ValueError: start or duration is not finite, or duration is negative.
    """
    if not (math.isfinite(start) and math.isfinite(duration)) or duration < 0:
        raise ValueError(f"start {start} s, duration {duration} s; allowed: finite, duration not negative")
    if sampling.kind == "all":
        return []
    if duration == 0:
        return [start]
    if sampling.kind == "every":
        step = sampling.every_seconds or duration
        number = max(int(duration / step + 1e-9), 1)
        if 1 < number <= sampling.max_frames:
            return [start + (k + 0.5) * step for k in range(number)]
        return spread(min(number, sampling.max_frames), start, duration)
    return spread(sampling.count or 1, start, duration)


def spread(count: int, start: float, duration: float) -> list[float]:
    """start + (k + 0.5) * duration / count for each k, in seconds."""
    return [start + (k + 0.5) * duration / count for k in range(count)]


def shown_at(pts: Sequence[float], target: float) -> int:
    """Index of the frame on screen at `target`: the last whose pts is not later, or else the first.

    pts are presentation times in ascending order, in seconds like target; see ROUNDING_SECONDS.

    Raises:
        ValueError: pts is empty.
    """
    if not pts:
        raise ValueError("no frame is shown at any time: pts is empty")
    return max(bisect_right(pts, target + ROUNDING_SECONDS) - 1, 0)


def pick_shown(
    frames: Iterable[tuple[float, Shown | None]], times: Sequence[float]
) -> Iterator[tuple[Shown, int]]:
    """From frames in presentation order, each frame that `times` meet, and how many of them it meets.

    The streaming form of `shown_at`: holds one frame, reads no further than the last time needs, and gives
    each frame once. A frame of None says that from its pts on it is not known what is shown: the times that
    meet it are passed over. The first item answers for every earlier time, the last for every later one.
    """
    held: Shown | None = None
    begun = False
    done = 0
    for pts, frame in frames:
        reached = done
        while begun and reached < len(times) and times[reached] + ROUNDING_SECONDS < pts:
            reached += 1
        if reached > done and held is not None:
            yield held, reached - done
        done = reached
        if done == len(times):
            return
        held, begun = frame, True
    if held is not None and done < len(times):
        yield held, len(times) - done
