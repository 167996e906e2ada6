"""Tables read back from the files that `tables` wrote: the same rows with the same types, from each of the formats.

What such a file holds is not trusted: a column too many or too few, or a value of another kind, is an error that names
the file. Text loses nothing: bytes, numbers and what was marked as no formula come back as they were.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffpipe.manifests import parquet
from ffpipe.manifests.content import read_file
from ffpipe.manifests.errors import IntegrityError, StorageError, UsageError
from ffpipe.manifests.schemas import ADDED, RECORD_TYPES, SCHEMAS, check_file
from ffpipe.pipeline.tables import TEXT_MARK, text_rows

#: Rows that are hashed at a time.
_BATCH = 4096
#: What reading raises for text that no writer of ours made.
_FOREIGN = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    OverflowError,
    RecursionError,
    csv.Error,
    pa.ArrowException,
)
_ESCAPE = re.compile(r"\\(?:\\|x[0-9a-f]{2})")


def read_table(path: Path, table: str) -> pa.Table:
    """The rows of a file that `tables.write_table` made of a table of this kind, in its present schema.

    Columns that the kind got after the file was written are null. Raises UsageError for an unknown suffix, StorageError
    where the file cannot be read, IntegrityError where it holds something else.
    """
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _without_gaps(_from_parquet(path, table), path, table)
    if suffix not in _READERS:
        raise UsageError(f"{path}: unknown suffix {path.suffix!r}; allowed: {', '.join(sorted(_SUFFIXES))}")
    try:
        names, rows = _READERS[suffix](read_file(path).decode("utf-8"))
        _check_columns(names, table)
        return _without_gaps(_typed(rows, table, as_text=suffix == ".csv"), path, table)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except _FOREIGN as error:
        raise IntegrityError(f"{path}: is no {table} table that ffpipe wrote: {error}") from error


def content_digest(table: pa.Table) -> dict[str, Any]:
    """How many rows a table has, and a hash of them in their order, whatever file they are in."""
    digest = sha256()
    for batch in table.to_batches(_BATCH):
        for row in text_rows(pa.Table.from_batches([batch])):
            digest.update(json.dumps(row, sort_keys=True, allow_nan=False).encode() + b"\n")
    return {"rows": table.num_rows, "sha256": digest.hexdigest()}


def unescape_bytes(text: str) -> bytes:
    r"""The bytes that `tables.escape_bytes` shows. Raises ValueError for text that it cannot have made."""
    if not all(" " <= character <= "~" for character in text) or "\\" in _ESCAPE.sub("", text):
        raise ValueError(f"no bytes are written like {text!r}")
    shown = _ESCAPE.sub(lambda found: "\\" if found[0] == r"\\" else chr(int(found[0][2:], 16)), text)
    return shown.encode("latin-1")


def _from_parquet(path: Path, table: str) -> pa.Table:
    check_file(path, table)
    there = parquet.read_schema(path).names
    found = parquet.read_table(path, there)
    for name in ADDED.get(table, ()):
        if name not in found.column_names:
            field = SCHEMAS[table].field(name)
            found = found.append_column(field, pa.nulls(found.num_rows, field.type))
    return found.replace_schema_metadata(SCHEMAS[table].metadata)


def _without_gaps(found: pa.Table, path: Path, table: str) -> pa.Table:
    """The table, unless it lacks what each of its rows has. Numbers may be null: in text, what is none is null too."""
    for known in fields(RECORD_TYPES[table]):
        column = found.column(known.name)
        if column.null_count and "None" not in str(known.type) and not pa.types.is_floating(column.type):
            raise IntegrityError(
                f"{path}: is no {table} table that ffpipe wrote: {known.name} is missing in a row"
            )
    return found


Rows = Sequence[dict[str, Any]]


def _csv(text: str) -> tuple[list[str], Rows]:
    # A list of all frames of a long video is a long cell.
    csv.field_size_limit(max(len(text), csv.field_size_limit()))
    header, *lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    return header, [dict(zip(header, line, strict=True)) for line in lines]


def _json(text: str) -> tuple[list[str], Rows]:
    return _named(json.loads(text)["rows"])


def _json_lines(text: str) -> tuple[list[str], Rows]:
    return _named([json.loads(line) for line in text.split("\n") if line])


def _named(rows: list[dict[str, Any]]) -> tuple[list[str], Rows]:
    """The rows and their columns, which are those of every row; a table without rows names none."""
    names = list(rows[0]) if rows else []
    if any(list(row) != names for row in rows):
        raise ValueError("its rows do not have the same columns")
    return names, rows


_READERS: dict[str, Callable[[str], tuple[list[str], Rows]]] = {
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json_lines,
}


#: Suffixes of the files that are read.
_SUFFIXES = frozenset({*_READERS, ".parquet"})


def _check_columns(names: Sequence[str], table: str) -> None:
    known = SCHEMAS[table].names
    later = len(ADDED.get(table, ()))
    allowed = {tuple(known[: len(known) - absent]) for absent in range(later + 1)}
    if names and tuple(names) not in allowed:
        missing, surplus = sorted(set(known) - set(names)), sorted(set(names) - set(known))
        raise ValueError(f"columns missing {missing}, too many {surplus}, or in another order")


def _typed(rows: Rows, table: str, as_text: bool) -> pa.Table:
    columns = []
    nullable = {known.name: "None" in str(known.type) for known in fields(RECORD_TYPES[table])}
    for field in SCHEMAS[table]:
        values = [row.get(field.name) for row in rows]
        typed = [_value(value, field.type, as_text, nullable[field.name]) for value in values]
        columns.append(pa.array(typed, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMAS[table])


def _value(value: Any, kind: pa.DataType, as_text: bool, nullable: bool) -> Any:
    """A value as it was before it became text; in CSV everything is text, and an empty cell is null where it can be."""
    if value is None or (as_text and value == "" and nullable):
        return None
    if pa.types.is_binary(kind):
        return unescape_bytes(value)
    if as_text and pa.types.is_string(kind):
        return value.removeprefix(TEXT_MARK)
    if as_text:
        # Numbers, true and false, and lists are written as JSON writes them.
        value = json.loads(value)
    if pa.types.is_string(kind) != isinstance(value, str) or pa.types.is_boolean(kind) != isinstance(
        value, bool
    ):
        raise ValueError(f"{value!r} is no {kind}")
    return value
