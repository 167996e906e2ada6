"""Pairs of faces: the same clip, frame and box at two qualities, as rows of one table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.records import MediaRecord
from ffpipe.pipeline.faces import FaceTable, Rows

#: Row of a face that has no pair.
UNPAIRED = -1


def partners(
    media: Sequence[MediaRecord], students: Collection[str], quality: str | None
) -> dict[str, MediaRecord]:
    """For each of the media of the ids `students` that has one: the medium of the same clip at a quality.

    Of several, one of the same dataset goes before others, and then the path decides.
    """
    candidates: dict[str, list[MediaRecord]] = {}
    for m in media:
        if m.pair_id is not None and m.quality == quality:
            candidates.setdefault(m.pair_id, []).append(m)
    found: dict[str, MediaRecord] = {}
    for own in (m for m in media if m.media_id in students and m.pair_id in candidates):
        others = candidates[str(own.pair_id)]
        best = min(others, key=lambda m: (m.dataset != own.dataset, m.media_id != own.media_id, m.path_bytes))
        found.setdefault(own.media_id, best)
    return found


def pair_rows(table: FaceTable, partner: Mapping[str, str]) -> Rows:
    """For each face the row of its pair, or UNPAIRED: in the partner of its medium, of equal frame, track and box."""
    numbers = {name: number for number, name in enumerate(table.media)}
    other = np.array([numbers.get(partner.get(name, ""), UNPAIRED) for name in table.media], dtype=np.int64)
    own_keys = _keys(table, table.medium.astype(np.int64))
    order = np.argsort(own_keys)
    wanted = _keys(table, other[table.medium])
    places = np.searchsorted(own_keys[order], wanted).clip(max=max(len(table) - 1, 0))
    rows = order[places] if len(table) else np.empty(0, dtype=np.int64)
    same = (own_keys[rows] == wanted) & (other[table.medium] >= 0)
    same &= (table.box[rows] == table.box).all(axis=1)
    return np.where(same, rows, UNPAIRED)


def _keys(table: FaceTable, medium: Rows) -> Rows:
    """A number for each (medium, frame, track): a track has one face a frame, so that no two faces share one."""
    frames, tracks = (int(column.max(initial=0)) + 1 for column in (table.frame, table.track))
    keys: Rows = (medium * frames + table.frame) * tracks + table.track
    return keys


def bytes_with_pairs(table: FaceTable, rows: Rows, pairs: Rows) -> npt.NDArray[np.int64]:
    """Bytes of each block and of the blocks that hold the pairs of its faces, since both are read together."""
    links = np.unique(np.stack([table.block[rows], table.block[pairs[rows]]]), axis=1)
    apart = links[:, links[0] != links[1]]
    total = table.block_bytes.copy()
    np.add.at(total, apart[0], table.block_bytes[apart[1]])
    return total
