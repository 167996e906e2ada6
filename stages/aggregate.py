"""From face scores to tracks, from tracks to a video's score, and from that to a verdict with its reason.

- A track's score is the mean over its frames.
- A track counts for the verdict (is eligible) with at least min(min_faces, frames looked at) frames, so that
  an image needs one face and a video `min_faces`.
- A video's score is that of its worst eligible track: the highest, and of equals the lowest track id.
- A track's worst window is, of all spans of `window_seconds` within it (ends included) that hold at least that
  many of its frames, the one of highest mean; the earliest of equals, and the whole track where it is shorter or
  no span holds enough.
- Faces without an eligible track give no score: the video is not assessable, and the reason counts frames.
- What `quality.py` withholds of a verdict makes it inconclusive, and the reason says both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.records import Status, TrackRecord, Verdict
from ffpipe.stages.quality import OPEN, Finding, QualityGate
from ffpipe.stages.thresholds import Bars, Thresholds, choose_thresholds

__all__ = [
    "Judgement",
    "Rule",
    "Thresholds",
    "VideoScore",
    "choose_thresholds",
    "judge",
    "score_tracks",
    "video_score",
]

Vector = NDArray[np.float64]

#: Seconds by which a frame may miss a window's end: rounding of times in containers of microsecond ticks.
_TIME_SLACK = 1e-6
#: Statuses under which a medium's faces are judged.
_JUDGED = (Status.OK, Status.PARTIAL)


@dataclass(frozen=True, slots=True)
class Rule:
    """How faces are gathered: frames that a track needs, and the length of the worst window in seconds.

    whole: a medium has one track, of whole frames, and its reason speaks of no face.
    """

    min_faces: int = 3
    window_seconds: float = 10.0
    whole: bool = False

    def __post_init__(self) -> None:
        if self.min_faces < 1 or not 0 < self.window_seconds < math.inf:
            raise ValueError(f"a rule needs min_faces >= 1 and a finite window, not {self}")

    def needed(self, frames: int | None) -> int:
        """Frames that a track needs where `frames` were looked at; None: enough of them."""
        return self.min_faces if frames is None else max(1, min(self.min_faces, frames))


@dataclass(frozen=True, slots=True)
class VideoScore:
    """A video's score and where it comes from; score and worst_track are None without an eligible track.

    n_eligible: tracks that could have been the worst. longest: frames of the longest track. needed: frames
    that a track needs. frames: frames looked at, None where not known. whole: see `Rule`.
    """

    score: float | None
    worst_track: TrackRecord | None
    n_eligible: int
    n_tracks: int
    longest: int
    needed: int
    frames: int | None = None
    whole: bool = False


class Judgement(NamedTuple):
    """A verdict, its reason as a sentence, and the bars that it was held to (None where none applied)."""

    verdict: Verdict
    reason: str
    threshold: float | None = None
    inconclusive_from: float | None = None


def score_tracks(
    track_ids: Sequence[int],
    pts: Sequence[float],
    scores: Sequence[float],
    media_id: str,
    rule: Rule,
    frames: int | None = None,
) -> list[TrackRecord]:
    """One record per track, by track id, from one entry a face; pts in seconds, scores in [0, 1].

    frames: how many frames of the medium were looked at; caps what a track needs. The result does not depend
    on the order of the faces. Raises ValueError for unequal lengths, or a score or time that is not finite.
    """
    ids = np.asarray(track_ids, dtype=np.int64)
    times, values = np.asarray(pts, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not len(ids) == len(times) == len(values):
        raise ValueError(f"{len(ids)} track ids, {len(times)} times, {len(values)} scores")
    if not (np.isfinite(times).all() and np.isfinite(values).all()):
        raise ValueError("a face's time or score is not finite")
    order = np.lexsort((values, times, ids))
    ids, times, values = ids[order], times[order], values[order]
    needed = rule.needed(frames)
    cuts = np.flatnonzero(np.diff(ids)) + 1
    parts = zip(np.split(ids, cuts), np.split(times, cuts), np.split(values, cuts), strict=True)
    return [_track(int(i[0]), t, v, media_id, rule, needed) for i, t, v in parts if len(i)]


def _track(
    track_id: int, times: Vector, values: Vector, media_id: str, rule: Rule, needed: int
) -> TrackRecord:
    first, last, worst = worst_window(times, values, rule.window_seconds, needed)
    return TrackRecord(
        media_id=media_id,
        track_id=track_id,
        first_pts_seconds=float(times[0]),
        last_pts_seconds=float(times[-1]),
        n_faces=len(times),
        score=_mean(values),
        eligible=len(times) >= needed,
        worst_start_seconds=float(times[first]),
        worst_end_seconds=float(times[last]),
        worst_score=worst,
    )


def worst_window(times: Vector, values: Vector, seconds: float, needed: int) -> tuple[int, int, float]:
    """First and last index of a track's worst window, and the mean score in it; times ascend."""
    whole = (0, len(times) - 1, _mean(values))
    if times[-1] - times[0] <= seconds:
        return whole
    starts = _window_starts(times, seconds)
    first = np.searchsorted(times, starts - _TIME_SLACK, side="left")
    stop = np.searchsorted(times, starts + (seconds + _TIME_SLACK), side="right")
    enough = stop - first >= needed
    if not enough.any():
        return whole
    spans = sorted({(int(a), int(b)) for a, b in zip(first[enough], stop[enough], strict=True)})
    means = [_mean(values[a:b]) for a, b in spans]
    best = means.index(max(means))
    return spans[best][0], spans[best][1] - 1, means[best]


def _window_starts(times: Vector, seconds: float) -> Vector:
    """Starts that meet every set of frames a window can hold.

    The set changes where the window's start or its end passes a frame; these starts are at and between them.
    """
    latest = times[-1] - seconds
    events = np.concatenate([times, times - seconds])
    events = np.unique(events[(events >= times[0]) & (events <= latest)])
    return np.sort(np.concatenate([events, (events[1:] + events[:-1]) / 2]))


def _mean(values: Vector) -> float:
    return math.fsum(values) / len(values)


def video_score(tracks: Sequence[TrackRecord], rule: Rule, frames: int | None = None) -> VideoScore:
    """The score of the worst eligible track."""
    eligible = [track for track in tracks if track.eligible]
    worst = max(eligible, key=lambda track: (track.score, -track.track_id), default=None)
    return VideoScore(
        score=worst.score if worst else None,
        worst_track=worst,
        n_eligible=len(eligible),
        n_tracks=len(tracks),
        longest=max((track.n_faces for track in tracks), default=0),
        needed=rule.needed(frames),
        frames=frames,
        whole=rule.whole,
    )


def judge(
    video: VideoScore,
    thresholds: Thresholds,
    status: Status = Status.OK,
    status_reason: str | None = None,
    findings: Sequence[Finding] = (),
    gate: QualityGate = OPEN,
) -> Judgement:
    """The verdict on a medium. What failed or has no face is not assessable; `partial` media are judged.

    A verdict that the gate withholds for the findings is inconclusive, with the reason of both.
    """
    if status not in _JUDGED:
        return Judgement(Verdict.NOT_ASSESSABLE, status_reason or status.value.replace("_", " "))
    judgement = _judge_score(video, thresholds)
    if withheld := gate.withheld(findings, judgement.verdict):
        why = " and ".join(finding.words for finding in withheld)
        judgement = judgement._replace(
            verdict=Verdict.INCONCLUSIVE, reason=f"{judgement.reason}, but no verdict rests on that: {why}"
        )
    if status is Status.PARTIAL:
        note = f"only part of the file could be examined ({status_reason or 'it is damaged'})"
        return judgement._replace(reason=f"{judgement.reason}; {note}")
    return judgement


def _judge_score(video: VideoScore, thresholds: Thresholds) -> Judgement:
    if video.score is None or video.worst_track is None:
        return Judgement(Verdict.NOT_ASSESSABLE, _too_brief(video))
    if not thresholds.usable:
        where = _where(video, video.worst_track)
        reason = f"{where} scored {video.score:.3f}, but no verdict can rest on it: {thresholds.reason}"
        return Judgement(Verdict.INCONCLUSIVE, reason)
    bars = thresholds.bars(video.n_eligible)
    verdict, relation = _compare(video.score, bars, thresholds)
    reason = f"{_where(video, video.worst_track)} scored {relation}{_several(video, bars)}"
    return Judgement(verdict, reason, bars.threshold, bars.inconclusive_from)


def _compare(score: float, bars: Bars, thresholds: Thresholds) -> tuple[Verdict, str]:
    low = bars.inconclusive_from
    if bars.threshold is not None and score > bars.threshold:
        return Verdict.LIKELY_MANIPULATED, "{}, above the threshold {}".format(*_apart(score, bars.threshold))
    if low is None or score <= low:
        verdict = Verdict.NO_MANIPULATION_FOUND
        return verdict, "{}, not above {}, where doubt begins".format(*_apart(score, low or 0.0))
    if bars.threshold is not None:
        between = "{}, above {} where doubt begins".format(*_apart(score, low))
        return Verdict.INCONCLUSIVE, f"{between}, not above the threshold {_apart(score, bars.threshold)[1]}"
    above = "{}, above {} where doubt begins".format(*_apart(score, low))
    return Verdict.INCONCLUSIVE, (
        f"{above}; {thresholds.real_groups} independent real validation videos are too few to hold false alarms "
        f"at {thresholds.false_alarm_rate:.0%}"
    )


def _several(video: VideoScore, bars: Bars) -> str:
    """What the number of tracks did to the bars."""
    if video.n_eligible < 2:
        return ""
    raised = f" (bars raised for the highest of {video.n_eligible} tracks"
    if bars.threshold is not None and not bars.supported:
        raised += "; the threshold is the highest score of any real validation video"
    return raised + ")"


def _apart(score: float, bar: float) -> tuple[str, str]:
    """Both numbers with as few digits, from three up, as show them on their sides."""
    for digits in range(3, 17):
        pair = f"{score:.{digits}f}", f"{bar:.{digits}f}"
        if pair[0] != pair[1]:
            return pair
    return f"{score:.3f}", f"{bar:.3f}"


def _where(video: VideoScore, track: TrackRecord) -> str:
    if video.frames == 1:
        only = "The image" if video.whole else "The face"
        return only if video.n_tracks == 1 else f"Face {track.track_id}"
    what = "The video" if video.whole else f"Track {track.track_id}"
    if track.n_faces == 1:
        return f"{what} (at {track.first_pts_seconds:.1f} s)"
    return f"{what} ({track.first_pts_seconds:.1f} s to {track.last_pts_seconds:.1f} s)"


def _too_brief(video: VideoScore) -> str:
    if not video.n_tracks:
        return "no face found"
    of = "" if video.frames is None else f" of the {video.frames} looked at"
    frames = f"{video.longest} frame{'s' * (video.longest > 1)}"
    return f"faces were seen too briefly: the longest track has {frames}{of}, a verdict needs {video.needed}"
