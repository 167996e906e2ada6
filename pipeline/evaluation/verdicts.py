"""What an evaluation made of every medium of a split: its score and verdict, or why it has none; nothing is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ffpipe.manifests.records import Label, MediaRecord, Status, Verdict
from ffpipe.pipeline.evaluation.scores import Scores
from ffpipe.stages.aggregate import Thresholds, judge
from ffpipe.stages.evaluation import Scored

#: The table's columns that are not text, and what they hold.
_TYPES = {"label": pa.int8(), "score": pa.float64(), "tracks": pa.int32(), "face_side": pa.float64()}
#: Columns of the table of media; a row is one (dataset, subset, method, media_id).
COLUMNS = (
    "dataset", "subset", "method", "quality", "media_id", "path", "group", "label", "status", "score", "verdict",
    "reason", "tracks", "face_side",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """A medium's score and verdict; score is None where no track had enough frames or there was no picture."""

    score: float | None
    verdict: Verdict
    reason: str
    tracks: int
    group: str | None


def outcomes(scores: Scores, media: Sequence[MediaRecord], thresholds: Thresholds) -> dict[str, Outcome]:
    """By id what became of each medium, rows of the media table, held to the thresholds that validation chose."""
    known = {m.media_id: m for m in media}
    found = {
        m.media_id: Outcome(
            None, Verdict.NOT_ASSESSABLE, m.reason or m.status.value.replace("_", " "), 0, m.group
        )
        for m in media
        if not m.faces
    }
    for video in scores.videos:
        medium = known[video.media_id]
        judged = judge(video.video, thresholds, medium.status, medium.reason)
        found[video.media_id] = Outcome(video.score, judged.verdict, judged.reason, video.tracks, video.group)
    return found


def media_table(media: Sequence[MediaRecord], found: dict[str, Outcome], headline: Scored) -> pa.Table:
    """One row for each medium in each method that it belongs to, with its outcome; scores are those of `headline`.

    Four fakes of one name are four rows, two copies of a file under one method are one.
    """
    sides = dict(zip(headline.medium, headline.side, strict=True))
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for m in media:
        outcome = found[m.media_id]
        known = {
            name: getattr(m, name) for name in ("dataset", "subset", "method", "quality", "media_id", "path")
        }
        rows.setdefault(
            (m.dataset, m.subset, m.method, m.media_id),
            {
                **known,
                "group": outcome.group,
                "label": m.label,
                "status": m.status.value,
                "score": outcome.score,
                "verdict": outcome.verdict.value,
                "reason": outcome.reason,
                "tracks": outcome.tracks,
                "face_side": sides.get(m.media_id),
            },
        )
    schema = pa.schema([pa.field(name, _TYPES.get(name, pa.string())) for name in COLUMNS])
    return pa.Table.from_pylist(list(rows.values()), schema=schema)


def verdict_counts(media: Sequence[MediaRecord], found: dict[str, Outcome]) -> dict[str, dict[str, int]]:
    """By class how many media got which verdict, and of those not assessable how many for which status.

    A content counts once. `ok` and `partial` among the statuses are media whose faces were seen too briefly.
    """
    counts: dict[str, Counter[str]] = {label.name.lower(): Counter() for label in Label}
    for m in {m.media_id: m for m in media}.values():
        of = counts[Label(m.label or 0).name.lower()]
        verdict = found[m.media_id].verdict
        of[verdict.value] += 1
        if verdict is Verdict.NOT_ASSESSABLE:
            of[f"{verdict.value}: {_why(m.status)}"] += 1
    return {label: dict(sorted(of.items())) for label, of in counts.items()}


def _why(status: Status) -> str:
    return "seen too briefly" if status in (Status.OK, Status.PARTIAL) else status.value


def without_score(found: dict[str, Outcome]) -> frozenset[str]:
    """The media that have no score."""
    return frozenset(name for name, outcome in found.items() if outcome.score is None)
