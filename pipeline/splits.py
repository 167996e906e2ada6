"""The splits jobs: divide a source tree or a stored dataset by a protocol, and look for what stands in two splits."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.ffpp import officially
from ffpipe.manifests.datasets.ffpp_splits import read_official
from ffpipe.manifests.division import Ratios
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.protocols import Division, Material, Options, apply_protocol
from ffpipe.manifests.records import Entry, Label, MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.split_files import SUFFIXES, Place, is_split_file, read_split_file, relative_to
from ffpipe.manifests.splits import Leak, group_key, identities, leaks
from ffpipe.pipeline import log, plan, provenance, tables
from ffpipe.pipeline.config import SplitsConfig
from ffpipe.pipeline.driver import hash_entries
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.stored_media import source_root, stored_job
from ffpipe.pipeline.workspace import Workspace

#: Columns of a split file that `make` writes, beside `path` and `media_id`.
_COLUMNS = ("split", "label", "method", "quality", "subset", "group", "source_id", "target_id", "pair_id")


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a split: media a split and label, what stands in two splits, and what could be looked at."""

    what: str
    counts: Mapping[Split, Mapping[str, int]]
    leaks: list[Leak]
    looked_at: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing that was looked at stands in two splits."""
        return not self.leaks

    def to_json(self) -> dict[str, Any]:
        """Ready for JSON."""
        found = [
            {"kind": leak.kind, "key": leak.key, "splits": list(leak.splits), "paths": list(leak.paths)}
            for leak in self.leaks
        ]
        return {
            "checked": self.what,
            "looked_at": list(self.looked_at),
            "splits": {split: dict(counts) for split, counts in self.counts.items()},
            "disjoint": self.clean,
            "leaks": found,
        }


@dataclass(frozen=True, slots=True)
class Made:
    """A split file that was written."""

    path: Path
    checked: Checked
    left_out: int
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """The media of a source or a dataset: what is known of them, and the folder that their paths are told from."""

    what: str
    root: str
    material: Material

    def places(self) -> list[Place]:
        """How a split file may name each of them."""
        contents = self.material.contents
        shown = [(entry.path, display_path(entry.path)) for entry in self.material.entries]
        return [Place(path, relative_to(path, self.root), contents.get(key)) for key, path in shown]


def make_splits(target: str, out: Path, config: SplitsConfig, workspace: Workspace, say: Say) -> Made:
    """Divide a source tree, or a dataset of the workspace, by a protocol and write a split file.

    Raises UsageError (nothing of this name, a protocol that cannot be followed, a file that is no .csv or .parquet) and
    StorageError.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out {out}: a split file ends with {' or '.join(SUFFIXES)}")
    tables.check_output(out)
    began = provenance.now()
    options = Options(config.seed, _ratios(config.ratios), config.method, config.links, config.splits)
    gathered = _gather(target, config, workspace, say)
    division = apply_protocol(config.protocol, gathered.material, options)
    origin = _write(out, gathered, division, config, began)
    log.note(workspace, "splits make", origin, [out])
    checked = _checked(str(out), division.placed, gathered.material.contents)
    for note in division.notes:
        say(note)
    left_out = len(division.entries) - len(division.placed)
    return Made(out, checked, left_out, division.notes)


def check_splits(
    target: str, config: SplitsConfig, workspace: Workspace, say: Say, of: str | None = None
) -> Checked:
    """What stands in more than one split of a split file, a dataset of the workspace or a source tree.

    `of` names the source or dataset whose media a split file lists: what is known of those is then looked at as well.
    Raises UsageError (nothing of this name, nothing in any split, a file that lists what is not there), StorageError.
    """
    path = Path(target)
    if is_split_file(path):
        given = read_split_file(path)
        if of is None:
            entries = [row.entry() for row in given.rows]
            contents = {row.name: row.media_id for row in given.rows if row.media_id}
            return _required(_checked(target, entries, contents))
        gathered = _gather(of, config, workspace, say)
        entries = [
            replace(
                entry, split=row.split if row else None, group=row.group if row and row.group else entry.group
            )
            for entry, row in zip(gathered.material.entries, given.match(gathered.places()), strict=True)
        ]
        return _required(_checked(f"{target} of {gathered.what}", entries, gathered.material.contents))
    if of is not None:
        raise UsageError(f"--of goes with a split file; {target} is none")
    gathered = _gather(target, config, workspace, say)
    return _required(_checked(gathered.what, gathered.material.entries, gathered.material.contents))


def _ratios(given: str | None) -> Ratios | None:
    """Shares of train, validation and test that add up to one. Raises UsageError."""
    if given is None:
        return None
    try:
        parts = [float(part) for part in given.replace(",", ":").split(":")]
    except ValueError:
        parts = []
    if len(parts) != 3 or not all(0 <= part < float("inf") for part in parts) or parts[0] <= 0:
        raise UsageError(
            f"--ratios {given!r}: three shares of train, validation and test, such as 6:1:1, train not 0"
        )
    train, val, test = (part / sum(parts) for part in parts)
    return train, val, test


def _gather(target: str, config: SplitsConfig, workspace: Workspace, say: Say) -> _Gathered:
    """The media of a path that exists, else of a dataset of this name."""
    path = Path(target)
    if (path / "job.json").is_file() and (path / "media").is_dir():
        return _of_dataset(path.resolve().name, Workspace(path.resolve().parent.parent), config)
    stored = target in workspace.datasets()
    if path.exists():
        if stored:
            say(
                f"{target} is a folder here and is taken as a source; the dataset is {workspace.dataset(target).root}"
            )
        return _of_source(path, config, workspace, say)
    if not stored:
        there = ", ".join(workspace.datasets()) or "none"
        raise UsageError(
            f"{target}: no such file or folder, and no such dataset in {workspace.root}; there are {there}"
        )
    return _of_dataset(target, workspace, config)


def _of_source(source: Path, config: SplitsConfig, workspace: Workspace, say: Say) -> _Gathered:
    root = Path(os.path.abspath(source))  # noqa: PTH100 - symlinks stay as the user named them
    found = datasets.load(
        root, config.dataset, splits_dir=config.splits, seed=config.seed, exclude=[workspace.root]
    )
    say(f"{display_path(source)}: layout {found.name}, {found.reason}; its split is {found.split_source}")
    for note in found.notes:
        if note not in found.split_notes:
            say(note)
    contents = {}
    if config.hash:
        hashed = hash_entries(found.entries, workspace, config.rehash, say)
        contents = {file.path: plan.media_id(file.sha256) for file in hashed if file.sha256}
    else:
        say("files were not hashed: equal ones under different names are not known (--hash)")
    folder = root if root.is_dir() else root.parent
    material = Material(found.name, found.entries, found.split_source, contents)
    return _Gathered(display_path(source), display_path(folder), material)


def _of_dataset(name: str, workspace: Workspace, config: SplitsConfig) -> _Gathered:
    group = workspace.dataset(name)
    job = stored_job(group)
    # What was skipped or missing has no content and is no medium.
    media = [m for m in from_table(group.read("media"), MediaRecord) if m.sha256]
    entries = [_entry(m) for m in media]
    contents = {os.fsdecode(m.path_bytes): m.media_id for m in media}
    layout, source = str(job.get("layout", "unlabelled")), str(job.get("split_source", "none"))
    if config.splits is not None:
        if layout != "ffpp":
            raise UsageError(f"--splits: the layout of {name} is {layout}, which has no official split files")
        official = read_official(config.splits)
        entries, _ = officially(entries, official)
        source = official.words
    return _Gathered(f"dataset {name}", source_root(job), Material(layout, entries, source, contents))


def _entry(media: MediaRecord) -> Entry:
    return Entry(
        os.fsdecode(media.path_bytes),
        media.label,
        media.method,
        media.quality,
        media.split,
        media.source_id,
        media.target_id,
        media.group,
        media.pair_id,
        media.subset,
    )


def _write(
    out: Path, gathered: _Gathered, division: Division, config: SplitsConfig, began: str
) -> dict[str, Any]:
    contents = gathered.material.contents
    placed = sorted(division.placed, key=lambda entry: entry.path)
    columns: dict[str, Any] = {
        "path": [relative_to(display_path(entry.path), gathered.root) for entry in placed],
        **{name: [_cell(getattr(entry, name)) for entry in placed] for name in _COLUMNS},
        "media_id": [contents.get(entry.path) for entry in placed],
    }
    types = {"label": pa.int8()}
    table = pa.table({name: pa.array(cells, types.get(name, pa.string())) for name, cells in columns.items()})
    origin = provenance.collect(
        config,
        seed=config.seed,
        started=began,
        of=gathered.what,
        layout=gathered.material.layout,
        split_source=gathered.material.split_source,
        notes=division.notes,
    )
    origin = provenance.finish(origin)
    tables.write_table(out, tables.with_provenance(table, origin))
    return origin


def _cell(value: Any) -> Any:
    return int(value) if isinstance(value, Label) else None if value is None else display_path(str(value))


def _checked(what: str, entries: Sequence[Entry], contents: Mapping[str, str]) -> Checked:
    placed = [entry for entry in entries if entry.split is not None]
    known = {
        "group": any(entry.group for entry in placed),
        "identity": any(identities(entry) for entry in placed),
        "clip": any(entry.pair_id for entry in placed),
        "content": any(entry.path in contents for entry in placed),
    }
    looked_at = tuple(kind for kind, there in known.items() if there)
    return Checked(what, _counts(placed), leaks(placed, contents), looked_at)


def _counts(placed: Sequence[Entry]) -> dict[Split, dict[str, int]]:
    names = {Label.REAL: "real", Label.FAKE: "fake", None: "unlabelled"}
    found: dict[Split, dict[str, int]] = {}
    for split in Split:
        media = [entry for entry in placed if entry.split is split]
        labels = Counter(names[entry.label] for entry in media)
        if media:
            found[split] = {**labels, "groups": len({group_key(entry) for entry in media})}
    return found


def _required(checked: Checked) -> Checked:
    """Raises UsageError where there is no split to be checked."""
    if not checked.counts:
        raise UsageError(f"{checked.what} has no medium in any split")
    return checked
