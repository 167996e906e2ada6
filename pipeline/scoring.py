"""One medium from file to report rows inside a worker: faces, their scores, tracks, verdict, and the crops kept."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import (
    Entry,
    FaceRecord,
    MediaRecord,
    ReportRow,
    ScoreRecord,
    Status,
    TrackRecord,
    Verdict,
)
from ffpipe.pipeline.credentials import CredentialsReader
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import MediumItem
from ffpipe.stages.aggregate import Rule, Thresholds, judge, score_tracks, video_score
from ffpipe.stages.calibration import Columns, Reading
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.infer import Scorer, probability
from ffpipe.stages.quality import QualityGate

#: Crops kept of each track: the highest scores, and the lowest to compare with.
WORST_KEPT, BEST_KEPT = 8, 2

_NO_NUMBER = "the network gave no number for a face"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every report row of a run says of how it was made."""

    model_id: str
    provenance_id: str
    crops_accepted: bool


@dataclass(frozen=True, slots=True)
class ScoredMedium:
    """A scored medium: its facts, its report row under its first path, and the rows of the other tables."""

    media: MediaRecord
    row: ReportRow
    scores: list[ScoreRecord] = field(default_factory=list)
    tracks: list[TrackRecord] = field(default_factory=list)
    kept: list[FaceRecord] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def n_faces(self) -> int:
        """Faces scored."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class MediumScorer:
    """Scores media one after another with a warm reader and a warm network."""

    reader: MediumReader
    scorer: Scorer
    thresholds: Thresholds
    rule: Rule
    stamp: Stamp
    keep: str
    gate: QualityGate
    reading: Reading = Reading()
    credentials: CredentialsReader | None = None

    def score(self, item: MediumItem) -> ScoredMedium:
        """Everything about a medium; what goes wrong becomes its status and reason."""
        found = self.reader.read(item)
        media, faces = found.media, found.faces
        try:
            scores = self._scores(faces)
        except FloatingPointError:
            media, faces, scores = replace(media, status=Status.CRASHED, reason=_NO_NUMBER), [], []
        tracks = score_tracks(
            [f.track_id for f in faces],
            [f.pts_seconds for f in faces],
            [s.score for s in scores],
            item.media_id,
            self.rule,
            media.frames_decoded,
        )
        row = report_row(
            media, tracks, faces, self.thresholds, self.rule, self.stamp, self.gate, self.reading
        )
        row = replace(row, sampled_frames=tuple(found.times), sampled_seconds=tuple(found.times.values()))
        if self.credentials:
            row = replace(row, content_credentials=self.credentials.of(item, media.status))
        return ScoredMedium(media, row, scores, tracks, kept(faces, scores, self.keep), found.seconds)

    def _scores(self, faces: Sequence[FaceRecord]) -> list[ScoreRecord]:
        records = []
        for part in _parts(faces, self.scorer.batch_size):
            # Crops are decoded batch by batch: all of a long video's would not fit in memory.
            crops = [decode_crop(face.crop) for face in part]
            logits = self.scorer.score(crops, np.stack([face.sida for face in part]))
            records += [
                self._record(face, float(logit), float(score))
                for face, logit, score in zip(part, logits, probability(logits), strict=True)
            ]
        return records

    def _record(self, face: FaceRecord, logit: float, score: float) -> ScoreRecord:
        return ScoreRecord(
            face_id=face.face_id,
            media_id=face.media_id,
            track_id=face.track_id,
            frame_index=face.frame_index,
            pts_seconds=face.pts_seconds,
            model_id=self.stamp.model_id,
            logit=logit,
            score=score,
            box=face.box,
            crop_box=face.crop_box,
            crop_side=face.crop_side,
            sharpness=face.sharpness,
        )


def _parts(faces: Sequence[FaceRecord], size: int) -> Iterator[Sequence[FaceRecord]]:
    for start in range(0, len(faces), size):
        yield faces[start : start + size]


def report_row(
    media: MediaRecord,
    tracks: Sequence[TrackRecord],
    faces: Sequence[FaceRecord],
    thresholds: Thresholds,
    rule: Rule,
    stamp: Stamp,
    gate: QualityGate,
    reading: Reading = Reading(),  # noqa: B008
) -> ReportRow:
    """The report row of a medium under its first path; concerns are of the faces that its score rests on."""
    video = video_score(tracks, rule, media.frames_decoded)
    worst = video.worst_track
    found = gate.measure(media, [f for f in faces if f.track_id == worst.track_id]) if worst else None
    findings = gate.findings(found) if found else ()
    judgement = judge(video, thresholds, media.status, media.reason, findings, gate)
    # Faces unlike those of training are unlike those of the calibration, too.
    beyond = gate.withheld(findings, Verdict.LIKELY_MANIPULATED)
    read = Columns() if beyond else reading.of(video.score, video.n_eligible, media.frames_decoded)
    return ReportRow(
        media_id=media.media_id,
        path=media.path,
        path_bytes=media.path_bytes,
        sha256=media.sha256,
        bytes=media.bytes,
        status=media.status,
        verdict=judgement.verdict,
        reason=judgement.reason,
        score=video.score,
        probability=read.probability,
        log10_likelihood_ratio=read.log10_likelihood_ratio,
        threshold=judgement.threshold,
        inconclusive_from=judgement.inconclusive_from,
        duration=media.duration,
        n_frames=media.frames_decoded,
        n_faces=len(faces),
        n_tracks=len(tracks),
        worst_track=worst.track_id if worst else None,
        worst_track_start_seconds=worst.first_pts_seconds if worst else None,
        worst_track_end_seconds=worst.last_pts_seconds if worst else None,
        worst_window_start_seconds=worst.worst_start_seconds if worst else None,
        worst_window_end_seconds=worst.worst_end_seconds if worst else None,
        worst_window_score=worst.worst_score if worst else None,
        crops_accepted=stamp.crops_accepted,
        model_id=stamp.model_id,
        provenance_id=stamp.provenance_id,
        concerns=tuple(each.concern.value for each in findings) if found else None,
        domain_distance=found.distance if found else None,
        codec=media.codec,
        width=media.width,
        height=media.height,
        fps=media.fps,
        bit_rate=media.bit_rate,
        frames_expected=media.frames_expected,
        posterior=read.posterior,
    )


def for_path(row: ReportRow, entry: Entry) -> ReportRow:
    """The report row of the same content under another path."""
    return replace(row, path=display_path(entry.path), path_bytes=os.fsencode(entry.path))


def kept(faces: Sequence[FaceRecord], scores: Sequence[ScoreRecord], keep: str) -> list[FaceRecord]:
    """The faces whose crops are stored: none, all, or of each track the WORST_KEPT highest and BEST_KEPT lowest.

    Equal scores count by frame, the earlier first; the result is in the order of `faces`.
    """
    if keep != "worst":
        return list(faces) if keep == "all" else []
    tracks: defaultdict[int, list[int]] = defaultdict(list)
    for place, face in enumerate(faces):
        tracks[face.track_id].append(place)
    chosen: set[int] = set()
    for places in tracks.values():
        ranked = sorted(places, key=lambda place: (-scores[place].logit, faces[place].frame_index))
        chosen.update(ranked[:WORST_KEPT], ranked[max(0, len(ranked) - BEST_KEPT) :])
    return [faces[place] for place in sorted(chosen)]
