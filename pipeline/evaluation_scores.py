"""Stored pictures to scores for evaluation: one an image or frame, and one a video where media have several frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffpipe.manifests.errors import WeightsError
from ffpipe.manifests.records import MediaRecord
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.batches import ahead
from ffpipe.pipeline.faces import Face, FaceTable, Rows, largest_per_frame, spread_frames
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.output import Advance
from ffpipe.pipeline.validation import Logits, gather_videos
from ffpipe.stages.evaluation import Scored
from ffpipe.stages.infer import Scorer, probability

#: Threads that read pictures while a GPU works on others; a CPU is busy with the network.
_READERS = 4


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of all pictures (rows of a table), and by level those that figures are made of.

    main: whether a picture is the largest of its frame, which alone counts below the level of videos. untracked:
    videos that have no score, since no face was seen in frames enough.
    """

    faces: FaceTable
    rows: Rows
    logits: Logits
    main: npt.NDArray[np.bool_]
    levels: dict[str, Scored]
    untracked: int

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
            "main": self.main,
            "logit": self.logits,
            "score": probability(self.logits),
        }
        return pa.table(columns)


def score_media(
    group: ShardGroup,
    media: Mapping[str, Labelled],
    scorer: Scorer,
    frames: int | None = None,
    advance: Advance | None = None,
) -> Scores:
    """Score every stored picture of the media, or of at most `frames` frames of each, evenly spread.

    Raises IntegrityError naming a damaged shard, WeightsError where the network gives no number.
    """
    source = ShardFaces.index([group], media)
    table = source.table
    rows: Rows = np.arange(len(table))
    if frames is not None:
        rows = spread_frames(table, rows, frames)
        # What a track needs is bounded by the frames that are looked at.
        table = replace(table, looked=tuple(min(looked, frames) for looked in table.looked))
    logits = _score(source, rows, scorer, advance)
    main = np.isin(rows, largest_per_frame(table, rows))
    levels, untracked = _levels(table, rows, logits, main)
    return Scores(table, rows, logits, main, levels, untracked)


def _score(source: ShardFaces, rows: Rows, scorer: Scorer, advance: Advance | None) -> Logits:
    size = scorer.batch_size
    steps = range(-(-len(rows) // size))

    def fetch(step: int) -> list[Face]:
        return source.fetch(rows[step * size : (step + 1) * size].tolist())

    parts: list[Logits] = []
    readers = _READERS if scorer.device.type == "cuda" else 0
    for step, faces in zip(steps, ahead(fetch, steps, readers), strict=True):
        try:
            parts.append(scorer.score([face.crop for face in faces], np.stack([face.sida for face in faces])))
        except FloatingPointError as error:
            medium = source.table.media[source.table.medium[rows[step * size]]]
            raise WeightsError(f"{error}, at or after a picture of medium {medium}") from error
        if advance:
            advance(min((step + 1) * size, len(rows)), len(rows), "")
    return np.concatenate(parts)


def _levels(
    faces: FaceTable, rows: Rows, logits: Logits, main: npt.NDArray[np.bool_]
) -> tuple[dict[str, Scored], int]:
    medium = faces.medium[rows][main]
    pictures = Scored(
        faces.label[rows][main],
        probability(logits)[main].astype(np.float64),
        [faces.media[number] for number in medium],
        [faces.groups[number] for number in medium],
    )
    if max(faces.looked) == 1:
        return {"image": pictures}, 0
    gathered = gather_videos(faces, rows, logits)
    videos = [video for video in gathered if video.score is not None]
    level = Scored(
        np.array([video.label for video in videos], np.int8),
        np.array([video.score for video in videos], np.float64),
        [video.media_id for video in videos],
        [video.group for video in videos],
    )
    return {"video": level, "frame": pictures}, len(gathered) - len(videos)
