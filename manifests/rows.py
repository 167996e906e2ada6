"""A table of the user's own as rows of text: CSV, or Parquet whose schema is checked before a value is read."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.parquet import read_batches, read_schema
from ffpipe.manifests.records import Label, Split

T = TypeVar("T")

#: Spellings of a label and of a split in a table of the user's.
LABELS = {"0": Label.REAL, "real": Label.REAL, "1": Label.FAKE, "fake": Label.FAKE, "": None}
SPLITS = {
    "train": Split.TRAIN,
    "val": Split.VAL,
    "valid": Split.VAL,
    "validation": Split.VAL,
    "test": Split.TEST,
    "": None,
}
#: Rows of a Parquet file that are turned into text at a time.
_BATCH = 4096


def columns_of(path: Path) -> frozenset[str]:
    """The columns that a CSV or Parquet file names; none where it is neither, or cannot be read.

    Raises:
        IntegrityError: a `.parquet` file does not pass the gate (`parquet`), or cannot be read.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        return frozenset()
    try:
        return frozenset(reader[0](path))
    except (OSError, csv.Error):
        return frozenset()


def read_rows(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row's place in words ("m.csv, line 2"), and the text of its `wanted` columns; "" where there is none.

    Raises:
        UsageError: the suffix is neither .csv nor .parquet, or the file cannot be read.
        IntegrityError: a `.parquet` file does not pass the gate (`parquet`), or cannot be read.
    """
    shown = display_path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{shown}: a table ends with {' or '.join(_READERS)}, not {path.suffix!r}")
    try:
        yield from reader[1](path, wanted)
    except (OSError, csv.Error) as error:
        raise UsageError(f"{shown} cannot be read: {error}") from error


def allowed(table: Mapping[str, T], row: Mapping[str, str], column: str, where: str) -> T:
    """What a cell stands for. Raises UsageError with the spellings that are allowed."""
    value = row.get(column, "").strip().lower()
    if value not in table:
        spelt = ", ".join(key or "empty" for key in table)
        raise UsageError(f"{where}: {column} {display_path(value)!r} is not one of {spelt}")
    return table[value]


def _open_csv(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _csv_columns(path: Path) -> list[str]:
    with _open_csv(path) as file:
        return next(csv.reader(file), [])


def _csv_rows(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    with _open_csv(path) as file:
        reader = csv.DictReader(file, restval="")
        for row in reader:
            yield (
                f"{display_path(path)}, line {reader.line_num}",
                {key: value for key, value in row.items() if key in wanted},
            )


def _parquet_columns(path: Path) -> list[str]:
    return list(read_schema(path).names)


def _parquet_rows(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, dict[str, str]]]:
    number = 0
    for batch in read_batches(path, sorted(wanted), _BATCH):
        for row in batch.to_pylist():
            number += 1
            where = f"{display_path(path)}, row {number}"
            yield where, {name: _text(value, f"{where}: {name}") for name, value in row.items()}


def _text(value: Any, what: str) -> str:
    """A cell as a CSV file would have it; a whole number that pandas keeps as a float is a whole number."""
    if value is None or value != value:
        return ""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise UsageError(f"{what} holds {type(value).__name__}; text or a number is allowed")


_Columns = Callable[[Path], list[str]]
_Rows = Callable[[Path, Collection[str]], Iterator[tuple[str, dict[str, str]]]]
_READERS: dict[str, tuple[_Columns, _Rows]] = {
    ".csv": (_csv_columns, _csv_rows),
    ".parquet": (_parquet_columns, _parquet_rows),
}
