"""Faces of a split, treated in every way that is asked for and scored; a face is read once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.errors import WeightsError
from ffpipe.pipeline.evaluation.parts import Parts
from ffpipe.pipeline.faces import (
    Face,
    FaceTable,
    Rows,
    at_most,
    largest_per_frame,
    most_frames,
    spread_frames,
)
from ffpipe.pipeline.loader import ShardFaces
from ffpipe.pipeline.output import Advance
from ffpipe.pipeline.validation import Logits, gather_videos
from ffpipe.stages.infer import Scorer
from ffpipe.stages.statistics import face_sida

#: Faces that are committed together, each in all its states.
_PART = 64

Pixels = npt.NDArray[np.uint8]

Treatment = Callable[[Pixels, int], Pixels]
"""Takes a stored crop (H,W,3) and its row in the table, and returns what is scored in its place."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One item a video, or an image where media are that: label, score in [0, 1], source group."""

    label: npt.NDArray[np.int8]
    score: npt.NDArray[np.float64]
    group: list[str]
    unscored: int


@dataclass(frozen=True, slots=True)
class Faces:
    """The faces that are treated: the largest of each frame, rows of a source's table."""

    source: ShardFaces
    rows: Rows

    @classmethod
    def of(cls, source: ShardFaces, rows: Rows, frames: int | None, limit: int | None, seed: int) -> Faces:
        """The largest face of each frame among `rows`, of at most `frames` frames a medium and `limit` in all."""
        rows = largest_per_frame(source.table, rows)
        if frames is not None:
            rows = spread_frames(source.table, rows, frames)
        return cls(source, rows if limit is None else at_most(source.table, rows, limit, seed))

    @property
    def table(self) -> FaceTable:
        """The table, with no more frames looked at than there are rows of: what a track needs is bounded by that."""
        table = self.source.table
        frames = most_frames(table, self.rows)
        return replace(table, looked=tuple(min(looked, frames) for looked in table.looked))

    @property
    def media(self) -> frozenset[str]:
        """Ids of the media that the faces are of."""
        return frozenset(
            self.source.table.media[number] for number in set(self.source.table.medium[self.rows])
        )

    @property
    def level(self) -> str:
        """What figures are of."""
        return "image" if max(self.source.table.looked) == 1 else "video"

    def scored(self, logits: Logits) -> Scored:
        """One score a medium of one logit a face, by the rule of scoring."""
        found = gather_videos(self.table, self.rows, logits)
        whole = [video for video in found if video.score is not None]
        return Scored(
            np.array([video.label for video in whole], np.int8),
            np.array([video.score for video in whole], np.float64),
            [video.group for video in whole],
            len(found) - len(whole),
        )


def score_treated(
    faces: Faces,
    treatments: Mapping[str, Treatment | None],
    scorer: Scorer,
    advance: Advance | None = None,
    parts: Parts | None = None,
) -> dict[str, Logits]:
    """Logits (n,) of all faces for each treatment by its name; None scores the face as it is stored, with its stored D.

    D of a treated face is taken from the treated crop. With `parts` faces that are committed there are not scored
    again. Raises IntegrityError naming a damaged shard, WeightsError where the network gives no number, StorageError.
    """
    shape = (len(faces.rows), len(treatments))
    known = parts.read(shape[0] * shape[1]) if parts else np.full(shape[0] * shape[1], np.nan, np.float32)
    logits = known.reshape(shape)
    places = np.arange(logits.size).reshape(shape)
    pending = np.flatnonzero(np.isnan(logits).any(axis=1))
    done = shape[0] - len(pending)
    for start in range(0, len(pending), _PART):
        part = pending[start : start + _PART]
        for first in range(0, len(part), scorer.batch_size):
            batch = part[first : first + scorer.batch_size]
            logits[batch] = _score(faces, faces.rows[batch].tolist(), treatments, scorer)
            if advance:
                advance(done + start + first + len(batch), shape[0], "")
        if parts:
            parts.add(places[part].ravel(), logits[part].ravel())
    return {name: logits[:, column].copy() for column, name in enumerate(treatments)}


def _score(
    faces: Faces, rows: list[int], treatments: Mapping[str, Treatment | None], scorer: Scorer
) -> Logits:
    """Logits (B, treatments) of a batch of faces."""
    found = faces.source.fetch(rows)
    columns = []
    for name, treat in treatments.items():
        given = found if treat is None else _treated(found, rows, treat, scorer.needs_sida)
        try:
            columns.append(
                scorer.score([face.crop for face in given], np.stack([face.sida for face in given]))
            )
        except FloatingPointError as error:
            raise WeightsError(f"{error}, of a face treated by {name}") from error
    return np.stack(columns, axis=1)


def _treated(found: Sequence[Face], rows: Sequence[int], treat: Treatment, needs_sida: bool) -> list[Face]:
    crops = [treat(face.crop, row) for face, row in zip(found, rows, strict=True)]
    if not needs_sida:
        return [Face(crop, face.sida) for crop, face in zip(crops, found, strict=True)]
    return [Face(crop, sida) for crop, sida in zip(crops, face_sida(crops), strict=True)]
