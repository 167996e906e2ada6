"""A manifest of the user's own, CSV or Parquet: one medium a row, `path` and `label` required, the rest optional.

Columns: `path` (relative to the manifest, or absolute), `label` (0 or real, 1 or fake; empty for unknown), and
where known `method`, `quality` (`raw`, or `c` and a rate factor), `split` (train, val, test), `source_id`,
`target_id`, `group`, `pair_id`.
A path that is a folder of pictures is one medium, a sequence whose frames they are.
Groups: what shares `group`, an identity or a clip; an identity joins nothing where rows have a split and all a group.
`pair_id` is equal for copies of one clip, and for nothing else, in all of the user's datasets.
Other columns are ignored. A path that is absent stays a row and is reported as missing later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.pictures import pictures_in
from ffpipe.manifests.qualities import MAX_RATE_FACTOR, quality_named
from ffpipe.manifests.records import Entry
from ffpipe.manifests.rows import LABELS, SPLITS, allowed, columns_of, read_rows
from ffpipe.manifests.splits import components

REQUIRED = ("path", "label")
OPTIONAL = ("method", "quality", "split", "source_id", "target_id", "group", "pair_id")


def has_columns(path: Path) -> bool:
    """Whether a CSV or Parquet file names the required columns."""
    return columns_of(path) >= set(REQUIRED)


def read_manifest(path: Path) -> list[Entry]:
    """The entries of a manifest, grouped by its `group` column and ids, with paths joined to its folder.

    Raises:
        UsageError: the file cannot be read, has no row, names a path twice, or a row has a value that is not
            allowed; the row is named.
        IntegrityError: a Parquet file declares Arrow extension types.
    """
    places: dict[str, str] = {}
    entries = []
    for where, row in read_rows(path, {*REQUIRED, *OPTIONAL}):
        entry = _entry(path.parent, row, where)
        if places.setdefault(entry.path, where) != where:
            first = places[entry.path].rpartition(", ")[2]
            raise UsageError(f"{where}: {display_path(entry.path)} is already on {first}")
        entries.append(entry)
    if not entries:
        raise UsageError(f"{display_path(path)} lists no medium")
    return _grouped(entries)


def _entry(folder: Path, row: Mapping[str, str], where: str) -> Entry:
    if not row["path"]:
        raise UsageError(f"{where}: the path is empty")
    place = folder / row["path"]
    return Entry(
        path=str(place),
        label=allowed(LABELS, row, "label", where),
        method=row.get("method") or None,
        quality=_quality(row.get("quality", ""), where),
        split=allowed(SPLITS, row, "split", where),
        source_id=row.get("source_id") or None,
        target_id=row.get("target_id") or None,
        group=row.get("group") or None,
        pair_id=row.get("pair_id") or None,
        pictures=pictures_in(place) if place.is_dir() else None,
    )


def _quality(cell: str, where: str) -> str | None:
    quality = quality_named(cell)
    if quality is None and cell.strip():
        raise UsageError(
            f"{where}: quality {display_path(cell)!r} is not one of raw, c0 to c{MAX_RATE_FACTOR}, empty"
        )
    return quality


def _grouped(entries: Sequence[Entry]) -> list[Entry]:
    """Join what shares a group, an identity or a clip; a row with none of them stands alone."""
    # Where nothing is left to divide, groups are what intervals resample, and people would tie them into a few.
    settled = any(entry.split for entry in entries) and all(entry.group for entry in entries)
    keys = [_keys(replace(e, source_id=None, target_id=None) if settled else e) for e in entries]
    joined = components(keys)
    return [
        replace(entry, group=f"folder/{joined[key[0]]}") for entry, key in zip(entries, keys, strict=True)
    ]


def _keys(entry: Entry) -> list[str]:
    keys = [f"group/{entry.group}"] if entry.group else []
    keys += [f"id/{name}" for name in (entry.source_id, entry.target_id) if name]
    keys += [f"pair/{entry.pair_id}"] if entry.pair_id else []
    return keys or [f"path/{entry.path}"]
