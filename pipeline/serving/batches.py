"""Batches of uploaded files: each a folder under a random name, described by one file that outlives the server."""

from __future__ import annotations

import re
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from ffpipe.manifests.durable import write_atomic, writing
from ffpipe.manifests.errors import FfpipeError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.sealed import read_sealed, sealed
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.serving.refusal import Refused

_FACTS = "batch.json"
_UPLOADS = "uploads"
#: What a batch, and a file in it, is called on the disk.
_ID = re.compile(r"[0-9a-f]{16}")
#: Seconds after which a batch that nobody sends files to any more is given up.
_ABANDONED_SECONDS = 3600.0


class State(StrEnum):
    """Where a batch is. Files are taken while it is open; it can be queued again once it failed or was stopped."""

    OPEN = "open"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def active(self) -> bool:
        """Whether it waits for the engine or has it."""
        return self in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was taken in; `name` is what its owner calls it, undecodable bytes kept by surrogateescape."""

    id: str
    name: str
    bytes: int


@dataclass(slots=True)
class Batch:
    """Files that are scored together.

    rows are the verdicts in words once it is done, one a file; run is the scoring run that holds its tables and crops;
    kept says whether the uploads are still there. stage, done and total tell how far it is and are not stored.
    """

    id: str
    created: str
    state: State = State.OPEN
    uploads: list[Upload] = field(default_factory=list)
    error: str | None = None
    summary: str | None = None
    rows: list[dict[str, Any]] = field(default_factory=list)
    run: str | None = None
    kept: bool = True
    stage: str = ""
    done: int = 0
    total: int = 0
    touched: float = field(default_factory=time.monotonic)

    def facts(self) -> dict[str, Any]:
        """What is stored of it."""
        passing = ("stage", "done", "total", "touched")
        return {name: value for name, value in asdict(self).items() if name not in passing}

    def shown(self) -> dict[str, Any]:
        """What the page is told of it; names are safe to print."""
        names = [{"name": display_path(u.name), "bytes": u.bytes} for u in self.uploads]
        return {
            **{name: value for name, value in self.facts().items() if name != "run"},
            "uploads": names,
            "stage": self.stage,
            "done": self.done,
            "total": self.total,
        }


class Store:
    """The folder of batches. Its methods may be called from any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.RLock()
        self._batches: dict[str, Batch] = {}

    def prepare(self) -> None:
        """Make the folder, which its owner alone can look into. Raises StorageError."""
        with writing(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def load(self, say: Say, keep: bool = False) -> None:
        """Find the batches of earlier servers; what was running waits again, what was never sent whole is deleted.

        So are the uploads of what is done, where a server was killed before it did so, unless `keep`.

        Raises StorageError where the disk refuses.
        """
        for folder in sorted(path for path in self.root.iterdir() if _ID.fullmatch(path.name)):
            try:
                batch = _from_facts(read_sealed(folder / _FACTS))
            except (FfpipeError, TypeError, ValueError, KeyError) as error:
                say(f"{folder}: left alone: {error}")
                continue
            self._batches[batch.id] = batch
            if batch.state is State.OPEN:
                self.remove(batch)
                say(f"a batch of {len(batch.uploads)} files was never sent whole; it was deleted")
            elif batch.state is State.RUNNING:
                batch.state = State.QUEUED
            elif batch.state is State.DONE and batch.kept and not keep:
                self.forget_uploads(batch)
                with self.changing(batch):
                    batch.kept = False

    def holds(self, batch: Batch) -> bool:
        """Whether a batch is still there; it may have been removed."""
        with self._lock:
            return self._batches.get(batch.id) is batch

    def all(self) -> list[Batch]:
        """Every batch, the newest first."""
        with self._lock:
            return sorted(self._batches.values(), key=lambda b: (b.created, b.id), reverse=True)

    def get(self, batch_id: str) -> Batch:
        """The batch of this name. Raises Refused."""
        with self._lock:
            if batch_id not in self._batches:
                raise Refused(404, "there is no such batch; it may have been removed")
            return self._batches[batch_id]

    def create(self) -> Batch:
        """A new batch without files. Raises StorageError."""
        self.give_up_abandoned()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        batch = Batch(new_id(), now)
        with writing(self.root):
            self.uploads(batch).mkdir(parents=True, mode=0o700)
        with self._lock:
            self._batches[batch.id] = batch
        self.save(batch)
        return batch

    def give_up_abandoned(self, after: float = _ABANDONED_SECONDS) -> None:
        """Delete batches that were never started and that nobody has sent a file to for so many seconds."""
        with self._lock:
            old = [b for b in self._batches.values() if b.state is State.OPEN]
            for batch in old:
                if time.monotonic() - batch.touched >= after:
                    self.remove(batch)

    @contextmanager
    def changing(self, batch: Batch) -> Iterator[None]:
        """Around a change of a batch: nobody else changes it, and afterwards it is on the disk. Raises StorageError."""
        with self._lock:
            yield
            self.save(batch)

    def save(self, batch: Batch) -> None:
        """Write what is known of a batch, where it was not removed. Raises StorageError."""
        with self._lock:
            if batch.id in self._batches:
                write_atomic(self.folder(batch) / _FACTS, sealed(batch.facts(), indent=1))

    def folder(self, batch: Batch) -> Path:
        """Where everything of a batch lies."""
        return self.root / batch.id

    def uploads(self, batch: Batch) -> Path:
        """Where its files lie, each under its id."""
        return self.folder(batch) / _UPLOADS

    def forget_uploads(self, batch: Batch) -> None:
        """Delete the files that were taken in."""
        shutil.rmtree(self.uploads(batch), ignore_errors=True)

    def remove(self, batch: Batch) -> None:
        """Delete everything of a batch. Raises StorageError."""
        with self._lock:
            with writing(self.folder(batch)), suppress(FileNotFoundError):
                shutil.rmtree(self.folder(batch))
            self._batches.pop(batch.id, None)

    def shown(self, batch: Batch) -> dict[str, Any]:
        """What the page is told of a batch, never in the middle of a change."""
        with self._lock:
            return batch.shown()

    def stored_bytes(self) -> int:
        """Bytes of all uploads on the disk; of those that are still coming in, none."""
        return sum(u.bytes for batch in self.all() if batch.kept for u in batch.uploads)


def new_id() -> str:
    """A name that nobody can guess and that no file system takes for another."""
    return secrets.token_hex(8)


def _from_facts(facts: dict[str, Any]) -> Batch:
    """Raises TypeError, ValueError or KeyError where they are not those of a batch."""
    uploads = [Upload(**upload) for upload in facts.pop("uploads")]
    batch = Batch(**{**facts, "state": State(facts["state"]), "uploads": uploads})
    if not all(_ID.fullmatch(name) for name in (batch.id, *(upload.id for upload in uploads))):
        raise ValueError("it names files that are not its own")
    return batch
