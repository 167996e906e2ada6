"""The extract job: a dataset's media into committed shards of media and faces."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffpipe.manifests import datasets
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Entry, MediaRecord, Status
from ffpipe.manifests.schemas import from_table, to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.split_files import (
    Place,
    SplitFile,
    is_split_file,
    normal,
    read_split_file,
    relative_to,
)
from ffpipe.manifests.splits import group_key, leaks, merge_content_groups, seeded_split
from ffpipe.pipeline import log, plan, provenance
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.counts_text import counts_lines
from ffpipe.pipeline.driver import ShardJob, drive, forget_failed, hash_entries
from ffpipe.pipeline.engine import Chunk, Worker
from ffpipe.pipeline.guides import Clips, Guides, guides_lines, stale_chunks, stored_media, with_clips
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.medium import MediumReader, MediumResult, choices_line, for_entry
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.workspace import JOB, Workspace, bind_job, finish_job, name_for
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.sampling import Sampling

#: How many leaks of an official split are spelt out.
SHOWN_LEAKS = 5

_WAYS_OUT = "extract under another name with --name, or start over with --overwrite"


@dataclass(frozen=True, slots=True)
class ExtractJob(ShardJob[MediumResult]):
    """What an engine needs to extract media into a dataset's shards."""

    root: Path
    dataset: str
    settings: ExtractConfig
    crop: CropSettings

    @property
    def key(self) -> str:
        """Names the warm worker: folder and every setting."""
        return f"extract {self.root} {self.settings.model_dump_json()}"

    @property
    def shards(self) -> ShardGroup:
        """The dataset's folder of shards."""
        return ShardGroup(self.root, "media", ["faces"])

    def build(self) -> Worker:
        """A worker with a warm detector and decoding child."""
        reader = MediumReader(self.settings, self.crop, Sampling.of_count())

        def work(chunk: Chunk, attempt: str) -> dict[str, Any]:
            guides = Guides(self.shards)
            results = [self._result(item, reader, guides) for item in chunk.items]
            return self.commit(chunk, attempt, results)

        return work

    def _result(self, item: MediumItem, reader: MediumReader, guides: Guides) -> MediumResult:
        if item.known is not None:
            # The content is in the dataset already: its faces are stored once, and only rows are added.
            return MediumResult(item.known)
        result = reader.read(item, guides.of(item))
        guides.add(item, result.media, result.faces)
        return result

    def account(self, item: MediumItem, result: MediumResult) -> dict[str, Any]:
        """Whose boxes the faces were to be cut with, and whether they were."""
        return {"guide": result.guide, "guided": result.guided}

    def failed(self, item: MediumItem, media: MediaRecord) -> MediumResult:
        """A medium without faces."""
        return MediumResult(media)

    def tables(self, chunk: Chunk, results: Sequence[MediumResult]) -> dict[str, pa.Table]:
        """Media rows of every path, and the faces."""
        pairs = zip(chunk.items, results, strict=True)
        media = [for_entry(r.media, entry, self.dataset) for item, r in pairs for entry in item.entries]
        faces = [face for result in results for face in result.faces]
        return {"media": to_table("media", media), "faces": to_table("faces", faces)}


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
    dataset = load_dataset(source, config, workspace, say)
    job = job_for(source, dataset, config, workspace)
    config, shards = job.settings, job.shards
    if config.overwrite:
        _remove(shards)
    shards.create()
    with shards.lock():
        bind(job, source, dataset)
        forget_failed(shards, config, say)
        items = _items(dataset, shards, workspace, config, say)
        say(choices_line(config, Sampling.of_count(), job.crop.kind))
        drive(job, items, config, say, advance)
        for line in guides_lines(items, shards.commits()):
            say(line)
        origin = finish_job(shards)
    log.note(workspace, "extract", origin, [job.root / JOB], shards, dataset=job.dataset)
    return _result(job.dataset, shards, {entry.path for item in items for entry in item.entries})


def job_for(
    source: Path, dataset: datasets.Dataset, config: ExtractConfig, workspace: Workspace
) -> ExtractJob:
    """The job of a dataset, with what its layout says of the media; nothing is written."""
    name = config.name or name_for(source.resolve().name)
    if config.kind is None and (dataset.whole or dataset.cropped):
        config = config.model_copy(update={"whole" if dataset.whole else "cropped": True})
    crop = CropSettings(store_size=config.store_size, kind=config.kind or "face")
    return ExtractJob(workspace.dataset(name).root, name, config, crop)


def load_dataset(source: Path, config: ExtractConfig, workspace: Workspace, say: Say) -> datasets.Dataset:
    """What the source's layout says is there, told to the user with what is missing or too much.

    Raises UsageError: as `datasets.load`, or a glob of `only` matches nothing.
    """
    if not source.exists():
        raise UsageError(f"{display_path(source)}: no such file or folder")
    root = Path(os.path.abspath(source))  # noqa: PTH100 - symlinks stay as the user named them
    given = read_split_file(config.splits) if config.splits and is_split_file(config.splits) else None
    official = None if given else config.splits
    dataset = datasets.load(
        root, config.dataset, splits_dir=official, seed=config.seed, exclude=[workspace.root]
    )
    if given:
        _divide_as_given(dataset, root, given)
    say(f"{display_path(source)}: layout {dataset.name}, {dataset.reason}")
    if config.only:
        _keep_only(dataset, root, config.only, say)
    for line in [*counts_lines(dataset.expected), *dataset.notes]:
        say(line)
    if dataset.companions:
        say(f"{dataset.companions.total()} companion files were passed over")
    return dataset


def _divide_as_given(dataset: datasets.Dataset, root: Path, given: SplitFile) -> None:
    """Take split and, where it has any, group from a split file; what the layout says of its own split is moot.

    Raises UsageError where the file lists what is not there.
    """
    folder = str(root if root.is_dir() else root.parent)
    shown = [display_path(entry.path) for entry in dataset.entries]
    rows = given.match([Place(path, relative_to(path, display_path(folder))) for path in shown])
    dataset.entries = [
        replace(entry, split=row.split, group=row.group or entry.group) if row else replace(entry, split=None)
        for entry, row in zip(dataset.entries, rows, strict=True)
    ]
    dataset.split_source = str(given)
    dataset.notes = [note for note in dataset.notes if note not in dataset.split_notes]
    unplaced = sum(entry.split is None for entry in dataset.entries)
    if unplaced:
        dataset.notes.append(f"{unplaced} media are in no split of {display_path(given.path)}")


def _keep_only(dataset: datasets.Dataset, root: Path, globs: Sequence[str], say: Say) -> None:
    """Drop what no glob matches, neither its path below the root nor a folder that it lies in.

    Raises UsageError for a glob that matches no file.
    """
    matched = {glob: re.compile(fnmatch.translate(glob.rstrip("/"))) for glob in globs}
    used: set[str] = set()

    def wanted(path: str) -> bool:
        # A list of frames or a manifest may name what lies elsewhere.
        place = Path(path).relative_to(root) if Path(path).is_relative_to(root) else Path(path)
        names = [str(place), *map(str, place.parents)]
        hits = {glob for glob, pattern in matched.items() if any(map(pattern.match, names))}
        used.update(hits)
        return bool(hits)

    files = len(dataset.entries)
    dataset.entries = [entry for entry in dataset.entries if wanted(entry.path)]
    dataset.skipped = [skipped for skipped in dataset.skipped if wanted(skipped.path)]
    if idle := [glob for glob in globs if glob not in used]:
        raise UsageError(f"--only {idle[0]!r} matches no file or folder below {display_path(root)}")
    say(f"--only: {len(dataset.entries)} of {files} files are taken")


def bind(job: ExtractJob, source: Path, dataset: datasets.Dataset) -> None:
    """Tie the dataset's folder to the job's settings, or check that they are those which it is tied to.

    Raises ConfigMismatch where they differ.
    """
    place = {"source": str(source.resolve()), "layout": dataset.name, "split": dataset.split_source}
    configuration = {**job.settings.resolved(), **place}
    facts = {
        "dataset": job.dataset,
        "layout": dataset.name,
        "split_source": dataset.split_source,
        # The configuration's source has its links resolved; stored paths begin with this.
        "root": normal(os.path.abspath(source)),  # noqa: PTH100
        "crop": job.crop.fingerprint(),
        "bound": {**job.settings.bound(), **place},
        "configuration": configuration,
        "provenance": provenance.collect(job.settings, configuration, seed=job.settings.seed),
    }
    bind_job(
        job.root,
        # The kind of split is part of it: official files that turn up later must not be mixed with a seeded split.
        f"{job.settings.digest()} {configuration['source']} {dataset.split_source}",
        facts,
        _WAYS_OUT,
    )


def _remove(shards: ShardGroup) -> None:
    if not shards.root.exists():
        return
    with shards.lock():
        # The binding goes first: a half-removed folder then looks new and is swept.
        (shards.root / JOB).unlink(missing_ok=True)
        for table in shards.tables:
            shutil.rmtree(shards.root / table, ignore_errors=True)
        (shards.root / "plan.json").unlink(missing_ok=True)


def _items(
    dataset: datasets.Dataset, shards: ShardGroup, workspace: Workspace, config: ExtractConfig, say: Say
) -> list[MediumItem]:
    """One item per content of the dataset, with splits and with what is stored already."""
    entries = dataset.entries[: config.limit]
    hashes = hash_entries(entries, workspace, config.rehash, say, config.max_bytes)
    stored = from_table(shards.read("media"), MediaRecord)
    settled = _settle_splits(entries, hashes, stored, dataset.split_source, config.seed, say)
    say(f"found {replace(dataset, entries=settled).summary()}; split {dataset.split_source}")
    refused = [Hashed(s.path, status=Status.SKIPPED, reason=s.reason) for s in dataset.skipped]
    items = plan.items_from([*settled, *(Entry(s.path) for s in dataset.skipped)], [*hashes, *refused])
    _refuse_changed(items, stored)
    if config.kind is None:
        items = _with_clips(items, stored, shards, say)
    made = plan.made(shards)
    known = {m.media_id: m for m in stored if m.sha256 and not m.status.failed and m.media_id in made}
    return [replace(item, known=known.get(item.media_id)) for item in items]


def _with_clips(
    items: Sequence[MediumItem], stored: Sequence[MediaRecord], shards: ShardGroup, say: Say
) -> list[MediumItem]:
    """The items in an order in which each clip's best copy comes first; what was cut without it is taken back."""
    clips, commits = Clips.of(items, stored), shards.commits()
    stale = stale_chunks(items, clips, commits)
    for chunk in stale:
        shards.revoke(chunk)
    done = stored_media(c for c in commits if c.chunk not in stale)
    if stale:
        again = len(stored_media(commits)) - len(done)
        say(
            f"{again} media are read again: they, or others stored with them, were cut without the boxes of the best "
            "quality that is there now"
        )
    return with_clips(items, clips, done)


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
        own = {m.path_bytes: m.split for m in stored if m.split is not None}
        # By today's groups, since a new copy may have given a stored group another name.
        old = {group_key(e): own[os.fsencode(e.path)] for e in merged if os.fsencode(e.path) in own}
        drawn = seeded_split(merged, seed)
        merged = [
            replace(e, split=own.get(os.fsencode(e.path)) or old.get(group_key(e)) or e.split) for e in drawn
        ]
    found = leaks(merged, by_path)
    if found and split_source.startswith("seeded"):
        raise UsageError(
            f"inputs that were added tie together groups of two splits ({found[0]}); {_WAYS_OUT}"
        )
    for leak in found[:SHOWN_LEAKS]:
        say(f"the split leaks: {leak}")
    _refuse_moved(merged, stored)
    return merged


def _refuse_moved(entries: Sequence[Entry], stored: Sequence[MediaRecord]) -> None:
    """Raises UsageError where the tree now says another label or split of what is stored."""
    now = {os.fsencode(e.path): (e.label, e.split) for e in entries}
    moved = [
        m.path for m in stored if m.sha256 and now.get(m.path_bytes, (m.label, m.split)) != (m.label, m.split)
    ]
    if moved:
        raise UsageError(
            f"label or split of {len(moved)} stored inputs changed, the first {moved[0]}; {_WAYS_OUT}"
        )


def _refuse_changed(items: Sequence[MediumItem], stored: Sequence[MediaRecord]) -> None:
    """Raises UsageError where a path holds another content than what is stored of it."""
    planned = {os.fsencode(e.path): item.media_id for item in items if item.sha256 for e in item.entries}
    # What changed while it was read was never stored: it is simply read again.
    settled = [m for m in stored if m.sha256 and m.status is not Status.CHANGED]
    changed = [m.path for m in settled if planned.get(m.path_bytes, m.media_id) != m.media_id]
    if changed:
        raise UsageError(
            f"{len(changed)} inputs changed since they were extracted, the first {changed[0]}; {_WAYS_OUT}"
        )


def _result(name: str, shards: ShardGroup, paths: set[str]) -> ExtractResult:
    wanted = {os.fsencode(path) for path in paths}
    media = [m for m in from_table(shards.read("media"), MediaRecord) if m.path_bytes in wanted]
    failures = [(m.path, m.status.value, m.reason or "") for m in media if m.status.failed]
    faces = sum(commit.companions["faces"].rows for commit in shards.commits())
    statuses = Counter(m.status.value for m in media)
    return ExtractResult(name, shards.root, statuses, faces, failures)
