"""The timeline of a video: one lane a track, each sampled frame's score as a mark, gaps, bars and the worst window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from ffpipe.manifests.records import ScoreRecord, TrackRecord
from ffpipe.pipeline.page.svg import Scale, box, drawing, hatch, line, number, path, spread, tag, text, ticks

#: Lanes that are drawn at most; the table below the figure has every track.
MAX_LANES = 12
#: Sizes of the drawing, in its own units.
_WIDTH, _LEFT, _RIGHT = 900, 44, 128
_HEAD, _PLOT, _FOOT = 24, 72, 16
_LANE = _HEAD + _PLOT + _FOOT
_TOP, _STRIP, _AXIS, _LEGEND = 6, 34, 44, 24
_LABEL = 13

ABOVE, BETWEEN, BELOW = "above", "between", "below"
SHAPES = {ABOVE: "M{} {}m0-5l4.5 8h-9z", BETWEEN: "M{} {}m0-4l4 4-4 4-4-4z", BELOW: "M{} {}h0"}


class Known(NamedTuple):
    """A bar that there is: its score, its name, and the kind of line that it is drawn as."""

    value: float
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Bars:
    """The scores that the verdict is held to; None where there is none."""

    threshold: float | None = None
    inconclusive_from: float | None = None

    def of(self, score: float) -> str:
        """On which side of the bars a score lies."""
        if self.threshold is not None and score > self.threshold:
            return ABOVE
        return BETWEEN if self.inconclusive_from is not None and score > self.inconclusive_from else BELOW

    def known(self) -> list[Known]:
        """The bars that there are, the higher first."""
        named = ((self.threshold, "threshold", "bar"), (self.inconclusive_from, "doubt from", "bar doubt"))
        return [Known(value, name, kind) for value, name, kind in named if value is not None]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in seconds."""

    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Axis:
    """What the time axis shows: from `low` to `high` seconds, and the presentation times of the sampled frames."""

    low: float
    high: float
    sampled: tuple[float, ...]

    @classmethod
    def of(
        cls, sampled: Sequence[float] | None, scores: Sequence[ScoreRecord], duration: float | None
    ) -> Axis:
        """The axis of a medium; where the sampled frames are not on record, those with a face stand in."""
        times = sorted(set(sampled if sampled is not None else (score.pts_seconds for score in scores)))
        low = min([0.0, *times])
        high = max([duration or 0.0, *times])
        return cls(low, high if high > low else low + 1, tuple(times))

    def spans(self, times: set[float]) -> list[Span]:
        """The stretches of these sampled times: each time reaches half-way to its neighbours, the ends to the axis."""
        found: list[Span] = []
        edges = [
            self.low,
            *((a + b) / 2 for a, b in zip(self.sampled, self.sampled[1:], strict=False)),
            self.high,
        ]
        for place, moment in enumerate(self.sampled):
            if moment not in times:
                continue
            if found and found[-1].end == edges[place]:
                found[-1] = Span(found[-1].begin, edges[place + 1])
            else:
                found.append(Span(edges[place], edges[place + 1]))
        return found

    def gaps(self, seen: Sequence[float]) -> list[Span]:
        """Stretches of sampled frames in which a track that was seen at these times was not."""
        return self.spans(set(self.sampled) - set(seen))


def timeline(
    tracks: Sequence[TrackRecord],
    scores: Mapping[int, Sequence[ScoreRecord]],
    axis: Axis,
    bars: Bars,
    worst: int | None,
) -> Markup:
    """The figure of tracks in the given order, of which the first MAX_LANES are drawn; `worst` decided the verdict."""
    lanes = tracks[:MAX_LANES]
    x = Scale(axis.low, axis.high, _LEFT, _WIDTH - _RIGHT)
    bottom = _TOP + _LANE * len(lanes)
    lost = sorted(set(axis.sampled) - {s.pts_seconds for each in scores.values() for s in each})
    parts = [
        tag("defs", hatch("gap", "M-1 1l2-2M0 8l8-8M7 9l2-2", 8, "hatch"), band_pattern()),
        *(_lane(track, scores.get(track.track_id, ()), axis, bars, x, _TOP + k * _LANE, track.track_id == worst)
          for k, track in enumerate(lanes)),
        _no_face(lost, axis, x, bottom),
        _time_axis(x, axis, bottom + _STRIP),
        _legend(bars, bottom + _STRIP + _AXIS),
    ]  # fmt: skip
    height = bottom + _STRIP + _AXIS + _LEGEND
    return drawing(
        "timeline", _WIDTH, height, "Timeline of face tracks", _about(lanes, len(tracks), axis, lost), *parts
    )


def _about(lanes: Sequence[TrackRecord], tracks: int, axis: Axis, lost: Sequence[float]) -> str:
    left_out = f" of {tracks}" if tracks > len(lanes) else ""
    return (
        f"{len(lanes)}{left_out} face tracks over {axis.high - axis.low:.1f} seconds; {len(axis.sampled)} frames were "
        f"looked at, {len(lost)} of them without a face. The tables below hold the same figures."
    )


def _lane(
    track: TrackRecord,
    scores: Sequence[ScoreRecord],
    axis: Axis,
    bars: Bars,
    x: Scale,
    top: float,
    worst: bool,
) -> Markup:
    y = Scale(0, 1, top + _HEAD + _PLOT, top + _HEAD)
    gaps = axis.gaps([score.pts_seconds for score in scores])
    mean = y(track.score)
    parts = [
        _head(track, worst, x, top + _HEAD - 6),
        box(x.start, y.end, x.end - x.start, _PLOT, "plot"),
        _bars(bars, x, y),
        *(box(x(gap.begin), y.end, x(gap.end) - x(gap.begin), _PLOT, "gap", "gap") for gap in gaps),
        *(text(x.start - 6, y(value) + 4, f"{value:g}", "tick", "end") for value in (0, 0.5, 1)),
        line(x(track.first_pts_seconds), mean, x(track.last_pts_seconds), mean, "mean"),
        *_marks(scores, bars, x, y),
        _window(track, x, y.start + 8),
    ]
    return tag("g", *parts, class_="lane")


def _head(track: TrackRecord, worst: bool, x: Scale, y: float) -> Markup:
    notes = [f"mean {track.score:.3f}", f"{track.n_faces} frame{'s' * (track.n_faces != 1)}"]
    notes += ["decides the verdict"] if worst else [] if track.eligible else ["too brief for a verdict"]
    ends = (track.worst_start_seconds, track.worst_end_seconds)
    whole = ", the whole track" if ends == (track.first_pts_seconds, track.last_pts_seconds) else ""
    span = f"{track.worst_start_seconds:.1f}–{track.worst_end_seconds:.1f} s"
    return Markup().join(
        [
            tag(
                "text",
                tag("tspan", f"Track {track.track_id}", class_="strong"),
                f" · {' · '.join(notes)}",
                x=_LEFT,
                y=y,
            ),
            text(x.end, y, f"worst window {span}{whole}: mean {track.worst_score:.3f}", "tick", "end"),
        ]
    )


def _bars(bars: Bars, x: Scale, y: Scale) -> Markup:
    """The band between the bars, and both bars with their names beside the lane."""
    known, parts = bars.known(), []
    if len(known) == 2:
        top, bottom = y(known[0].value), y(known[1].value)
        parts.append(box(x.start, top, x.end - x.start, bottom - top, "band", "band"))
    places = spread([y(bar.value) + 4 for bar in known], _LABEL)
    for bar, place in zip(known, places, strict=True):
        parts.append(line(x.start, y(bar.value), x.end, y(bar.value), bar.kind))
        parts.append(text(x.end + 6, place, f"{bar.name} {bar.value:.3f}", "tick"))
    return Markup().join(parts)


def _marks(scores: Sequence[ScoreRecord], bars: Bars, x: Scale, y: Scale) -> list[Markup]:
    """One path for each side of the bars, so that thousands of marks stay small."""
    drawn: dict[str, list[str]] = {}
    for score in scores:
        kind = bars.of(score.score)
        drawn.setdefault(kind, []).append(
            SHAPES[kind].format(number(x(score.pts_seconds)), number(y(score.score)))
        )
    return [tag("path", d="".join(marks), class_=f"mark {kind}") for kind, marks in sorted(drawn.items())]


def _window(track: TrackRecord, x: Scale, y: float) -> Markup:
    """The bracket of the worst window under the lane; the lane's head says what it is."""
    begin, end = x(track.worst_start_seconds), x(track.worst_end_seconds)
    end = max(end, begin + 2)
    return path([(begin, y - 5), (begin, y), (end, y), (end, y - 5)], "window")


def _no_face(lost: Sequence[float], axis: Axis, x: Scale, top: float) -> Markup:
    marks = "".join(f"M{number(x(moment))} {number(top + 22)}m-3-3l6 6m0-6l-6 6" for moment in lost)
    words = f"No face found: {len(lost)} of {len(axis.sampled)} frames looked at"
    return Markup().join([text(_LEFT, top + 11, words), tag("path", d=marks, class_="lost")])


def _time_axis(x: Scale, axis: Axis, top: float) -> Markup:
    parts = [line(x.start, top, x.end, top, "axis")]
    for value in ticks(axis.low, axis.high, 10):
        parts += [
            line(x(value), top, x(value), top + 5, "axis"),
            text(x(value), top + 18, f"{value:g}", "tick", "middle"),
        ]
    parts.append(text((x.start + x.end) / 2, top + 36, "time in seconds", "tick", "middle"))
    return Markup().join(parts)


def _legend(bars: Bars, top: float) -> Markup:
    """What marks, hatching and the dotted line are."""
    place = _WIDTH - 270
    return Markup().join(
        [
            legend(bars, _LEFT, top),
            box(place, top - 2, 18, 12, "plot"),
            box(place, top - 2, 18, 12, "gap", "gap"),
            text(place + 24, top + 8, "not seen", "tick"),
            line(place + 90, top + 4, place + 112, top + 4, "mean"),
            text(place + 118, top + 8, "mean of the track", "tick"),
        ]
    )


def band_pattern() -> Markup:
    """The dots that fill what lies between the bars."""
    return hatch("band", "M1 1h1.5M5 5h1.5", 8, "dots")


def legend(bars: Bars, left: float, top: float) -> Markup:
    """What the marks are; only those that can occur."""
    items = [(BELOW, "score" if bars.inconclusive_from is None else "not above the bars")]
    if bars.inconclusive_from is not None:
        items.append((BETWEEN, "above where doubt begins"))
    if bars.threshold is not None:
        items.append((ABOVE, "above the threshold"))
    parts = []
    for kind, words in items:
        parts.append(
            tag("path", d=SHAPES[kind].format(number(left + 5), number(top + 4)), class_=f"mark {kind}")
        )
        parts.append(text(left + 14, top + 8, words, "tick"))
        left += 36 + 6.6 * len(words)
    return Markup().join(parts)
