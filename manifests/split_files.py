"""A split file: which media are in train, validation and test, as CSV or Parquet, matched to media by path or content.

Columns: `split`, and `path` or `media_id` (or both). A path is the medium's as stored, or relative to the dataset's
source; a content alone stands for every path that has it. What a file does not list, or lists without a split, is in no
split. `group`, `source_id`, `target_id` and `pair_id` say what must not be divided. Other columns are ignored.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.rows import LABELS, SPLITS, allowed, columns_of, read_rows

SUFFIXES = (".csv", ".parquet")
_READ = (
    "path",
    "split",
    "media_id",
    "label",
    "method",
    "group",
    "source_id",
    "target_id",
    "pair_id",
    "subset",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a split file; `where` is its place in words, `path` is normalised and empty where there is none."""

    where: str
    path: str
    media_id: str | None
    split: Split | None
    label: Label | None = None
    method: str | None = None
    group: str | None = None
    source_id: str | None = None
    target_id: str | None = None
    pair_id: str | None = None
    subset: str | None = None

    @property
    def name(self) -> str:
        """What the row is about, for people."""
        return self.path or str(self.media_id)

    def entry(self) -> Entry:
        """What the file itself knows of the medium."""
        return Entry(
            self.name,
            self.label,
            self.method,
            split=self.split,
            source_id=self.source_id,
            target_id=self.target_id,
            group=self.group,
            pair_id=self.pair_id,
            subset=self.subset,
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A medium that rows may mean: its path as stored, the same relative to its source, and its content if known."""

    stored: str
    relative: str
    media_id: str | None = None


@dataclass(frozen=True, slots=True)
class SplitFile:
    """The rows of a split file."""

    path: Path
    rows: tuple[Row, ...]

    @property
    def digest(self) -> str:
        """Hash of what the rows say of splits and groups, 16 hex digits; their order does not matter."""
        told = sorted([row.path, row.media_id or "", row.split or "", row.group or ""] for row in self.rows)
        return sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def __str__(self) -> str:
        return f"given by {display_path(self.path)} ({self.digest})"

    def match(self, places: Sequence[Place]) -> list[Row | None]:
        """The row of each place, None where the file does not list it.

        Raises:
            UsageError: a row matches no place, or a relative path several, or a path holds another content than when
                the file was made.
        """
        by_path: defaultdict[str, set[int]] = defaultdict(set)
        by_content: defaultdict[str, set[int]] = defaultdict(set)
        for number, place in enumerate(places):
            by_path[normal(place.stored)].add(number)
            by_path[normal(place.relative)].add(number)
            if place.media_id:
                by_content[place.media_id].add(number)
        found: list[Row | None] = [None] * len(places)
        unmatched = []
        for row in self.rows:
            hits = by_path.get(row.path, set()) if row.path else set()
            _check_hits(row, [places[number] for number in hits])
            hits = hits or by_content.get(row.media_id or "", set())
            if not hits:
                unmatched.append(row)
            for number in hits:
                found[number] = _one_row(found[number], row)
        if unmatched:
            more = f", and {len(unmatched) - 1} more rows" if len(unmatched) > 1 else ""
            raise UsageError(f"{unmatched[0].where}: {unmatched[0].name} is no medium of these data{more}")
        return found


def is_split_file(path: Path) -> bool:
    """Whether a path names a table, and not a folder of official split files."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def read_split_file(path: Path) -> SplitFile:
    """Read a split file.

    Raises:
        UsageError: it cannot be read, lacks a column, has no row, lists a medium twice, or a value is not allowed.
        IntegrityError: a Parquet file declares Arrow extension types.
    """
    shown = display_path(path)
    if not path.is_file():
        raise UsageError(f"{shown}: no such split file")
    columns = columns_of(path)
    if "split" not in columns or not columns & {"path", "media_id"}:
        there = ", ".join(sorted(map(display_path, columns))) or "none"
        raise UsageError(
            f"{shown}: a split file has the columns split and path or media_id; here are {there}"
        )
    rows = tuple(_row(where, cells) for where, cells in read_rows(path, _READ))
    if not rows:
        raise UsageError(f"{shown} lists no medium")
    _refuse_repeats(rows)
    return SplitFile(path, rows)


def relative_to(path: str, root: str) -> str:
    """A path below a folder, or the path itself where it lies elsewhere."""
    inner = os.path.relpath(path, root) if normal(path).startswith(normal(root).rstrip("/") + "/") else path
    # A leading "-" or "=" would be an option or a formula to other programs.
    return inner if inner[:1].isalnum() or inner[:1] in "/_" else f"./{inner}"


def normal(path: str) -> str:
    """A path as text that is equal for equal paths."""
    return os.path.normpath(display_path(path))


def _row(where: str, cells: dict[str, str]) -> Row:
    path, media_id = cells.get("path", ""), cells.get("media_id", "").strip().lower()
    if not path and not media_id:
        raise UsageError(f"{where}: neither a path nor a media_id")
    return Row(
        where,
        normal(path) if path else "",
        media_id or None,
        allowed(SPLITS, cells, "split", where),
        allowed(LABELS, cells, "label", where),
        *(
            cells.get(name) or None
            for name in ("method", "group", "source_id", "target_id", "pair_id", "subset")
        ),
    )


def _refuse_repeats(rows: Iterable[Row]) -> None:
    first: dict[str, str] = {}
    for row in rows:
        if first.setdefault(row.name, row.where) != row.where:
            raise UsageError(f"{row.where}: {row.name} is already on {first[row.name].rpartition(', ')[2]}")


def _check_hits(row: Row, hits: Sequence[Place]) -> None:
    """Raises UsageError where a path means several files, or one that has changed."""
    stored = sorted({normal(place.stored) for place in hits})
    if len(stored) > 1:
        raise UsageError(f"{row.where}: {row.path} could be {stored[0]} or {stored[1]}; give the whole path")
    if row.media_id and any(place.media_id not in (None, row.media_id) for place in hits):
        raise UsageError(f"{row.where}: {row.path} holds another content than when the split file was made")


def _one_row(before: Row | None, row: Row) -> Row:
    """Raises UsageError where two rows give one medium different splits."""
    if before is not None and before.split is not row.split:
        raise UsageError(
            f"{row.where}: {row.name} is {row.split or 'in no split'} here, {before.split} in {before.where}"
        )
    return row if before is None else before
