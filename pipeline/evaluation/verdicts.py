"""What an evaluation made of every medium of a split: its score and verdict, or why it has none; nothing is dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from ffpipe.manifests.records import Concern, Label, MediaRecord, Status, Verdict
from ffpipe.pipeline.evaluation.scores import Scores
from ffpipe.pipeline.faces import Rows
from ffpipe.pipeline.reference import worst_rows
from ffpipe.pipeline.validation import VideoResult
from ffpipe.stages.aggregate import Thresholds, judge
from ffpipe.stages.evaluation import Scored
from ffpipe.stages.quality import OPEN, Measured, QualityGate, measured

#: The table's columns that are not text, and what they hold.
_TYPES = {
    "label": pa.int8(),
    "score": pa.float64(),
    "tracks": pa.int32(),
    "face_side": pa.float64(),
    "concerns": pa.list_(pa.string()),
    "domain_distance": pa.float64(),
}
#: Columns of the table of media; a row is one (dataset, subset, method, media_id).
COLUMNS = (
    "dataset", "subset", "method", "quality", "media_id", "path", "group", "label", "status", "score", "verdict",
    "reason", "tracks", "face_side", "concerns", "domain_distance",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    """A medium's score and verdict; score is None where no track had enough frames or there was no picture.

    ungated: the verdict where concerns withhold none. withheld: those of the concerns that made it inconclusive.
    """

    score: float | None
    verdict: Verdict
    reason: str
    tracks: int
    group: str | None
    ungated: Verdict = Verdict.NOT_ASSESSABLE
    concerns: tuple[Concern, ...] = ()
    withheld: tuple[Concern, ...] = ()
    distance: float | None = None


def outcomes(
    scores: Scores, media: Sequence[MediaRecord], thresholds: Thresholds, gate: QualityGate = OPEN
) -> dict[str, Outcome]:
    """By id what became of each medium, rows of the media table, held to the thresholds that validation chose."""
    worst = worst_rows(scores.faces, scores.rows, scores.videos)
    known = {m.media_id: m for m in media}
    found = {
        m.media_id: Outcome(
            None, Verdict.NOT_ASSESSABLE, m.reason or m.status.value.replace("_", " "), 0, m.group
        )
        for m in media
        if not m.faces
    }
    for video in scores.videos:
        medium, rows = known[video.media_id], worst.get(video.media_id)
        what = Measured() if rows is None else _measured(scores, medium, rows)
        found[video.media_id] = _outcome(video, medium, what, thresholds, gate)
    return found


def _outcome(
    video: VideoResult, medium: MediaRecord, found: Measured, thresholds: Thresholds, gate: QualityGate
) -> Outcome:
    findings = gate.findings(found)
    plain = judge(video.video, thresholds, medium.status, medium.reason)
    judged = judge(video.video, thresholds, medium.status, medium.reason, findings, gate)
    return Outcome(
        video.score,
        judged.verdict,
        judged.reason,
        video.tracks,
        video.group,
        plain.verdict,
        tuple(each.concern for each in findings),
        tuple(each.concern for each in gate.withheld(findings, plain.verdict)),
        found.distance,
    )


def _measured(scores: Scores, medium: MediaRecord, rows: Rows) -> Measured:
    table = scores.faces
    return measured(
        medium,
        table.side[rows].astype(np.float64),
        None if table.sharpness is None else table.sharpness[rows].astype(np.float64),
        np.array([scores.distances[row] for row in rows.tolist()]) if scores.distances else None,
    )


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
                "concerns": [concern.value for concern in outcome.concerns],
                "domain_distance": outcome.distance,
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
