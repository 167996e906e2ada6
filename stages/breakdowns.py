"""The parts that a test set is also measured in, beside its methods: datasets, qualities and sizes of face.

Each part holds the reals and the fakes of its own, so that no part compares, say, compressed fakes with raw reals.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np

from ffpipe.stages.evaluation import DATASET, FACE_SIZE, QUALITY, Bootstrap, Row, Scored, part_row

#: Lower ends, in pixels of the original picture, of the bins that the sides of crops fall into. A network reads a face
#: at 128 to 384 pixels: the smaller ones are enlarged for any, the largest shrunk for most.
SIZES = (0, 96, 192, 384)


class Described(Protocol):
    """What a medium is grouped by; rows of the media table have it."""

    @property
    def media_id(self) -> str: ...  # noqa: D102
    @property
    def dataset(self) -> str | None: ...  # noqa: D102
    @property
    def quality(self) -> str | None: ...  # noqa: D102


def media_parts(media: Iterable[Described]) -> dict[str, dict[str, frozenset[str]]]:
    """Kind of part -> name -> ids of its media: the datasets, and the qualities where any is on record."""
    datasets: defaultdict[str, set[str]] = defaultdict(set)
    qualities: defaultdict[str, set[str]] = defaultdict(set)
    for m in media:
        datasets[m.dataset or "unnamed"].add(m.media_id)
        qualities[m.quality or "not on record"].add(m.media_id)
    found = {DATASET: datasets}
    if set(qualities) != {"not on record"}:
        found[QUALITY] = qualities
    return {kind: {name: frozenset(parts[name]) for name in sorted(parts)} for kind, parts in found.items()}


def size_name(number: int) -> str:
    """The name of a bin of sizes, such as `96-191 px`."""
    low = SIZES[number]
    return f"{low}-{SIZES[number + 1] - 1} px" if number + 1 < len(SIZES) else f"{low} px and more"


def size_parts(scored: Scored) -> dict[str, Scored]:
    """The items of each bin of crop sides that has any, the smallest first; none where sides are not known."""
    if not scored.side:
        return {}
    bins = np.searchsorted(SIZES, np.floor(scored.side), side="right") - 1
    there = [number for number in range(len(SIZES)) if (bins == number).any()]
    return {size_name(number): scored.at(np.flatnonzero(bins == number).tolist()) for number in there}


def part_rows(
    level: str, scored: Scored, parts: Mapping[str, Mapping[str, AbstractSet[str]]], how: Bootstrap
) -> list[Row]:
    """A row for each of the parts (see `media_parts`), and for each bin of sizes."""
    rows = [
        part_row(level, name, scored.of(media), how, kind)
        for kind, named in parts.items()
        for name, media in named.items()
    ]
    sizes = [part_row(level, name, items, how, FACE_SIZE) for name, items in size_parts(scored).items()]
    return rows + sizes
