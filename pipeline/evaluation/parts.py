"""The folder of an evaluation, and the scores it has so far: an evaluation that was interrupted goes on from there.

Scores are committed in parts under `parts/`, bound to all that they depend on; the folder is finished once it has its
result, such as `evaluation.json`, and the parts are then gone. Robustness runs are kept alike.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.durable import clear_temporaries
from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import LogitRecord
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup, chunk_id
from ffpipe.pipeline.evaluation.openings import opening_of
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.validation import Logits
from ffpipe.pipeline.workspace import bind_job, read_job

#: Folder in a run's folder with one folder an evaluation.
EVALUATIONS = "evaluations"
#: Names the result of a finished evaluation.
RESULT = "evaluation.json"
_PARTS = "parts"
#: Pictures a part: seconds to minutes of work, far more than what committing takes.
PART = 512


@dataclass(frozen=True, slots=True)
class Parts:
    """The logits of an evaluation's pictures, by their place in its order, as far as they are committed."""

    group: ShardGroup

    def read(self, pictures: int) -> Logits:
        """Logits (pictures,), NaN where a picture was not scored yet. Raises IntegrityError naming a damaged part."""
        logits = np.full(pictures, np.nan, np.float32)
        stored = self.group.read("logits")
        logits[stored["place"].to_numpy()] = stored["logit"].to_numpy()
        return logits

    def add(self, places: npt.NDArray[np.int64], logits: Logits) -> None:
        """Commit the logits of some places. Raises StorageError; then none of them count."""
        records = [LogitRecord(int(place), float(logit)) for place, logit in zip(places, logits, strict=True)]
        chunk = chunk_id([str(record.place) for record in records])
        self.group.commit(chunk, "a", {"logits": to_table("logits", records)}, [])

    @property
    def any(self) -> bool:
        """Whether something was scored."""
        return bool(self.group.commits())


@dataclass(frozen=True, slots=True)
class EvaluationFolder:
    """The folder of one evaluation, with an id that no other has; `resumed` where one was interrupted in it."""

    path: Path
    parts: Parts
    id: str
    resumed: bool

    @classmethod
    def open(
        cls, run: Path, name: str, depends: dict[str, Any], *, kind: str = EVALUATIONS, result: str = RESULT
    ) -> Self:
        """The unfinished folder whose scores depend on the same, or a new one, `<kind>/<name>-NNN` in the run's.

        `result` is the file that a finished one has. Raises StorageError.
        """
        digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()[:16]
        parent = run / kind
        for folder in sorted(parent.glob(f"{name}-*")):
            stored = _stored(folder)
            if not (folder / result).exists() and stored.get("digest") == digest:
                return cls(folder, _parts(folder), stored["id"], True)
        folder = new_folder(parent, name)
        parts = _parts(folder)
        parts.group.create()
        facts = bind_job(parts.group.root, digest, {"bound": depends, "id": uuid4().hex}, "")
        return cls(folder, parts, facts["id"], False)

    @contextmanager
    def work(self, say: Say) -> Iterator[None]:
        """Around the work, which no second process then does; it can be gone on with after an interruption.

        Raises LockedError.
        """
        with self.parts.group.lock():
            if self.resumed:
                self.parts.group.sweep()
                for folder in (self.path, *(place for place in self.path.iterdir() if place.is_dir())):
                    clear_temporaries(folder)
                say(f"goes on with what was scored before an interruption: {self.path}")
            try:
                yield
            except KeyboardInterrupt:
                raise
            except StorageError:
                # A full disk is an interruption: under its id the look that is logged is not counted again.
                if opening_of(self.path.parent.parent, self.id) is None:
                    self.forget()
                raise
            except BaseException:
                self.forget()
                raise
            self.finish()

    def finish(self) -> None:
        """Drop the parts, which the written scores replace."""
        shutil.rmtree(self.parts.group.root, ignore_errors=True)

    def forget(self) -> None:
        """Remove the folder of an evaluation that failed before it scored anything."""
        if not self.parts.any:
            shutil.rmtree(self.path, ignore_errors=True)


def _parts(folder: Path) -> Parts:
    return Parts(ShardGroup(folder / _PARTS, "logits"))


def _stored(folder: Path) -> dict[str, Any]:
    """What an unfinished evaluation noted; empty for a folder of another kind, or whose making was interrupted."""
    try:
        return read_job(folder / _PARTS)
    except StorageError:
        return {}


def new_folder(parent: Path, name: str) -> Path:
    """The first of `<name>-001`, `<name>-002`, … that there is not yet, made. Raises StorageError."""
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for number in range(1, 1 << 16):
            folder = parent / f"{name}-{number:03d}"
            if not folder.exists():
                folder.mkdir()
                return folder
    except OSError as error:
        raise StorageError(f"cannot write to {parent}: {error.strerror or error}") from error
    raise StorageError(f"{parent} has no number left for {name}")
