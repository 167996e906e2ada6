"""Error rates among validation media like the one on the page, by face size, from training or an evaluation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.manifests.parquet import read_table
from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.evaluation.files import MEDIA
from ffpipe.pipeline.evaluation.finished import Finished, load_finished
from ffpipe.pipeline.evaluation.parts import EVALUATIONS, RESULT
from ffpipe.stages.breakdowns import SIZES, size_name


@dataclass(frozen=True, slots=True)
class Judged:
    """A medium of a validation split with a score: its class, and the median side of its crops in pixels."""

    fake: bool
    score: float
    side: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """How many of the reals and of the fakes among some media scored above a bar."""

    real: int
    real_above: int
    fake: int
    fake_above: int

    @classmethod
    def of(cls, media: list[Judged], bar: float) -> Rates:
        """The counts of these media."""
        real, fake = ([m.score > bar for m in media if m.fake is wanted] for wanted in (False, True))
        return cls(len(real), sum(real), len(fake), sum(fake))


@dataclass(frozen=True, slots=True)
class Validated:
    """What was found of every validation medium that has a score; `name` says which media they are."""

    name: str
    media: tuple[Judged, ...]

    def like(self, side: float | None) -> tuple[str, list[Judged]] | None:
        """Those whose faces are in the same bin of sizes, and the bin's name; None where that is not known."""
        number = _bin(side)
        if number is None:
            return None
        return size_name(number), [m for m in self.media if _bin(m.side) == number]


def _bin(side: float | None) -> int | None:
    return None if side is None else int(np.searchsorted(SIZES, np.floor(side), side="right")) - 1


def validated(
    run: Path, model_id: str, datasets: Collection[str], metrics: Mapping[str, Any]
) -> Validated | None:
    """The newest evaluation of a validation split by these weights in their folder, else what training measured.

    `datasets` are those of training, and `metrics` those of the weights. None where there is neither.

    What is damaged or unfinished is passed over: the page then says that it has no figures of this kind.
    """
    found = max(
        _finished(run, model_id, datasets),
        key=lambda done: str(done.facts["provenance"]["started"]),
        default=None,
    )
    if found is None:
        return _of_training(metrics)
    try:
        table = read_table(found.directory / MEDIA, ["media_id", "label", "score", "face_side"])
    except (IntegrityError, StorageError):
        return _of_training(metrics)
    # A medium of two methods is a row in each.
    rows = {
        row["media_id"]: row
        for row in table.to_pylist()
        if row["score"] is not None and row["label"] is not None
    }
    media = [Judged(row["label"] == Label.FAKE, row["score"], row["face_side"]) for row in rows.values()]
    return Validated(found.directory.name, tuple(media))


def _of_training(metrics: Mapping[str, Any]) -> Validated | None:
    """The media that chose the checkpoint and the bars; None of weights that were imported, or that tell no media."""
    try:
        told = metrics["validation"]["media"]
        rows = zip(told["label"], told["score"], told["face_side"], strict=True)
        media = tuple(Judged(label == Label.FAKE, float(score), float(side)) for label, score, side in rows)
    except (KeyError, TypeError, ValueError):
        return None
    return Validated("those that chose the bars", media) if media else None


def _finished(run: Path, model_id: str, datasets: Collection[str]) -> Iterator[Finished]:
    for path in sorted((run / EVALUATIONS).glob(f"*/{RESULT}")):
        try:
            done = load_finished(path.parent)
        except (IntegrityError, StorageError):
            continue
        same = done.facts.get("model_id") == model_id and done.facts.get("data") in datasets
        if same and done.facts.get("split") == Split.VAL:
            yield done
