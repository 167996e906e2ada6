"""The extract job: a dataset's media into committed shards of media and faces."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ffpipe.manifests import datasets
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Entry, FaceRecord, MediaRecord, Status
from ffpipe.manifests.schemas import from_table, to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.splits import group_key, leaks, merge_content_groups, seeded_split
from ffpipe.pipeline import plan, provenance
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.engine import Chunk, Worker, create_engine
from ffpipe.pipeline.hashing import HashCache, Hashed, hash_inputs
from ffpipe.pipeline.medium import (
    MediumReader,
    MediumResult,
    blank,
    for_entry,
)
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.workspace import Workspace, bind_job, name_for
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.sampling import Sampling

#: How many leaks of an official split are spelt out.
SHOWN_LEAKS = 5

_CRASHED = "the worker ended while it processed this file, also when it was tried again alone"


@dataclass(frozen=True, slots=True)
class ExtractJob:
    """What an engine needs to extract media into a dataset's shards."""

    root: Path
    dataset: str
    settings: ExtractConfig
    crop: CropSettings

    @property
    def key(self) -> str:
        """Names the warm worker: folder and configuration."""
        return f"extract {self.root} {self.settings.digest()}"

    @property
    def shards(self) -> ShardGroup:
        """The dataset's folder of shards."""
        return ShardGroup(self.root, "media", ["faces"])

    def build(self) -> Worker:
        """A worker with a warm detector and decoding child."""
        reader = MediumReader(self.settings, self.crop, Sampling.of_count())

        def work(chunk: Chunk, attempt: str) -> dict[str, Any]:
            results = [self._result(item, reader) for item in chunk.items]
            return self._commit(chunk, attempt, results)

        return work

    def _result(self, item: MediumItem, reader: MediumReader) -> MediumResult:
        if item.known is not None:
            # The content is in the dataset already: its faces are stored once, and only rows are added.
            return MediumResult(item.known)
        return reader.read(item)

    def single(self, item: MediumItem) -> Chunk:
        """A chunk of one item."""
        return plan.single(item)

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        """Summary of a chunk that is committed already."""
        found = [c for c in self.shards.commits() if c.chunk == chunk.id] if self.shards.has(chunk.id) else []
        return _summary(found[0].inputs) if found else None

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        """Record a chunk's one item as crashed."""
        return self._commit(chunk, attempt, [MediumResult(blank(chunk.items[0], Status.CRASHED, _CRASHED))])

    def _commit(self, chunk: Chunk, attempt: str, results: Sequence[MediumResult]) -> dict[str, Any]:
        media: list[MediaRecord] = []
        faces: list[FaceRecord] = []
        inputs: list[dict[str, Any]] = []
        for item, result in zip(chunk.items, results, strict=True):
            media += [for_entry(result.media, entry, self.dataset) for entry in item.entries]
            faces += result.faces
            inputs += [_account(item, entry, result) for entry in item.entries]
        tables = {"media": to_table("media", media), "faces": to_table("faces", faces)}
        self.shards.commit(chunk.id, attempt, tables, inputs)
        return _summary(inputs)


def _account(item: MediumItem, entry: Entry, result: MediumResult) -> dict[str, Any]:
    return {
        "media_id": item.media_id,
        "path": entry.path,
        "status": result.media.status.value,
        "faces": len(result.faces),
        "seconds": round(result.seconds, 3),
    }


def _summary(inputs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"inputs": len(inputs), "faces": sum(i["faces"] for i in inputs)}


@dataclass(frozen=True, slots=True)
class ExtractResult:
    """What extract did: where the dataset is, how inputs ended, and the exit code."""

    name: str
    root: Path
    statuses: Counter[str] = field(default_factory=Counter)
    faces: int = 0
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, status and reason of each failed input."""

    @property
    def exit_code(self) -> int:
        """0 where no input failed, 3 where some did, 4 where all did."""
        return plan.exit_code(self.statuses)


def extract(
    source: Path, config: ExtractConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> ExtractResult:
    """Extract the faces of every medium that a dataset's layout names; resumes what was begun.

    Raises UsageError (unknown layout, nothing found, another configuration, another run at work) and
    StorageError (disk full, read-only); what is committed by then stays.
    """
    dataset = _load(source, config, workspace, say)
    name = config.name or name_for(source.resolve().name)
    shards = workspace.dataset(name)
    if config.overwrite:
        _remove(shards)
    shards.create()
    job = ExtractJob(shards.root, name, config, CropSettings(store_size=config.store_size))
    with shards.lock():
        _bind(job, source, dataset)
        items = _items(dataset, shards, workspace, config, say)
        total = sum(len(item.entries) for item in items)
        with create_engine(config.engine, config.address, config.workers, total) as engine:
            chunks = plan.plan(shards, items, engine.slots)
            left = sum(len(item.entries) for chunk in chunks for item in chunk.items)
            say(_plan_line(total, left, engine.name, engine.slots))
            done = total - left
            faces = 0
            for outcome in engine.run(job, chunks):
                done += outcome.summary["inputs"]
                faces += outcome.summary["faces"]
                if advance:
                    advance(done, total, f"{faces} faces")
        shards.sweep()
    return _result(name, shards, {entry.path for item in items for entry in item.entries})


def _load(source: Path, config: ExtractConfig, workspace: Workspace, say: Say) -> datasets.Dataset:
    if not source.exists():
        raise UsageError(f"{display_path(source)}: no such file or folder")
    root = Path(os.path.abspath(source))  # noqa: PTH100 - symlinks stay as the user named them
    dataset = datasets.load(
        root, config.dataset, splits_dir=config.splits, seed=config.seed, exclude=[workspace.root]
    )
    say(f"{display_path(source)}: layout {dataset.name}, {dataset.reason}")
    say(f"found {dataset.summary()}; split {dataset.split_source}")
    for line in [*map(str, dataset.expected), *dataset.notes]:
        say(line)
    if dataset.companions:
        say(f"{dataset.companions.total()} companion files were passed over")
    return dataset


def _bind(job: ExtractJob, source: Path, dataset: datasets.Dataset) -> None:
    configuration = {**job.settings.resolved(), "source": str(source.resolve()), "layout": dataset.name}
    facts = {
        "dataset": job.dataset,
        "layout": dataset.name,
        "split_source": dataset.split_source,
        "crop": job.crop.fingerprint(),
        "configuration": configuration,
        "provenance": provenance.collect(configuration),
    }
    bind_job(
        job.root,
        f"{job.settings.digest()} {configuration['source']}",
        facts,
        "choose another name with --name, or start over with --overwrite",
    )


def _remove(shards: ShardGroup) -> None:
    if not shards.root.exists():
        return
    with shards.lock():
        # The binding goes first: a half-removed folder then looks new and is swept.
        (shards.root / "job.json").unlink(missing_ok=True)
        for table in shards.tables:
            shutil.rmtree(shards.root / table, ignore_errors=True)
        (shards.root / "plan.json").unlink(missing_ok=True)


def _items(
    dataset: datasets.Dataset, shards: ShardGroup, workspace: Workspace, config: ExtractConfig, say: Say
) -> list[MediumItem]:
    """One item per content of the dataset, with splits and with what is stored already."""
    entries = dataset.entries[: config.limit]
    cache = HashCache(workspace.root / "hashes.sqlite")
    say(f"hashing {len(entries)} inputs")
    hashes = list(hash_inputs([e.path for e in entries], cache, config.rehash))
    stored = from_table(shards.read("media"), MediaRecord)
    settled = _settle_splits(entries, hashes, stored, dataset.split_source, config.seed, say)
    refused = [Hashed(s.path, status=Status.SKIPPED, reason=s.reason) for s in dataset.skipped]
    items = plan.items_from([*settled, *(Entry(s.path) for s in dataset.skipped)], [*hashes, *refused])
    known = {m.media_id: m for m in stored if m.sha256}
    _refuse_changed(items, known)
    return [replace(item, known=known.get(item.media_id)) for item in items]


def _settle_splits(
    entries: Sequence[Entry],
    hashes: Sequence[Hashed],
    stored: Sequence[MediaRecord],
    split_source: str,
    seed: int,
    say: Say,
) -> list[Entry]:
    """Join groups of identical content, and keep the seeded split of groups that are stored already.

    A seeded split depends on all that is there; what was stored before inputs were added must not move.
    Raises UsageError where added inputs tie together what stands in two splits.
    """
    by_path = {h.path: h.sha256 for h in hashes if h.sha256}
    merged = merge_content_groups(entries, by_path)
    if split_source.startswith("seeded"):
        old = {m.group: m.split for m in stored if m.group is not None and m.split is not None}
        drawn = seeded_split(merged, seed)
        merged = [replace(e, split=old.get(group_key(e), e.split)) for e in drawn]
    found = leaks(merged, by_path)
    if found and split_source.startswith("seeded"):
        raise UsageError(
            f"inputs that were added tie together groups of two splits ({found[0]}); "
            "start over with --overwrite, or extract under another name with --name"
        )
    for leak in found[:SHOWN_LEAKS]:
        say(f"the split leaks: {leak}")
    return merged


def _refuse_changed(items: Sequence[MediumItem], known: dict[str, MediaRecord]) -> None:
    planned = {os.fsencode(e.path): item.media_id for item in items if item.sha256 for e in item.entries}
    changed = [m.path for m in known.values() if planned.get(m.path_bytes, m.media_id) != m.media_id]
    if changed:
        raise UsageError(
            f"{len(changed)} inputs changed since they were extracted, the first {changed[0]}; "
            "extract under another name with --name, or start over with --overwrite"
        )


def _plan_line(total: int, left: int, engine: str, slots: int) -> str:
    resumed = f", {total - left} done before" if left < total else ""
    workers = f"{slots} worker{'s' if slots > 1 else ''}"
    return f"{total} inputs{resumed}; {left} to do with the {engine} engine, {workers}"


def _result(name: str, shards: ShardGroup, paths: set[str]) -> ExtractResult:
    wanted = {os.fsencode(path) for path in paths}
    media = [m for m in from_table(shards.read("media"), MediaRecord) if m.path_bytes in wanted]
    failures = [(m.path, m.status.value, m.reason or "") for m in media if m.status.failed]
    faces = sum(commit.companions["faces"].rows for commit in shards.commits())
    return ExtractResult(name, shards.root, Counter(m.status.value for m in media), faces, failures)
