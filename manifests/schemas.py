"""Records to and from Arrow tables: one versioned schema a table, and the refusal of files of another one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet import open_parquet
from ffpipe.manifests.records import (
    SIDA_LENGTH,
    FaceRecord,
    Label,
    LogitRecord,
    MediaRecord,
    ReportRow,
    ScoreRecord,
    Split,
    Status,
    TrackRecord,
    Verdict,
)

#: Raised by one whenever a column changes meaning, type or name.
SCHEMA_VERSION = 1

_TABLE_KEY = b"ffpipe.table"
_VERSION_KEY = b"ffpipe.schema_version"
#: Digits of a version that is read at all: Python refuses to read numbers of thousands of digits.
_LONGEST_VERSION = 9

_BOX = pa.list_(pa.float32(), 4)

RECORD_TYPES: dict[str, type] = {
    "media": MediaRecord,
    "faces": FaceRecord,
    "tracks": TrackRecord,
    "scores": ScoreRecord,
    "report": ReportRow,
    "logits": LogitRecord,
}

_ARROW_TYPES: dict[str, dict[str, pa.DataType]] = {
    "media": {
        "path_bytes": pa.binary(),
        "bytes": pa.int64(),
        "label": pa.int8(),
        "width": pa.int32(),
        "height": pa.int32(),
        "rotation": pa.int32(),
        "fps": pa.float64(),
        "duration": pa.float64(),
        "frame_count": pa.int64(),
        "bit_rate": pa.int64(),
        "frames_expected": pa.int32(),
        "frames_decoded": pa.int32(),
        "faces": pa.int32(),
        "tracks": pa.int32(),
        "faces_too_small": pa.int32(),
        "faces_dropped": pa.int32(),
    },
    "faces": {
        "track_id": pa.int32(),
        "frame_index": pa.int64(),
        "pts_seconds": pa.float64(),
        "box": _BOX,
        "crop_box": pa.list_(pa.int32(), 4),
        "confidence": pa.float32(),
        "landmarks": pa.list_(pa.float32(), 10),
        "sharpness": pa.float32(),
        "crop_side": pa.int32(),
        "stored_side": pa.int32(),
        "crop": pa.large_binary(),
        "sida": pa.list_(pa.float32(), SIDA_LENGTH),
    },
    "tracks": {
        "track_id": pa.int32(),
        "first_pts_seconds": pa.float64(),
        "last_pts_seconds": pa.float64(),
        "n_faces": pa.int32(),
        "score": pa.float64(),
        "eligible": pa.bool_(),
        "worst_start_seconds": pa.float64(),
        "worst_end_seconds": pa.float64(),
        "worst_score": pa.float64(),
    },
    "scores": {
        "track_id": pa.int32(),
        "frame_index": pa.int64(),
        "pts_seconds": pa.float64(),
        "logit": pa.float32(),
        "score": pa.float32(),
        "box": _BOX,
        "crop_box": pa.list_(pa.int32(), 4),
        "crop_side": pa.int32(),
        "sharpness": pa.float32(),
    },
    "report": {
        "path_bytes": pa.binary(),
        "bytes": pa.int64(),
        "score": pa.float64(),
        "probability": pa.float64(),
        "log10_likelihood_ratio": pa.float64(),
        "threshold": pa.float64(),
        "inconclusive_from": pa.float64(),
        "duration": pa.float64(),
        "n_frames": pa.int32(),
        "n_faces": pa.int32(),
        "n_tracks": pa.int32(),
        "worst_track": pa.int32(),
        "worst_track_start_seconds": pa.float64(),
        "worst_track_end_seconds": pa.float64(),
        "worst_window_start_seconds": pa.float64(),
        "worst_window_end_seconds": pa.float64(),
        "worst_window_score": pa.float64(),
        "crops_accepted": pa.bool_(),
        "sampled_frames": pa.list_(pa.int64()),
        "sampled_seconds": pa.list_(pa.float64()),
        "posterior": pa.float64(),
        "concerns": pa.list_(pa.string()),
        "domain_distance": pa.float64(),
        "width": pa.int32(),
        "height": pa.int32(),
        "fps": pa.float64(),
        "bit_rate": pa.int64(),
        "frames_expected": pa.int32(),
    },
    "logits": {"place": pa.int64(), "logit": pa.float32()},
}

_ENUMS: dict[str, type[Enum]] = {"status": Status, "verdict": Verdict, "split": Split, "label": Label}


def _build(table: str) -> pa.Schema:
    types = _ARROW_TYPES[table]
    columns = [pa.field(f.name, types.get(f.name, pa.string())) for f in fields(RECORD_TYPES[table])]
    return pa.schema(
        columns, metadata={_TABLE_KEY: table.encode(), _VERSION_KEY: str(SCHEMA_VERSION).encode()}
    )


SCHEMAS: dict[str, pa.Schema] = {table: _build(table) for table in RECORD_TYPES}
#: Columns that a table got after version 1, always as its last: older shards lack them and are read with nulls.
ADDED: dict[str, tuple[str, ...]] = {
    "media": ("subset",),
    "scores": ("box", "crop_box", "crop_side", "sharpness"),
    "report": (
        "sampled_frames",
        "sampled_seconds",
        "posterior",
        "concerns",
        "domain_distance",
        "codec",
        "width",
        "height",
        "fps",
        "bit_rate",
        "frames_expected",
        "content_credentials",
    ),
}

Record = TypeVar("Record")


def to_table(table: str, records: Sequence[Any]) -> pa.Table:
    """Records of one kind as an Arrow table with that table's schema; no records give an empty table."""
    schema = SCHEMAS[table]
    columns = [_column([getattr(r, field.name) for r in records], field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_fixed_size_list(kind) and values and all(hasattr(value, "dtype") for value in values):
        flat = pa.concat_arrays([pa.array(value.reshape(-1), type=kind.value_type) for value in values])
        return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
    return pa.array([value.value if isinstance(value, Enum) else value for value in values], type=kind)


def from_table(table: pa.Table, record: type[Record]) -> list[Record]:
    """Rows of a table as records; columns that the record does not know are an error.

    Enumerated columns come back as their enumerations, list columns as tuples.
    """
    names = {field.name for field in fields(record)}  # type: ignore[arg-type]
    return [record(**{k: _value(k, v) for k, v in row.items() if k in names}) for row in table.to_pylist()]


def _value(name: str, value: Any) -> Any:
    if value is not None and name in _ENUMS:
        return _ENUMS[name](value)
    return tuple(value) if isinstance(value, list) else value


def completed(batch: pa.RecordBatch, table: str) -> pa.RecordBatch:
    """Whole rows of a shard with nulls in the columns that the table got after the shard was written."""
    for name in ADDED.get(table, ()):
        if name not in batch.schema.names:
            field = SCHEMAS[table].field(name)
            batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    return batch


def check_file(path: Path, table: str) -> int:
    """Check a shard's schema before any row is read; its number of rows, as it says itself.

    Raises IntegrityError when the file does not pass the gate (`parquet`: extension types, damage, bombs), was written
    by a newer version of ffpipe, or does not have exactly the columns of `table`, where the last ones, those that
    were ADDED, may be absent.
    """
    with open_parquet(path) as file:
        _check_schema(path, file.schema_arrow, table)
        return int(file.metadata.num_rows)


def _check_schema(path: Path, schema: pa.Schema, table: str) -> None:
    metadata = schema.metadata or {}
    found = metadata.get(_TABLE_KEY, b"?").decode(errors="replace")
    if found != table:
        raise IntegrityError(f"{path}: holds a table of kind {found!r}, expected {table!r}")
    version = metadata.get(_VERSION_KEY, b"0")
    if not version.isdigit() or len(version) > _LONGEST_VERSION or int(version) > SCHEMA_VERSION:
        raise IntegrityError(
            f"{path}: written with schema version {version[:40].decode(errors='replace')!r}, "
            f"this ffpipe reads up to {SCHEMA_VERSION}; update ffpipe"
        )
    added = [name for name in ADDED.get(table, ()) if name not in schema.names]
    expected = [field for field in SCHEMAS[table] if field.name not in added]
    if not schema.equals(pa.schema(expected), check_metadata=False):
        wanted = {(f.name, str(f.type)) for f in expected}
        given = {(f.name, str(f.type)) for f in schema}
        raise IntegrityError(f"{path}: columns differ from {table!r}: {_difference(wanted, given)}")


def _difference(wanted: Iterable[tuple[str, str]], given: Iterable[tuple[str, str]]) -> str:
    missing = sorted(set(wanted) - set(given))
    surplus = sorted(set(given) - set(wanted))
    return f"missing {missing}, surplus {surplus}" if missing or surplus else "the order of columns"
