"""The reference of a training run: what its training faces were like, and how far validation media lie from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.records import SIDA_LENGTH, MediaRecord
from ffpipe.pipeline.batches import in_block_order, sida_batches
from ffpipe.pipeline.faces import FaceSource, FaceTable, Rows
from ffpipe.pipeline.validation import VideoResult
from ffpipe.stages.domain import (
    BAND_NAMES,
    Bound,
    Measure,
    Reference,
    Spread,
    fit_reference,
    spread_of,
    upper_bound,
)
from ffpipe.stages.quality import bits_of

#: Training faces of a class that a reference rests on at most: D of both classes then takes 75 MB.
MOST_FACES = 4096

_UNVALIDATED = Bound(None, 0, 0, "these weights were not validated")


def make_reference(
    source: FaceSource,
    train: Rows,
    held_out: Rows,
    videos: Sequence[VideoResult],
    media: Iterable[MediaRecord],
    model_id: str,
) -> Reference:
    """The reference of weights that were trained on the faces `train` and validated with `held_out`.

    videos: what validation scored, empty without one. media: rows of the media table, for facts of files.
    """
    table = source.table
    faces = {
        name: _faces(source, train[table.label[train] == label]) for label, name in enumerate(BAND_NAMES)
    }
    gaussian, bands = fit_reference(faces)
    counts = {name: len(rows) for name, rows in faces.items()}
    reference = Reference(gaussian, _UNVALIDATED, bands, {}, counts, model_id)
    worst = worst_rows(table, held_out, videos)
    found = face_distances(source, reference, np.concatenate([np.empty(0, np.int64), *worst.values()]))
    groups = dict(zip(table.media, table.groups, strict=True))
    of_media = [float(np.median([found[row] for row in rows.tolist()])) for rows in worst.values()]
    bound = upper_bound(of_media, [groups[name] for name in worst]) if videos else _UNVALIDATED
    return replace(reference, bound=bound, spreads=_spreads(table, train, worst, media))


def _faces(source: FaceSource, rows: Rows) -> npt.NDArray[np.float32]:
    """D of the faces, of at most MOST_FACES of them, evenly taken from all media."""
    if len(rows) > MOST_FACES:
        rows = rows[((np.arange(MOST_FACES) + 0.5) * len(rows) / MOST_FACES).astype(np.int64)]
    parts = [part.numpy() for part in sida_batches(source, rows)]
    return np.concatenate(parts) if parts else np.empty((0, SIDA_LENGTH), np.float32)


def worst_rows(table: FaceTable, rows: Rows, videos: Iterable[VideoResult]) -> dict[str, Rows]:
    """By medium those of the faces that its score rests on; media without a score are left out."""
    worst = {v.media_id: v.video.worst_track.track_id for v in videos if v.video.worst_track is not None}
    there = np.array([name in worst for name in table.media], dtype=bool)
    tracks = np.array([worst.get(name, 0) for name in table.media], dtype=np.int64)
    medium = table.medium[rows]
    kept = rows[there[medium] & (table.track[rows] == tracks[medium])]
    return _by_medium(table, kept, kept)


def face_distances(source: FaceSource, reference: Reference, rows: Rows) -> dict[int, float]:
    """By row the distance of each face, each block on disk being read once."""
    values = [reference.distance(part.numpy()) for part in sida_batches(source, rows)]
    ordered = in_block_order(source.table, rows).tolist()
    return dict(zip(ordered, np.concatenate([np.empty(0), *values]).tolist(), strict=True))


def _spreads(
    table: FaceTable, train: Rows, worst: Mapping[str, Rows], media: Iterable[MediaRecord]
) -> dict[Measure, Spread]:
    """The measures that are known: of training media, and of validation the frames that scores rest on."""
    known = {m.media_id: bits_of(m.bit_rate, m.width, m.height) for m in media}
    groups = dict(zip(table.media, table.groups, strict=True))
    of_media: dict[Measure, dict[str, float]] = {
        "crop_side": _medians(table, train, table.side),
        "sharpness": {} if table.sharpness is None else _medians(table, train, table.sharpness),
        "bits": {name: bits for name in _names(table, train) if (bits := known.get(name)) is not None},
        "frames": {name: float(len(rows)) for name, rows in worst.items()},
    }
    return {
        measure: spread_of(list(values.values()), [groups[name] for name in values])
        for measure, values in of_media.items()
        if values
    }


def _names(table: FaceTable, rows: Rows) -> list[str]:
    return [table.media[number] for number in np.unique(table.medium[rows])]


def _medians(table: FaceTable, rows: Rows, column: npt.NDArray[Any]) -> dict[str, float]:
    """The median of a column over the faces of each medium."""
    return {name: float(np.median(part)) for name, part in _by_medium(table, rows, column[rows]).items()}


def _by_medium(table: FaceTable, rows: Rows, values: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """One value a row, parted by medium."""
    order = np.argsort(table.medium[rows], kind="stable")
    numbers, first = np.unique(table.medium[rows][order], return_index=True)
    parts = np.split(values[order], first[1:]) if len(rows) else []
    return {table.media[number]: part for number, part in zip(numbers, parts, strict=True)}
