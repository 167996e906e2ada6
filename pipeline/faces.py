"""Faces as columns without pixels, and which of them training and validation use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ffpipe.stages.face_shape import FaceShape

Rows = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


class Face(NamedTuple):
    """A stored crop (H,W,3) and its D (2304,)."""

    crop: Pixels
    sida: Vector


@dataclass(frozen=True, slots=True)
class FaceTable:
    """One entry per face, about 120 bytes each; `media`, `groups`, `methods` and `looked` have one per medium.

    medium: index into `media`. frame: index of the frame in its medium. box: (n,4), the detector's. side and
    stored_side: of the crop at original resolution and as stored, in pixels. landmarks (n,10) and inner (n,4), which
    is the detector's box, are in shares of the crop's width and height, and not a number where they are not known.
    block: number of the faces that are read
    from disk together, and place: where in it a face is; block_bytes has one entry a block, the bytes that it takes in
    memory.
    methods: of forgery, None where there is none on record. looked: frames of the medium that were looked at, with
    or without a face. sharpness: as in the faces table; None where the source does not have it.
    """

    label: npt.NDArray[np.int8]
    medium: npt.NDArray[np.int32]
    track: npt.NDArray[np.int32]
    frame: Rows
    pts: npt.NDArray[np.float64]
    box: npt.NDArray[np.float32]
    side: npt.NDArray[np.int32]
    stored_side: npt.NDArray[np.int32]
    landmarks: npt.NDArray[np.float32]
    inner: npt.NDArray[np.float32]
    block: npt.NDArray[np.int32]
    place: npt.NDArray[np.int32]
    block_bytes: Rows
    media: tuple[str, ...]
    groups: tuple[str, ...]
    methods: tuple[str | None, ...]
    looked: tuple[int, ...]
    sharpness: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.label)

    def __repr__(self) -> str:
        return f"FaceTable({len(self)} faces of {len(self.media)} media in {len(self.block_bytes)} blocks)"

    def classes(self, rows: Rows) -> tuple[int, int]:
        """How many of the faces are real, and how many fake."""
        fake = int(self.label[rows].sum())
        return len(rows) - fake, fake

    def downscaled(self, rows: Rows) -> int:
        """How many of the faces were larger than the store size, so that detail was lost in storing."""
        return int((self.side[rows] > self.stored_side[rows]).sum())

    def shape(self, row: int) -> FaceShape:
        """Where the face lies in its crop."""
        return FaceShape.of(self.landmarks[row], self.inner[row])


class FaceSource(Protocol):
    """Where the pixels of a table's faces come from. `fetch` may be called from several threads."""

    @property
    def table(self) -> FaceTable:
        """The faces that can be fetched."""
        ...

    def fetch(self, rows: Sequence[int]) -> list[Face]:
        """Pixels and statistics of the faces, in the order asked for."""
        ...

    def sida(self, rows: Sequence[int]) -> Vector:
        """Statistics alone, (n,2304), in the order asked for."""
        ...


def rows_of_media(table: FaceTable, media: Sequence[str]) -> Rows:
    """The faces of some media, in table order."""
    wanted = set(media)
    chosen = np.array([name in wanted for name in table.media], dtype=bool)
    return np.flatnonzero(chosen[table.medium])


def largest_per_frame(table: FaceTable, rows: Rows) -> Rows:
    """One face a frame, the largest: a bystander in a forged video is real, and its label would be wrong."""
    order = np.lexsort((rows, -table.side[rows], table.frame[rows], table.medium[rows]))
    ordered = rows[order]
    first = np.ones(len(ordered), dtype=bool)
    same_medium = table.medium[ordered[1:]] == table.medium[ordered[:-1]]
    first[1:] = ~(same_medium & (table.frame[ordered[1:]] == table.frame[ordered[:-1]]))
    return np.sort(ordered[first])


def spread_frames(table: FaceTable, rows: Rows, frames: int) -> Rows:
    """The faces of at most `frames` frames of each medium, evenly spaced over the frames that have faces."""
    kept = [_evenly(table, part, frames) for part in _by_medium(table, rows)]
    return np.sort(np.concatenate(kept)) if kept else rows


def _by_medium(table: FaceTable, rows: Rows) -> list[Rows]:
    if not len(rows):
        return []
    ordered = rows[np.argsort(table.medium[rows], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(table.medium[ordered])) + 1)


def _evenly(table: FaceTable, rows: Rows, frames: int) -> Rows:
    numbers = np.unique(table.frame[rows])
    if len(numbers) <= frames:
        return rows
    chosen = numbers[((np.arange(frames) + 0.5) * len(numbers) / frames).astype(np.int64)]
    return rows[np.isin(table.frame[rows], chosen)]


def most_frames(table: FaceTable, rows: Rows) -> int:
    """The largest number of frames with a face that any medium has."""
    return max((len(np.unique(table.frame[part])) for part in _by_medium(table, rows)), default=0)


def at_most(table: FaceTable, rows: Rows, limit: int, seed: int) -> Rows:
    """At most `limit` of the faces: fewer frames of every medium first, then fewer media of each class.

    Each class keeps its share of the media, and at least one medium.
    """
    frames = most_frames(table, rows)
    while len(rows) > limit and frames > 1:
        frames = max(1, min(frames - 1, frames * limit // len(rows)))
        rows = spread_frames(table, rows, frames)
    if len(rows) <= limit:
        return rows
    generator = np.random.default_rng([seed, limit])
    kept = []
    for label in np.unique(table.label[rows]):
        part = generator.permutation(rows[table.label[rows] == label])
        kept.append(part[: max(1, len(part) * limit // len(rows))])
    return np.sort(np.concatenate(kept))


def balancing_copies(labels: npt.NDArray[np.int8]) -> dict[int, int]:
    """How often each class is drawn an epoch so that both weigh about the same: the rarer one several times.

    On FaceForensics++ with its four methods this is the paper's rule, the real class four times.
    """
    counts = {label: int((labels == label).sum()) for label in (0, 1)}
    most = max(counts.values())
    return {label: max(1, round(most / count)) if count else 1 for label, count in counts.items()}
