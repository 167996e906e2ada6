"""Evaluations that are done, read back: the one of a run that fits what is asked, and its single scores by level."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.parquet import read_table
from ffpipe.manifests.records import Label
from ffpipe.manifests.sealed import read_sealed
from ffpipe.manifests.split_files import read_split_file
from ffpipe.models import checkpoint
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.files import MEDIA, PICTURES, TRACKS
from ffpipe.pipeline.evaluation.parts import EVALUATIONS, RESULT
from ffpipe.pipeline.evaluation.scores import FRAME, TRACK
from ffpipe.stages.evaluation import comparisons

#: Settings that two evaluations may differ in and still be of the same media: how they were computed, and drawn from;
#: and where a split file lies, which is told by what it says.
_FREE = ("replicates", "seed", "batch_size", "arithmetic", "accept_crops", "splits")
#: Those that change no figure.
_WITHOUT_EFFECT = ("batch_size", "splits")


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished evaluation; `name` is the run's."""

    name: str
    directory: Path
    facts: Mapping[str, Any]

    @property
    def levels(self) -> list[str]:
        """The levels that it has scores of, the headline first."""
        return list(dict.fromkeys(row["level"] for row in self.facts["rows"]))

    def of_media(self) -> dict[str, Any]:
        """What the choice of media rests on."""
        settings = self.facts["provenance"]["configuration"]
        given = {"split file": self.facts.get("split_digest", "of an earlier version")}
        return {
            "data_digest": self.facts["data_digest"],
            **_choice(settings),
            **(given if settings.get("splits") else {}),
        }

    def is_of(self, settings: Mapping[str, Any]) -> bool:
        """Whether these settings were those of the evaluation, as far as they change its figures."""
        mine = self.facts["provenance"]["configuration"]
        return _choice(mine, _WITHOUT_EFFECT) == _choice(settings, _WITHOUT_EFFECT)

    def sets(self) -> dict[str, frozenset[str]]:
        """Method -> the media that it is measured on."""
        media = read_table(self.directory / MEDIA, ["media_id", "label", "method", "subset"])
        return comparisons(
            _Member(row["media_id"], Label(row["label"]), row["method"], row["subset"])
            for row in media.to_pylist()
        )

    def items(self, level: str) -> pd.DataFrame:
        """One row an item of a level that has a score: index key, and media_id, label, group, score."""
        columns = ["media_id", "label", "group", "score"]
        if level == FRAME:
            table = read_table(self.directory / PICTURES, [*columns, "frame_index", "main"]).to_pandas()
            table = table[table["main"]]
            key = table["media_id"] + "/" + table["frame_index"].astype(str)
        elif level == TRACK:
            table = read_table(self.directory / TRACKS, [*columns, "track_id", "eligible"]).to_pandas()
            table = table[table["eligible"]]
            key = table["media_id"] + "/" + table["track_id"].astype(str)
        else:
            # A medium of two methods is a row in each.
            table = read_table(self.directory / MEDIA, columns).to_pandas().drop_duplicates("media_id")
            table = table[table["score"].notna()]
            key = table["media_id"]
        indexed: pd.DataFrame = table.set_index(key.rename("key"))[columns]
        return indexed


@dataclass(frozen=True, slots=True)
class _Member:
    media_id: str
    label: Label
    method: str | None
    subset: str | None


def _choice(settings: Mapping[str, Any], free: Collection[str] = _FREE) -> dict[str, Any]:
    """The settings that are not free, those not used left out: an earlier version may not have had them."""
    chosen = {
        key: value for key, value in settings.items() if key not in free and value not in (None, [], ())
    }
    # The order in which methods are named chooses nothing.
    return chosen | {key: sorted(chosen[key]) for key in ("methods",) if key in chosen}


def load_finished(directory: Path) -> Finished:
    """The evaluation in a folder. Raises StorageError where it is none, or not finished."""
    path = directory / RESULT
    try:
        facts = read_sealed(path)
        run = Path(facts["run"])
        if missing := sorted({"data_digest", "rows", "provenance"} - facts.keys()):
            raise KeyError(", ".join(missing))
        return Finished(f"{run.parent.name}/{run.name}", directory, facts)
    except (StorageError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: no finished evaluation: {error}") from error


def find_finished(run: Path, config: EvaluateConfig, digest: str, *, alike: bool = False) -> Finished | None:
    """The newest finished evaluation of a run's weights on the data of this digest, by the same choice of media.

    alike: computed and drawn from in the same way, too, so that its figures are those of the settings. Raises
    StorageError.
    """
    weights = run / checkpoint.WEIGHTS
    model_id = sha256_file(weights) if weights.is_file() else None
    given = {"split file": read_split_file(config.splits).digest} if config.splits else {}
    settings = config.resolved()
    wanted = {"data_digest": digest, **_choice(settings), **given}
    found = []
    for path in sorted((run / EVALUATIONS).glob(f"*/{RESULT}")):
        done = load_finished(path.parent)
        if (
            done.facts["model_id"] == model_id
            and done.of_media() == wanted
            and (not alike or done.is_of(settings))
            and (path.parent / MEDIA).exists()
        ):
            found.append(done)
    return max(found, key=lambda done: str(done.facts["provenance"]["started"]), default=None)
