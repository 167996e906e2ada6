"""The folder that copies are made in: what was made and of what, the sidecar that says so, and the manifest.

A copy's record is written before the copy is put in its place, and the copy counts once both are there: whatever is
killed when, no half file looks whole, and no whole file lacks its record.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.durable import clear_temporaries
from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import Entry
from ffpipe.manifests.run_lock import RunLock
from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline.degrade.plan import Tree, sources

#: Hidden folder of the records; readers of a tree pass it over.
STATE = ".ffpipe-degrade"
SIDECAR = "ffpipe-degrade.json"
MANIFEST = "manifest.csv"
_COLUMNS = ("path", "label", "method", "quality", "split", "source_id", "target_id", "group", "pair_id")
_TEMPORARY = ".ffpipe-copy."

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """The copies in a tree's folder; creating the object touches nothing."""

    out: Path

    @property
    def state(self) -> Path:
        """Where records, lock and binding are."""
        return self.out / STATE

    def create(self) -> None:
        """Make the folders. Raises StorageError."""
        try:
            (self.state / "copies").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {self.state}: {error.strerror or error}") from error

    def lock(self) -> RunLock:
        """Held by the run that writes."""
        return RunLock(self.state / "_lock")

    def temporary(self, target: Path, attempt: str) -> Path:
        """Where a copy is written: beside its place, hidden."""
        return target.parent / f"{_TEMPORARY}{_key(self._inner(target))[:16]}.{attempt}"

    def finish(self, temporary: Path, target: Path, record: Mapping[str, Any]) -> None:
        """Put a whole copy in its place, unless a file is there already. Raises OSError, StorageError."""
        inner = self._inner(target)
        write_atomic(self._record(inner), json.dumps({"copy": inner, **record}, sort_keys=True).encode())
        try:
            os.link(temporary, target)
        except FileExistsError:
            return
        finally:
            temporary.unlink(missing_ok=True)

    def records(self) -> dict[Path, Record]:
        """What was made and is still there, by file. Raises StorageError for a damaged record."""
        found: dict[Path, Record] = {}
        for path in sorted((self.state / "copies").glob("*.json")):
            try:
                record = dict(json.loads(path.read_bytes()))
                target, size = self.out / record["copy"], int(record["bytes"])
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise StorageError(
                    f"{path}: damaged; delete it and the copy it tells of ({error})"
                ) from error
            if target.is_file() and target.stat().st_size == size:
                found[target] = record
        return found

    def sweep(self, folders: Iterable[Path]) -> None:
        """Remove what killed runs left half done."""
        for folder in set(folders):
            for path in folder.glob(f"{_TEMPORARY}*"):
                path.unlink(missing_ok=True)
        clear_temporaries(self.out, {SIDECAR, MANIFEST})
        for folder in (self.state, self.state / "copies"):
            clear_temporaries(folder)

    def _inner(self, target: Path) -> str:
        return str(target.relative_to(self.out))

    def _record(self, inner: str) -> Path:
        return self.state / "copies" / f"{_key(inner)}.json"


def _key(inner: str) -> str:
    return hashlib.sha256(os.fsencode(inner)).hexdigest()[:32]


def write_sidecar(store: Store, facts: Mapping[str, Any]) -> None:
    """What every copy was made of, and how, as one JSON file for people and other tools. Raises StorageError."""
    copies = sorted(store.records().values(), key=lambda record: str(record["copy"]))
    content = json.dumps({**facts, "copies": copies}, indent=1)
    write_atomic(store.out / SIDECAR, content.encode())


def write_manifest(store: Store, tree: Tree, entries: Sequence[Entry], hashes: Mapping[str, str]) -> None:
    """The source's videos and their finished copies, as a manifest of the folder layout. Raises StorageError.

    hashes: SHA-256 by path, which makes clip ids that no other clip has.
    """
    made = store.records()
    copies: dict[str, list[Path]] = {}
    for target, record in made.items():
        copies.setdefault(str(record["source"]), []).append(target)
    rows = []
    for found in sources(entries).values():
        clip = found[0].pair_id or f"{tree.layout}/{hashes.get(found[0].path, found[0].path)[:32]}"
        rows += [_row(_place(entry.path, tree), entry, entry.quality or "c0", clip) for entry in found]
        for target in sorted(copies.get(found[0].path, ())):
            rows.append(_row(_place(str(target), tree), found[0], made[target]["quality"], clip))
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(store.out / MANIFEST, text.getvalue().encode("utf-8", "surrogateescape"))


def _place(path: str, tree: Tree) -> str:
    """A path as the manifest names it: relative where tree and source lie in one folder, else absolute."""
    near = tree.root.parent if tree.root.is_file() else tree.root
    inside = tree.out.is_relative_to(near) or near.is_relative_to(tree.out)
    if inside or Path(path).is_relative_to(tree.out):
        relative = os.path.relpath(path, tree.out)
        return relative if relative.startswith(".") else f"./{relative}"
    return path


def _row(path: str, entry: Entry, quality: str, clip: str) -> dict[str, Any]:
    values = {name: getattr(entry, name) for name in _COLUMNS if name != "path"}
    label = "" if entry.label is None else int(entry.label)
    return {**values, "path": path, "label": label, "quality": quality, "pair_id": clip}
