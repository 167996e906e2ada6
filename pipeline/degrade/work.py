"""One clip's copies, made by a worker: encoded in a confined child, hashed, recorded, and put in their places."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import MediaError, StorageError
from ffpipe.manifests.qualities import quality_of
from ffpipe.manifests.records import Status
from ffpipe.manifests.shards import chunk_id
from ffpipe.pipeline import provenance
from ffpipe.pipeline.degrade.plan import Clip
from ffpipe.pipeline.degrade.store import Store
from ffpipe.pipeline.engine import Chunk, Worker
from ffpipe.pipeline.watched import Watch
from ffpipe.stages.decode import Limits
from ffpipe.stages.transcode import CODEC, PRESET, transcode_confined

_CRASHED = "the worker ended while it made copies of this file, also when it was tried again alone"


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a clip: its source's path, a status, and how many copies were made."""

    path: str
    status: str
    reason: str = ""
    made: int = 0


@dataclass(frozen=True, slots=True)
class Item:
    """A clip whose source was hashed."""

    clip: Clip
    sha256: str
    bytes: int


def chunk_of(clip: Clip, sha256: str, size: int) -> Chunk:
    """A chunk of one clip: what a killed worker has to do again."""
    return _chunk(Item(clip, sha256, size))


def _chunk(item: Item) -> Chunk:
    names = [item.sha256, *(str(copy.target) for copy in item.clip.copies)]
    return Chunk(chunk_id(names), (item,), float(item.bytes * len(item.clip.copies)))


@dataclass(frozen=True, slots=True)
class DegradeJob:
    """What an engine needs to make copies; see `engine.Job` for the methods."""

    store: Store
    limits: Limits

    @property
    def key(self) -> str:
        """Names the warm worker."""
        return f"degrade {self.store.out} {self.limits}"

    def build(self) -> Worker:
        """A worker; the child that encodes is started anew for each clip."""
        versions = provenance.ffmpeg_versions()

        def work(chunk: Chunk, attempt: str) -> dict[str, Any]:
            item: Item = chunk.items[0]
            try:
                made = self._make(item, attempt, versions)
            except MediaError as error:
                return asdict(Row(item.clip.entry.path, Status(error.status), error.reason))
            return asdict(Row(item.clip.entry.path, Status.OK, made=made))

        return work

    def single(self, item: Item) -> Chunk:
        """A chunk of one item."""
        return _chunk(item)

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        """The row of a clip whose copies are all there."""
        item: Item = chunk.items[0]
        there = self.store.records()
        if any(copy.target not in there for copy in item.clip.copies):
            return None
        return asdict(Row(item.clip.entry.path, Status.OK, made=len(item.clip.copies)))

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        """The row of a clip that kills its worker."""
        return asdict(Row(chunk.items[0].clip.entry.path, Status.CRASHED, _CRASHED))

    def _make(self, item: Item, attempt: str, versions: dict[str, str]) -> int:
        """Make the copies of a clip. Raises MediaError and StorageError."""
        copies = item.clip.copies
        places = [self.store.temporary(copy.target, attempt) for copy in copies]
        with _files(places) as descriptors:
            outputs = {copy.crf: opened for copy, opened in zip(copies, descriptors, strict=True)}
            watch = Watch(item.clip.entry.path, item.sha256)
            try:
                facts = transcode_confined(item.clip.entry.path, outputs, self.limits)
            except StorageError as error:
                raise StorageError(f"cannot write to {places[0].parent}: {error.message}") from error
            if fault := watch.fault():
                raise fault
            for copy, place, descriptor in zip(copies, places, descriptors, strict=True):
                os.fsync(descriptor)
                record = {
                    "crf": copy.crf,
                    "quality": quality_of(copy.crf),
                    "sha256": sha256_file(place),
                    "bytes": place.stat().st_size,
                    "source": item.clip.entry.path,
                    "source_sha256": item.sha256,
                    "source_bytes": item.bytes,
                    "source_quality": item.clip.entry.quality,
                    "encoder": {"codec": CODEC, "preset": PRESET, "ffmpeg": versions},
                    **asdict(facts),
                }
                self.store.finish(place, copy.target, record)
        return len(copies)


@contextmanager
def _files(places: Sequence[Path]) -> Iterator[list[int]]:
    """New empty files, opened for writing; what is left of them at the end is removed."""
    with ExitStack() as stack:
        descriptors = []
        try:
            for place in places:
                place.parent.mkdir(parents=True, exist_ok=True)
                opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
                stack.callback(place.unlink, missing_ok=True)
                stack.callback(os.close, opened)
                descriptors.append(opened)
            yield descriptors
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise MediaError(Status.UNSUPPORTED, "its name is too long for a copy's") from error
            folder = places[0].parent
            raise StorageError(f"cannot write to {folder}: {error.strerror or error}") from error
