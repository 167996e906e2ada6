"""What the jobs over media share: hash inputs, drive a plan through an engine, commit a chunk's results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import pyarrow as pa

from ffpipe.manifests.records import FAILED_STATUSES, Entry, MediaRecord, Status
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan
from ffpipe.pipeline.config import EngineName
from ffpipe.pipeline.engine import Chunk, Engine, Outcome, Worker, attempt_name, create_engine
from ffpipe.pipeline.hashing import HashCache, Hashed, hash_inputs
from ffpipe.pipeline.medium import blank
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.workspace import Workspace

_CRASHED = (
    "the worker ended while it processed this file (a crash, or more than --worker-memory), also when it was tried "
    "again alone"
)


class Result(Protocol):
    """What became of a medium."""

    @property
    def media(self) -> MediaRecord:
        """Its facts and status."""
        ...

    @property
    def seconds(self) -> float:
        """How long it took."""
        ...

    @property
    def n_faces(self) -> int:
        """Faces found in it by this chunk."""
        ...


ResultType = TypeVar("ResultType", bound=Result)


class ShardJob(ABC, Generic[ResultType]):
    """A job whose chunks are committed to a group of shards; see `engine.Job` for the methods."""

    @property
    @abstractmethod
    def key(self) -> str:
        """Names the warm worker."""

    @abstractmethod
    def build(self) -> Worker:
        """Make the worker."""

    @property
    @abstractmethod
    def shards(self) -> ShardGroup:
        """Where the chunks are committed."""

    @abstractmethod
    def tables(self, chunk: Chunk, results: Sequence[ResultType]) -> dict[str, pa.Table]:
        """The rows of each table of the group, from one result an item."""

    @abstractmethod
    def failed(self, item: MediumItem, media: MediaRecord) -> ResultType:
        """The result of an item of which nothing but the media record is known."""

    def account(self, item: MediumItem, result: ResultType) -> dict[str, Any]:
        """What the commit says of a result beside its status and faces."""
        return {}

    def single(self, item: MediumItem) -> Chunk:
        """A chunk of one item."""
        return plan.single(item)

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        """Summary of a chunk that is committed already."""
        found = [c for c in self.shards.commits() if c.chunk == chunk.id] if self.shards.has(chunk.id) else []
        return _summary(found[0].inputs) if found else None

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        """Record a chunk's one item as crashed."""
        item = chunk.items[0]
        return self.commit(chunk, attempt, [self.failed(item, blank(item, Status.CRASHED, _CRASHED))])

    def commit(self, chunk: Chunk, attempt: str, results: Sequence[ResultType]) -> dict[str, Any]:
        """Commit one result an item and return the chunk's summary."""
        pairs = zip(chunk.items, results, strict=True)
        inputs = [
            {**_account(item, entry, result), **self.account(item, result)}
            for item, result in pairs
            for entry in item.entries
        ]
        self.shards.commit(chunk.id, attempt, self.tables(chunk, results), inputs)
        return _summary(inputs)


def _account(item: MediumItem, entry: Entry, result: Result) -> dict[str, Any]:
    return {
        "media_id": item.media_id,
        "path": entry.path,
        "status": result.media.status.value,
        "faces": result.n_faces,
        "seconds": round(result.seconds, 3),
        "copy": item.known is not None,
    }


def _summary(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"inputs": len(inputs), "faces": sum(i["faces"] for i in inputs)}


class EngineSettings(Protocol):
    """The settings that say how a job runs."""

    @property
    def engine(self) -> EngineName:
        """Kind of engine."""
        ...

    @property
    def address(self) -> str:
        """Ray's address."""
        ...

    @property
    def workers(self) -> int | None:
        """Worker processes."""
        ...

    @property
    def worker_memory(self) -> float | None:
        """Memory of a worker process, in GiB."""
        ...

    @property
    def retry_failed(self) -> bool:
        """Whether inputs that failed before are tried again."""
        ...


def hash_entries(
    entries: Sequence[Entry], workspace: Workspace, rehash: bool, say: Say, max_bytes: int | None = None
) -> list[Hashed]:
    """The hash of each entry's file, in order, through the workspace's cache; none of what is larger than max_bytes."""
    say(f"hashing {_inputs(len(entries))}")
    cache = HashCache(workspace.root / "hashes.sqlite")
    pictures = {e.path: e.pictures for e in entries if e.pictures is not None}
    return list(hash_inputs([e.path for e in entries], cache, rehash, pictures=pictures, max_bytes=max_bytes))


def forget_failed(shards: ShardGroup, settings: EngineSettings, say: Say) -> None:
    """Take back what holds failed inputs, before anything stored is relied upon; the caller holds the lock.

    Those that changed or went while they were processed always: another run finds them at rest, and each input has
    one row. All others where the settings ask for it.
    """
    if moved := plan.revoke_failed(shards, (Status.CHANGED, Status.MISSING)):
        say(f"{_inputs(moved)} that changed while an earlier run processed them will be read again")
    if settings.retry_failed:
        say(f"{_inputs(plan.revoke_failed(shards, FAILED_STATUSES))} that failed before will be tried again")


def work(job: ShardJob[Any], items: Sequence[MediumItem], engine: Engine) -> Iterator[Chunk]:
    """Do items with an engine that stays warm; yields each chunk once it is committed.

    For a driver that holds the lock all the time and knows what is done: no plan is stored, and nothing is swept.
    Raises StorageError.
    """
    chunks = plan.chunks_for(items, engine.slots)
    rest = _without_content(job, [chunk for chunk in chunks if not job.shards.has(chunk.id)])
    ahead = {chunk.id for chunk in rest}
    yield from (chunk for chunk in chunks if chunk.id not in ahead)
    for outcome in engine.run(job, rest):
        yield outcome.chunk


def drive(
    job: ShardJob[Any],
    items: Sequence[MediumItem],
    settings: EngineSettings,
    say: Say,
    advance: Advance | None = None,
) -> None:
    """Do what is left of a job's items, committing chunk by chunk; the caller holds the lock of the shards.

    An engine is started only where there is content to work on. Raises StorageError (disk full, read-only); what is
    committed by then stays.
    """
    shards = job.shards
    total = sum(len(item.entries) for item in items)
    readable = [item for item in items if item.status is None]
    if plan.remaining(readable, plan.finished(shards)):
        with create_engine(
            settings.engine, settings.address, settings.workers, total, settings.worker_memory, say
        ) as engine:
            chunks = _without_content(job, plan.plan(shards, items, engine.slots))
            left = sum(len(item.entries) for chunk in chunks for item in chunk.items)
            done = sum(len(item.entries) for item in readable) - left
            say(_plan_line(total, done, left, engine.name, engine.slots))
            _follow(engine.run(job, chunks), total - left, total, advance)
    else:
        _without_content(job, plan.plan(shards, items, slots=1))
        say(f"{_inputs(total)}, {sum(len(item.entries) for item in readable)} done before; 0 to do")
    shards.sweep()


def _without_content(job: ShardJob[Any], chunks: Sequence[Chunk]) -> list[Chunk]:
    """Commit the chunks of inputs that cannot be read (missing, skipped); returns the others."""
    rest = []
    for chunk in chunks:
        if any(item.status is None for item in chunk.items):
            rest.append(chunk)
            continue
        results = [job.failed(item, blank(item, item.status, item.reason)) for item in chunk.items]
        job.commit(chunk, attempt_name(), results)
    return rest


def _follow(outcomes: Iterable[Outcome], done: int, total: int, advance: Advance | None) -> None:
    faces = 0
    if advance:
        advance(done, total, "")
    for outcome in outcomes:
        done += outcome.summary["inputs"]
        faces += outcome.summary["faces"]
        if advance:
            advance(done, total, f"{faces} faces")


def _plan_line(total: int, done: int, left: int, engine: str, slots: int) -> str:
    resumed = f", {done} done before" if done else ""
    workers = f"{slots} worker{'s' if slots > 1 else ''}"
    return f"{_inputs(total)}{resumed}; {left} to do with the {engine} engine, {workers}"


def _inputs(count: int) -> str:
    return f"{count} input{'' if count == 1 else 's'}"
