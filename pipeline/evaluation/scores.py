"""Stored pictures to scores for evaluation: one an image, or one a frame, a track and a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ffpipe.manifests.errors import WeightsError
from ffpipe.manifests.records import MediaRecord
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.batches import ahead
from ffpipe.pipeline.evaluation.parts import PART, Parts
from ffpipe.pipeline.faces import Face, FaceTable, Rows, largest_per_frame, spread_frames
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.output import Advance
from ffpipe.pipeline.reference import face_distances, worst_rows
from ffpipe.pipeline.validation import Logits, VideoResult, gather_videos
from ffpipe.stages.domain import Reference
from ffpipe.stages.evaluation import Scored
from ffpipe.stages.infer import Scorer, probability

#: Threads that read pictures while a GPU works on others; a CPU is busy with the network.
_READERS = 4
#: The levels of figures. Media of one picture each have the first alone; of the others, videos are the headline.
IMAGE, FRAME, TRACK, VIDEO = "image", "frame", "track", "video"


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of all pictures (rows of a table), and by level those that figures are made of, the headline first.

    main: whether a picture is the largest of its frame, which alone counts at the level of frames and images.
    untracked: videos that have no score, since no face was seen in frames enough. videos: every medium with a picture.
    distances: by row, of the faces that scores rest on, from those of training; empty without a reference.
    """

    faces: FaceTable
    rows: Rows
    logits: Logits
    main: npt.NDArray[np.bool_]
    levels: dict[str, Scored]
    untracked: int
    videos: list[VideoResult]
    distances: Mapping[int, float] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The level that an evaluation is quoted by: videos, or images where media are that."""
        return next(iter(self.levels))

    def table(self, media: Sequence[MediaRecord]) -> pa.Table:
        """One row a picture, with what is known of its medium; of a content with several paths, of the first."""
        known = {m.media_id: m for m in reversed(media)}
        names = [self.faces.media[medium] for medium in self.faces.medium[self.rows]]
        columns = {
            "media_id": names,
            "path": [known[name].path for name in names],
            "method": pa.array([known[name].method for name in names], pa.string()),
            "subset": pa.array([known[name].subset for name in names], pa.string()),
            "group": [self.faces.groups[medium] for medium in self.faces.medium[self.rows]],
            "label": self.faces.label[self.rows],
            "frame_index": self.faces.frame[self.rows],
            "track_id": self.faces.track[self.rows],
            "face_side": self.faces.side[self.rows],
            "main": self.main,
            "logit": self.logits,
            "score": probability(self.logits),
        }
        return pa.table(columns)


def score_media(
    groups: Sequence[ShardGroup],
    media: Mapping[str, Labelled],
    scorer: Scorer,
    frames: int | None = None,
    advance: Advance | None = None,
    parts: Parts | None = None,
    reference: Reference | None = None,
) -> Scores:
    """Score every picture that some datasets store of the media, or of at most `frames` frames of each, evenly spread.

    With `parts` those that are committed there are not scored again; `reference` is what training faces were like.
    Raises IntegrityError naming a damaged shard,
    WeightsError where the network gives no number, StorageError.
    """
    source = ShardFaces.index(groups, media)
    table = source.table
    rows: Rows = np.arange(len(table))
    if frames is not None:
        rows = spread_frames(table, rows, frames)
        # What a track needs is bounded by the frames that are looked at.
        table = replace(table, looked=tuple(min(looked, frames) for looked in table.looked))
    logits = _score(source, rows, scorer, advance, parts)
    main = np.isin(rows, largest_per_frame(table, rows))
    images = max(table.looked) == 1
    # An image is judged by its largest face, as it is labelled by.
    videos = gather_videos(table, rows[main], logits[main]) if images else gather_videos(table, rows, logits)
    levels = _levels(table, rows, logits, main, videos, images)
    untracked = sum(video.score is None for video in videos)
    distances: dict[int, float] = {}
    if reference is not None:
        worst = worst_rows(table, rows, videos)
        distances = face_distances(source, reference, np.concatenate([rows[:0], *worst.values()]))
    return Scores(table, rows, logits, main, levels, untracked, videos, distances)


def _score(
    source: ShardFaces, rows: Rows, scorer: Scorer, advance: Advance | None, parts: Parts | None
) -> Logits:
    logits = parts.read(len(rows)) if parts else np.full(len(rows), np.nan, np.float32)
    pending = np.flatnonzero(np.isnan(logits))
    known, size = len(rows) - len(pending), scorer.batch_size
    batches = [pending[start : start + size] for start in range(0, len(pending), size)]
    each = max(1, PART // size)

    def fetch(step: int) -> list[Face]:
        return source.fetch(rows[batches[step]].tolist())

    readers = _READERS if scorer.device.type == "cuda" else 0
    steps = range(len(batches))
    for step, faces in zip(steps, ahead(fetch, steps, readers), strict=True):
        places = batches[step]
        try:
            logits[places] = scorer.score(
                [face.crop for face in faces], np.stack([face.sida for face in faces])
            )
        except FloatingPointError as error:
            medium = source.table.media[source.table.medium[rows[places[0]]]]
            raise WeightsError(f"{error}, at or after a picture of medium {medium}") from error
        if parts and ((step + 1) % each == 0 or step + 1 == len(batches)):
            done = np.concatenate(batches[step // each * each : step + 1])
            parts.add(done, logits[done])
        if advance:
            advance(known + min((step + 1) * size, len(pending)), len(rows), "")
    return logits


def _levels(
    faces: FaceTable,
    rows: Rows,
    logits: Logits,
    main: npt.NDArray[np.bool_],
    videos: Sequence[VideoResult],
    images: bool,
) -> dict[str, Scored]:
    of_media, of_tracks = _median_sides(faces, rows, main)
    scored = [video for video in videos if video.score is not None]
    whole = _scored([(video, video.score or 0.0, of_media[video.media_id]) for video in scored])
    if images:
        return {IMAGE: whole}
    tracks = _scored(
        [
            (video, track.score, of_tracks[video.media_id, track.track_id])
            for video in videos
            for track in video.all_tracks
            if track.eligible
        ]
    )
    medium = faces.medium[rows][main]
    frames = Scored(
        faces.label[rows][main],
        probability(logits)[main].astype(np.float64),
        [faces.media[number] for number in medium],
        [faces.groups[number] for number in medium],
        faces.side[rows][main].astype(np.float64).tolist(),
    )
    return {VIDEO: whole, TRACK: tracks, FRAME: frames}


def _scored(items: Sequence[tuple[VideoResult, float, float]]) -> Scored:
    """Items of a medium each, with score and side."""
    return Scored(
        np.array([video.label for video, _, _ in items], np.int8),
        np.array([score for _, score, _ in items], np.float64),
        [video.media_id for video, _, _ in items],
        [video.group for video, _, _ in items],
        [side for _, _, side in items],
    )


def _median_sides(
    faces: FaceTable, rows: Rows, main: npt.NDArray[np.bool_]
) -> tuple[dict[str, float], dict[tuple[str, int], float]]:
    """Median crop side in pixels by medium, of the largest face of each frame, and by medium and track."""
    names = np.array(faces.media, dtype=object)[faces.medium[rows]]
    table = pd.DataFrame({"medium": names, "track": faces.track[rows], "side": faces.side[rows]})
    media: dict[Any, float] = table[main].groupby("medium")["side"].median().to_dict()
    tracks: dict[Any, float] = table.groupby(["medium", "track"])["side"].median().to_dict()
    return media, tracks
