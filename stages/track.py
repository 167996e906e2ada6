"""Face tracks over sampled frames: which detections are the same person, and which are no person at all."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ffpipe.manifests.records import Box
from ffpipe.stages.detect import Detection
from ffpipe.stages.shots import Signature, is_cut

#: Cost of a pair that may not be linked.
_FORBIDDEN = 1e6


@dataclass(frozen=True, slots=True)
class TrackSettings:
    """The rules of tracking; lengths are in face sides, times in seconds.

    max_gap, max_missed: a track ends when its face was not seen for longer than max_gap AND on more than
    max_missed sampled frames in a row, so that neither dense nor sparse sampling cuts it early; one seen once only
    ends after the first frame without it. wait: cost of each such frame, so that a face seen just now goes before.
    horizon: motion is carried on for at most this long, or the time it was measured over if that is longer.
    reach, reach_per_second, max_reach: a face may be this far from where it was, or from where its motion puts it,
    growing with the time since it was last seen, never beyond max_reach.
    max_growth: largest ratio of sides between two sightings.
    dash, dash_per_second, dash_growth, dash_time: a track of unknown motion whose face was seen dash_time ago or
    less also takes a face this far off, if both are sure and each is the other's only choice: a passer-by.
    nested: detections that share more than this part of the smaller one are one face.
    sure: a track whose best confidence stays below this is false unless it was seen often enough, that is on
    min_seen frames at a mean confidence of at least `likely`; where fewer than few_frames frames were looked
    at, a best confidence of `likely` is enough.
    """

    max_gap: float = 1.5
    max_missed: int = 2
    wait: float = 0.5
    horizon: float = 0.5
    reach: float = 0.6
    reach_per_second: float = 1.0
    max_reach: float = 1.6
    max_growth: float = 1.8
    dash: float = 3.0
    dash_per_second: float = 10.0
    dash_growth: float = 1.25
    dash_time: float = 0.5
    nested: float = 0.7
    sure: float = 0.98
    likely: float = 0.9
    min_seen: int = 3
    few_frames: int = 4


@dataclass(frozen=True, slots=True)
class Sighting:
    """A detection in a track: on which sampled frame and when."""

    frame_number: int
    pts_seconds: float
    detection: Detection


@dataclass(frozen=True, slots=True)
class Track:
    """One person through one shot. `key` is what `Tracker.update` called it; `track_id` counts kept tracks."""

    track_id: int
    key: int
    items: list[Sighting]


@dataclass(slots=True)
class _Open:
    """A track that may still grow; velocity of the box centre in pixels per second, over `interval` seconds."""

    key: int
    shot: int
    items: list[Sighting]
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    interval: float = 0.0
    missed: int = 0


class Tracker:
    """Links detections frame by frame; pure, sees no pixels.

    Rules: a detection goes to the track whose constant-velocity prediction it fits best in overlap, distance and
    size, one to one over the frame by least total cost; pairs beyond `TrackSettings`' reach or growth never
    link. A cut ends every track. Detections nested in a more confident one are dropped. At the end, tracks that
    never were convincing are dropped and counted; the rest are numbered by first appearance, then left to right.
    """

    def __init__(self, settings: TrackSettings = TrackSettings()) -> None:  # noqa: B008
        self._settings = settings
        self._tracks: list[_Open] = []
        self._live: list[_Open] = []
        self._shot = 0
        self._signature: Signature | None = None
        self._frames = 0
        self.duplicates = 0
        self.dropped_tracks = 0
        self.dropped_faces = 0

    def update(
        self,
        frame_number: int,
        pts_seconds: float,
        detections: Sequence[Detection],
        signature: Signature | None = None,
    ) -> list[tuple[int, Detection]]:
        """Take a sampled frame, in order of time; returns the detections kept, each with its track's key.

        Without a signature no cut is looked for. Raises ValueError where time runs backwards.
        """
        self._frames += 1
        self._start_shot_if_cut(signature)
        kept = distinct(detections, self._settings.nested)
        self.duplicates += len(detections) - len(kept)
        self._retire(pts_seconds)
        links = self._assign(kept, pts_seconds)
        result = []
        for index, detection in enumerate(kept):
            sighting = Sighting(frame_number, pts_seconds, detection)
            track = links.get(index)
            if track is None:
                track = self._begin(sighting)
            else:
                _extend(track, sighting)
            result.append((track.key, detection))
        seen = {key for key, _ in result}
        for track in self._live:
            track.missed = 0 if track.key in seen else track.missed + 1
        return result

    def finish(self) -> list[Track]:
        """The tracks kept, numbered from 0; afterwards `dropped_tracks` and `dropped_faces` count the others."""
        kept = [track for track in self._tracks if self._convincing(track)]
        self.dropped_tracks = len(self._tracks) - len(kept)
        self.dropped_faces = sum(len(track.items) for track in self._tracks) - sum(
            len(track.items) for track in kept
        )
        kept.sort(
            key=lambda track: (
                track.items[0].frame_number,
                _centre(track.items[0].detection.box)[0],
                track.key,
            )
        )
        return [Track(number, track.key, track.items) for number, track in enumerate(kept)]

    def _start_shot_if_cut(self, signature: Signature | None) -> None:
        if signature is not None and self._signature is not None and is_cut(self._signature, signature):
            self._shot += 1
            self._live = []
        self._signature = signature if signature is not None else self._signature

    def _retire(self, now: float) -> None:
        limit = self._settings
        for track in self._live:
            if now < track.items[-1].pts_seconds:
                raise ValueError(
                    f"frames come in order of time: {now} s after {track.items[-1].pts_seconds} s"
                )
        self._live = [
            track
            for track in self._live
            if not track.missed
            or (
                len(track.items) > 1
                and (track.missed <= limit.max_missed or now - track.items[-1].pts_seconds <= limit.max_gap)
            )
        ]

    def _begin(self, sighting: Sighting) -> _Open:
        track = _Open(len(self._tracks), self._shot, [sighting])
        self._tracks.append(track)
        self._live.append(track)
        return track

    def _assign(self, detections: Sequence[Detection], now: float) -> dict[int, _Open]:
        """Detection index -> the track it continues."""
        if not detections or not self._live:
            return {}
        live = list(self._live)
        costs = np.array([[self._cost(track, found.box, now) for found in detections] for track in live])
        rows, columns = linear_sum_assignment(costs)
        pairs = [pair for pair in zip(rows, columns, strict=True) if costs[pair] < _FORBIDDEN]
        links = {int(column): live[row] for row, column in pairs}
        free = [index for index in range(len(detections)) if index not in links]
        taken = {track.key for track in links.values()}
        idle = [track for track in live if track.key not in taken]
        return links | self._dashes(idle, {index: detections[index] for index in free}, now)

    def _dashes(self, tracks: list[_Open], faces: dict[int, Detection], now: float) -> dict[int, _Open]:
        """Index -> track for the pairs in which each is the only one that the other could dash to."""
        choices = [
            (track, index)
            for track in tracks
            for index, face in faces.items()
            if self._may_dash(track, face, now)
        ]
        by_track = Counter(track.key for track, _ in choices)
        by_box = Counter(index for _, index in choices)
        return {index: track for track, index in choices if by_track[track.key] == by_box[index] == 1}

    def _may_dash(self, track: _Open, face: Detection, now: float) -> bool:
        limit = self._settings
        last = track.items[-1]
        unsure = min(last.detection.confidence, face.confidence) < limit.sure
        if unsure or len(track.items) > 1 or now - last.pts_seconds > limit.dash_time:
            return False
        reach = min(limit.dash, limit.dash_per_second * (now - last.pts_seconds))
        sides = sorted((max(_side(last.detection.box), 1e-6), max(_side(face.box), 1e-6)))
        return _distance(last.detection.box, face.box) <= reach and sides[1] / sides[0] <= limit.dash_growth

    def _cost(self, track: _Open, box: Box, now: float) -> float:
        """Overlap missing, distance in sides, log ratio of sides and waiting, summed; _FORBIDDEN beyond the gates."""
        limit = self._settings
        last = track.items[-1].detection.box
        elapsed = now - track.items[-1].pts_seconds
        side = max(_side(last), 1e-6)
        growth = abs(math.log(max(_side(box), 1e-6) / side))
        motion = track.velocity * min(elapsed, max(track.interval, limit.horizon))
        stride = float(np.hypot(*motion)) / side
        motion = motion * min(1.0, limit.dash / stride) if stride > 0 else motion
        expected = _moved(last, motion)
        distance = _distance(expected, box)
        reach = min(limit.max_reach, limit.reach + limit.reach_per_second * elapsed)
        if min(distance, _distance(last, box)) > reach or growth > math.log(limit.max_growth):
            return _FORBIDDEN
        return 1 - overlap(expected, box) + distance + growth + limit.wait * track.missed

    def _convincing(self, track: _Open) -> bool:
        limit = self._settings
        confidences = [item.detection.confidence for item in track.items]
        if max(confidences) >= (limit.sure if self._frames >= limit.few_frames else limit.likely):
            return True
        return len(confidences) >= limit.min_seen and sum(confidences) / len(confidences) >= limit.likely


def distinct(detections: Sequence[Detection], nested: float) -> list[Detection]:
    """Detections, most confident first, without those that share more than `nested` of the smaller box."""
    kept: list[Detection] = []
    for found in sorted(detections, key=lambda face: -face.confidence):
        if all(
            _shared(found.box, other.box) <= nested * min(_area(found.box), _area(other.box))
            for other in kept
        ):
            kept.append(found)
    return kept


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes, 0 where they are apart or empty."""
    shared = _shared(a, b)
    union = _area(a) + _area(b) - shared
    return shared / union if union > 0 else 0.0


def _extend(track: _Open, sighting: Sighting) -> None:
    """Append a sighting; the velocity is the mean of the old one and the newest displacement's."""
    last = track.items[-1]
    elapsed = sighting.pts_seconds - last.pts_seconds
    if elapsed > 0:
        newest = (_centre(sighting.detection.box) - _centre(last.detection.box)) / elapsed
        track.velocity = newest if len(track.items) == 1 else (track.velocity + newest) / 2
    track.interval = elapsed
    track.items.append(sighting)


def _centre(box: Box) -> NDArray[np.float64]:
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])


def _distance(a: Box, b: Box) -> float:
    """Between the centres, in sides of the larger box."""
    return float(np.hypot(*(_centre(a) - _centre(b)))) / max(_side(a), _side(b), 1e-6)


def _side(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])


def _area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _shared(a: Box, b: Box) -> float:
    return _area((max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])))


def _moved(box: Box, motion: NDArray[np.float64]) -> Box:
    dx, dy = float(motion[0]), float(motion[1])
    return box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy
