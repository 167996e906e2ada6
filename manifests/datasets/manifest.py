"""A CSV manifest of the user's own: one medium a row, `path` and `label` required, the rest optional.

Columns: `path` (relative to the manifest, or absolute), `label` (0 or real, 1 or fake; empty for unknown), and
where known `method`, `quality` (`raw`, or `c` and a rate factor), `split` (train, val, test), `source_id`,
`target_id`, `group`, `pair_id`.
A path that is a folder of pictures is one medium, a sequence whose frames they are.
`pair_id` is equal for copies of one clip, and for nothing else, in all of the user's datasets.
Other columns are ignored. A path that is absent stays a row and is reported as missing later.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO, TypeVar

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.pictures import pictures_in
from ffpipe.manifests.qualities import MAX_RATE_FACTOR, quality_named
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import components

T = TypeVar("T")

REQUIRED = ("path", "label")
LABELS = {"0": Label.REAL, "real": Label.REAL, "1": Label.FAKE, "fake": Label.FAKE, "": None}
SPLITS = {
    "train": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "": None,
}


def has_columns(path: Path) -> bool:
    """Whether the first line of a CSV file names the required columns."""
    try:
        with _open(path) as file:
            header = next(csv.reader(file), [])
    except (OSError, csv.Error):
        return False
    return set(REQUIRED) <= set(header)


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest, grouped by its `group` column and ids, with paths joined to its folder.

    Raises:
        UsageError: the file cannot be read, has no row, names a path twice, or a row has a value that is not
            allowed; the line is named.
    """
    lines: dict[str, int] = {}
    entries = []
    for line, row in _rows(path):
        where = f"{display_path(path)}, line {line}"
        entry = _entry(path.parent, row, where)
        if lines.setdefault(entry.path, line) != line:
            raise UsageError(f"{where}: {display_path(entry.path)} is already on line {lines[entry.path]}")
        entries.append(entry)
    if not entries:
        raise UsageError(f"{display_path(path)} lists no medium")
    return _grouped(entries)


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with _open(path) as file:
            reader = csv.DictReader(file, restval="")
            for row in reader:
                yield reader.line_num, {key: value for key, value in row.items() if key}
    except (OSError, csv.Error) as error:
        raise UsageError(f"{display_path(path)} cannot be read as CSV: {error}") from error


def _entry(folder: Path, row: Mapping[str, str], where: str) -> Entry:
    if not row["path"]:
        raise UsageError(f"{where}: the path is empty")
    place = folder / row["path"]
    return Entry(
        path=str(place),
        label=_allowed(LABELS, row, "label", where),
        method=row.get("method") or None,
        quality=_quality(row.get("quality", ""), where),
        split=_allowed(SPLITS, row, "split", where),
        source_id=row.get("source_id") or None,
        target_id=row.get("target_id") or None,
        group=row.get("group") or None,
        pair_id=row.get("pair_id") or None,
        pictures=pictures_in(place) if place.is_dir() else None,
    )


def _allowed(table: Mapping[str, T], row: Mapping[str, str], column: str, where: str) -> T:
    value = row.get(column, "").strip().lower()
    if value not in table:
        allowed = ", ".join(key or "empty" for key in table)
        raise UsageError(f"{where}: {column} {display_path(value)!r} is not one of {allowed}")
    return table[value]


def _quality(cell: str, where: str) -> str | None:
    quality = quality_named(cell)
    if quality is None and cell.strip():
        raise UsageError(
            f"{where}: quality {display_path(cell)!r} is not one of raw, c0 to c{MAX_RATE_FACTOR}, empty"
        )
    return quality


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    """Join what shares a group or an identity; a row with neither stands alone."""
    keys = [_keys(entry) for entry in entries]
    joined = components(keys)
    return [
        replace(entry, group=f"folder/{joined[key[0]]}") for entry, key in zip(entries, keys, strict=True)
    ]


def _keys(entry: Entry) -> list[str]:
    keys = [f"group/{entry.group}"] if entry.group else []
    keys += [f"id/{name}" for name in (entry.source_id, entry.target_id) if name]
    return keys or [f"path/{entry.path}"]
