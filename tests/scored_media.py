"""A scored medium made in memory: report row, tracks, scores and kept faces, such as a scoring run leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from names import report_row

from ffpipe.manifests.records import FaceRecord, ReportRow, ScoreRecord, TrackRecord
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.page.evidence import Evidence, FaceView
from ffpipe.pipeline.score import run_shards
from ffpipe.stages.aggregate import Rule, score_tracks
from ffpipe.stages.crop import encode_crop

MEDIUM = "a" * 32
SIDE = 32


def scores_of(track: int, values: dict[int, float], media_id: str = MEDIUM) -> list[ScoreRecord]:
    """A track's scores by frame index, at 10 frames a second."""
    return [
        ScoreRecord(
            face_id=f"{media_id[:4]}-{frame}-{track}", media_id=media_id, track_id=track, frame_index=frame,
            pts_seconds=frame / 10, model_id="m", logit=float(np.log(value / (1 - value))), score=value,
            box=(8.0, 9.0, 24.5, 25.0), crop_box=(0, 0, SIDE, SIDE), crop_side=SIDE, sharpness=50.0,
        )
        for frame, value in values.items()
    ]  # fmt: skip


def tracks_of(scores: list[ScoreRecord], frames: int) -> list[TrackRecord]:
    """The tracks that scoring makes of these scores."""
    columns = zip(*((s.track_id, s.pts_seconds, s.score) for s in scores), strict=True)
    ids, times, values = columns if scores else ((), (), ())
    return score_tracks(ids, times, values, scores[0].media_id if scores else MEDIUM, Rule(), frames)


def crop(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


def sida(seed: int) -> np.ndarray:
    """Positive numbers that fall with the frequency, as SIDA's do."""
    level = np.tile(100 / (1 + np.arange(64)), 36)
    return (level * np.random.default_rng(seed).uniform(0.8, 1.2, 2304)).astype(np.float32)


def face_record(score: ScoreRecord, seed: int) -> FaceRecord:
    return FaceRecord(
        face_id=score.face_id, media_id=score.media_id, track_id=score.track_id, frame_index=score.frame_index,
        pts_seconds=score.pts_seconds, box=score.box, crop_box=score.crop_box, detector="mtcnn", confidence=0.9,
        landmarks=None, sharpness=50.0, crop_side=SIDE, stored_side=SIDE, crop=encode_crop(crop(seed)), sida=sida(seed),
    )  # fmt: skip


def row_of(tracks: list[TrackRecord], scores: list[ScoreRecord], frames: int, **changes: Any) -> ReportRow:
    """The report row of a video of so many frames, at 10 a second, held to bars of 0.5 and 0.7."""
    worst = max(tracks, key=lambda track: track.score, default=None)
    facts = {
        "media_id": MEDIUM, "score": worst and worst.score, "threshold": 0.7, "inconclusive_from": 0.5,
        "duration": frames / 10, "n_frames": frames, "n_faces": len(scores), "n_tracks": len(tracks),
        "worst_track": worst and worst.track_id,
        "worst_window_start_seconds": worst and worst.worst_start_seconds,
        "worst_window_end_seconds": worst and worst.worst_end_seconds,
        "worst_window_score": worst and worst.worst_score,
        "sampled_frames": tuple(range(frames)), "sampled_seconds": tuple(k / 10 for k in range(frames)),
        "frames_expected": frames,
    }  # fmt: skip
    return replace(report_row(), **{**facts, **changes})


def evidence_of(scores: list[ScoreRecord], frames: int, **changes: Any) -> Evidence:
    """Evidence with two faces shown of each track, the highest first; `changes` are of the report row."""
    tracks = tracks_of(scores, frames)
    faces = {}
    for track in sorted(tracks, key=lambda track: -track.score):
        own = sorted((s for s in scores if s.track_id == track.track_id), key=lambda s: -s.score)
        views = [
            FaceView(s, crop(s.frame_index), SIDE, sida(s.frame_index), k == 0) for k, s in enumerate(own[:2])
        ]
        faces[track.track_id] = tuple(views)
    return Evidence(row_of(tracks, scores, frames, **changes), (), tuple(tracks), tuple(scores), faces)


def committed(root: Path, scores: list[ScoreRecord], kept: list[ScoreRecord]) -> ShardGroup:
    """A run's shards, in which these faces were kept."""
    shards = run_shards(root)
    shards.create()
    tracks = tracks_of(scores, 10)
    rows = {
        "report": to_table("report", [row_of(tracks, scores, 10)]),
        "tracks": to_table("tracks", tracks),
        "scores": to_table("scores", scores),
        "faces": to_table("faces", [face_record(score, k) for k, score in enumerate(kept)]),
    }
    media = sorted({score.media_id for score in scores})
    inputs = [{"media_id": m, "path": "x.mp4", "status": "ok", "faces": 1, "copy": False} for m in media]
    assert shards.commit("c0", "a", rows, inputs)
    return shards
