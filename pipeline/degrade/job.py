"""The degrade job: copies of a dataset's clips at other rate factors, made once, from the best quality there is."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.ffpp_splits import OFFICIAL_FILES, find_official
from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status
from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline import plan as plans
from ffpipe.pipeline.config import DegradeConfig
from ffpipe.pipeline.degrade.plan import OFFICIAL, Plan, Tree, plan, sources
from ffpipe.pipeline.degrade.store import MANIFEST, SIDECAR, Store, write_manifest, write_sidecar
from ffpipe.pipeline.degrade.work import DegradeJob, Row, chunk_of
from ffpipe.pipeline.driver import hash_entries
from ffpipe.pipeline.engine import create_engine
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.workspace import Workspace, bind_job
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.gate import open_source
from ffpipe.stages.transcode import CODEC, PRESET

#: How every copy is encoded, beside its rate factor.
ENCODER = {
    "codec": CODEC,
    "preset": PRESET,
    "chroma": "as the source's; 4:4:4 for RGB and odd sizes; 8 bits",
    "times": "the source's presentation times",
    "audio": "dropped",
    "threads": 1,
}
_WAYS_OUT = "give another --out"


@dataclass(frozen=True, slots=True)
class DegradeResult:
    """What degrade did: where, how many copies, how the clips ended, and the exit code."""

    out: Path
    made: int = 0
    present: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, str, str]] = field(default_factory=list)
    """Path, status and reason of each clip that got no copies."""

    @property
    def exit_code(self) -> int:
        """0 where no clip failed, 3 where some did, 4 where all did; clips that had their copies count as sound."""
        return plans.exit_code(self.statuses)

    def to_json(self) -> str:
        """The result as JSON."""
        failures = [{"path": display_path(p), "status": s, "reason": r} for p, s, r in self.failures]
        facts = {"out": display_path(self.out), "made": self.made, "present": self.present}
        return json.dumps({**facts, "statuses": self.statuses, "failures": failures}, indent=1)


def degrade(
    source: Path,
    out: Path,
    config: DegradeConfig,
    workspace: Workspace,
    say: Say,
    advance: Advance | None = None,
) -> DegradeResult:
    """Make the copies that a dataset's clips lack, in `out`; what is there already is left alone.

    Raises UsageError (unknown layout, no video, `out` holding something else, another run at work) and StorageError
    (disk full, read-only); the copies that are finished by then stay.
    """
    dataset, tree = _load(source, out, config, workspace, say)
    store = Store(tree.out)
    _refuse_strange(store, tree)
    todo = plan(dataset, tree, config.crf, store.records())
    for line in todo.notes:
        say(line)
    settled = len(sources(dataset.entries)) - len(todo.clips)
    todo.clips = todo.clips[: config.limit]
    say(f"{todo.present} copies are there; {todo.copies} to make of {len(todo.clips)} clips, without sound")
    if config.dry_run:
        return _rehearse(todo, tree, config, say)
    store.create()
    with store.lock():
        facts = _bind(store, tree, config)
        store.sweep(copy.target.parent for clip in todo.clips for copy in clip.copies)
        videos = [entry for found in sources(dataset.entries).values() for entry in found]
        hashed = {h.path: h for h in hash_entries(videos, workspace, config.rehash, say, config.max_bytes)}
        digests = {path: found.sha256 for path, found in hashed.items()}
        _carry_over(store, tree, dataset, digests, say)
        rows = [Row(s.path, Status.SKIPPED, s.reason) for s in dataset.skipped]
        rows += [*_stale(store, digests), *_run(store, todo, hashed, config, say, advance)]
        if tree.has_manifest:
            write_manifest(store, tree, dataset.entries, digests)
        failed = [asdict(row) for row in rows if Status(row.status).failed]
        facts["provenance"] = provenance.finish(facts["provenance"])
        write_sidecar(store, {**facts, "notes": todo.notes, "failures": failed})
        log.note(workspace, "degrade", facts["provenance"], [store.out / SIDECAR])
    return _result(tree, todo, rows, settled)


def _load(
    source: Path, out: Path, config: DegradeConfig, workspace: Workspace, say: Say
) -> tuple[datasets.Dataset, Tree]:
    if not source.exists():
        raise UsageError(f"{display_path(source)}: no such file or folder")
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {display_path(out)}: is a file; give a folder")
    root, out = (Path(os.path.abspath(path)) for path in (source, out))  # noqa: PTH100 - symlinks stay as named
    layout, _ = datasets.recognise(root, config.dataset)
    found = layout.recognise(root)
    if layout.name == OFFICIAL and found is not None:
        out = found.root if out.resolve() in (root.resolve(), found.root.resolve()) else out
        root = found.root
    tree = Tree.of(layout.name, root, out)
    hidden = [] if tree.in_place else [tree.out]
    dataset = datasets.load(root, config.dataset, seed=config.seed, exclude=[*hidden, workspace.root])
    say(f"{display_path(root)}: layout {dataset.name}, {dataset.reason}")
    say(f"found {dataset.summary()}; copies go to {display_path(tree.out)}")
    if tree.layout == OFFICIAL and not tree.in_place:
        say(
            f"pairs in {display_path(tree.out)} will be among the copies alone; --out {display_path(root)} has the "
            "sources in them too"
        )
    if not sources(dataset.entries):
        raise UsageError(f"{display_path(root)} holds no video; copies at a rate factor are made of videos")
    return dataset, tree


def _refuse_strange(store: Store, tree: Tree) -> None:
    if tree.has_manifest and (store.out / MANIFEST).exists() and not (store.state / "job.json").exists():
        raise UsageError(f"{display_path(store.out / MANIFEST)} was not made by degrade; {_WAYS_OUT}")


def _bind(store: Store, tree: Tree, config: DegradeConfig) -> dict[str, Any]:
    """Tie the folder to its source and to how copies are encoded; returns the facts of the sidecar."""
    source = "." if tree.in_place else str(tree.root.resolve())
    place = {"source": source, "layout": tree.layout, "encoder": ENCODER}
    bound = place if not tree.has_manifest else {**place, **config.bound()}
    digest = json.dumps(bound, sort_keys=True)
    bind_job(store.state, digest, {"bound": bound}, _WAYS_OUT)
    return {**place, "provenance": provenance.collect(config, seed=config.seed)}


def _carry_over(
    store: Store, tree: Tree, dataset: datasets.Dataset, digests: Mapping[str, str], say: Say
) -> None:
    """Before the first copy: the manifest, or the owner's split files, so that a tree is never without its split."""
    if tree.has_manifest:
        write_manifest(store, tree, dataset.entries, digests)
    elif not tree.in_place:
        official = find_official(None, [tree.root, tree.root.parent], [])
        for name in OFFICIAL_FILES.values() if official else ():
            target = store.out / "splits" / name
            if official and not target.exists():
                target.parent.mkdir(exist_ok=True)
                write_atomic(target, (official.folder / name).read_bytes())
        say(
            "the official split files go with the copies"
            if official
            else "no official split files to go along"
        )


def _stale(store: Store, digests: Mapping[str, str]) -> list[Row]:
    """Failures for the copies whose source holds something else by now."""
    rows = []
    for target, record in store.records().items():
        now = digests.get(record["source"])
        if now and now != record["source_sha256"]:
            reason = f"it changed since {target.name} was made of it; delete that copy to have it made again"
            rows.append(Row(record["source"], Status.CHANGED, reason))
    return rows


def _run(
    store: Store,
    todo: Plan,
    hashed: Mapping[str, Hashed],
    config: DegradeConfig,
    say: Say,
    advance: Advance | None,
) -> list[Row]:
    """Make the copies; one row a clip."""
    rows = []
    chunks = []
    for clip in todo.clips:
        found = hashed[clip.entry.path]
        if found.status is None:
            chunks.append(chunk_of(clip, found.sha256, found.bytes))
        else:
            rows.append(Row(clip.entry.path, found.status, found.reason or ""))
    if not chunks:
        return rows
    limits = Limits(max_pixels=config.max_pixels, wall_seconds=config.timeout, max_bytes=config.max_bytes)
    job = DegradeJob(store, limits)
    with create_engine(
        config.engine, config.address, config.workers, len(chunks), config.worker_memory, say
    ) as engine:
        say(f"{len(chunks)} clips with the {engine.name} engine, {engine.slots} workers")
        for outcome in engine.run(job, chunks):
            rows.append(Row(**outcome.summary))
            if advance:
                advance(len(rows), len(todo.clips), f"{sum(row.made for row in rows)} copies")
    return rows


def _result(tree: Tree, todo: Plan, rows: Sequence[Row], settled: int) -> DegradeResult:
    """`settled` clips had every copy already; those among them whose source changed have a row all the same."""
    statuses = Counter(row.status for row in rows)
    statuses[Status.OK.value] += max(0, settled - statuses[Status.CHANGED.value])
    failures = [(row.path, row.status, row.reason) for row in rows if Status(row.status).failed]
    return DegradeResult(tree.out, sum(row.made for row in rows), todo.present, +statuses, failures)


def _rehearse(todo: Plan, tree: Tree, config: DegradeConfig, say: Say) -> DegradeResult:
    """What a run would read, and which files it would refuse at first sight."""
    limits = Limits(max_bytes=config.max_bytes)
    rows, size = [], 0
    for clip in todo.clips:
        try:
            with ExitStack() as stack:
                opened = stack.enter_context(open_source(os.fsencode(clip.entry.path), limits))
                if opened.kind == "image":
                    raise MediaError(Status.UNSUPPORTED, "an image, not a video")
                size += opened.size
                rows.append(Row(clip.entry.path, Status.OK))
        except MediaError as error:
            rows.append(Row(clip.entry.path, Status(error.status), error.reason))
    say(f"dry run: {size} bytes would be read and decoded; {_free(tree.out)} bytes are free where copies go")
    return _result(tree, todo, rows, 0)


def _free(folder: Path) -> int:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
