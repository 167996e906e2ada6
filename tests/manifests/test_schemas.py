from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.records import SIDA_LENGTH, FaceRecord, Label, MediaRecord, Split, Status
from ffpipe.manifests.schemas import (
    RECORD_TYPES,
    SCHEMA_VERSION,
    SCHEMAS,
    check_file,
    from_table,
    to_table,
)


def face(number: int = 0, landmarks: tuple[float, ...] | None = None) -> FaceRecord:
    sida = np.random.default_rng(number).normal(size=SIDA_LENGTH).astype(np.float32)
    return FaceRecord(
        face_id=f"m-{number:06d}-000",
        media_id="m",
        track_id=0,
        frame_index=number,
        pts_seconds=number / 25,
        box=(1.0, 2.0, 33.0, 44.0),
        crop_box=(0, 0, 64, 64),
        detector="mtcnn",
        confidence=0.99,
        landmarks=landmarks,
        sharpness=12.5,
        crop_side=64,
        stored_side=64,
        crop=bytes([number]) * 10,
        sida=sida,
    )


def medium(**changes: object) -> MediaRecord:
    facts = dict(
        media_id="m", path="a.mp4", path_bytes=b"a.mp4", sha256="0" * 64, bytes=3, status=Status.OK,
        label=Label.FAKE, split=Split.VAL, fps=29.97,
    )  # fmt: skip
    return MediaRecord(**(facts | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("table", sorted(RECORD_TYPES))
def test_every_field_of_a_record_is_a_column_and_an_empty_table_has_them_all(table: str) -> None:
    assert SCHEMAS[table].names == [f.name for f in fields(RECORD_TYPES[table])]
    assert to_table(table, []).schema.equals(SCHEMAS[table])


def test_media_survive_a_round_trip_with_their_enumerations() -> None:
    records = [medium(), medium(label=None, split=None, status=Status.MISSING, reason="no such file")]
    assert from_table(to_table("media", records), MediaRecord) == records


@pytest.mark.parametrize("landmarks", [None, tuple(float(i) for i in range(10))])
def test_faces_survive_a_round_trip(tmp_path: Path, landmarks: tuple[float, ...] | None) -> None:
    pq.write_table(to_table("faces", [face(1, landmarks), face(2)]), tmp_path / "f.parquet")
    back = from_table(pq.read_table(tmp_path / "f.parquet"), FaceRecord)
    assert back[0].landmarks == landmarks
    assert back[1].crop == bytes([2]) * 10
    np.testing.assert_array_equal(back[1].sida, face(2).sida)


def test_shards_are_readable_with_pandas_duckdb_and_polars(tmp_path: Path) -> None:
    path = tmp_path / "faces.parquet"
    pq.write_table(to_table("faces", [face(n) for n in range(5)]), path, compression="zstd")
    frame = pd.read_parquet(path)
    assert frame["sida"].iloc[3].tolist() == face(3).sida.tolist()
    rows = duckdb.sql(f"SELECT frame_index, len(sida), sida[1] FROM '{path}' ORDER BY 1").fetchall()
    assert rows[4] == (4, SIDA_LENGTH, pytest.approx(float(face(4).sida[0])))
    assert pl.read_parquet(path)["crop"].to_list()[2] == bytes([2]) * 10


def test_a_face_prints_shapes_and_not_pixels() -> None:
    assert repr(face(1)) == "FaceRecord(m-000001-000, track=0, t=0.040s, crop=64px stored 64px, 10 bytes)"


class _Armed(pa.ExtensionType):
    """Fails the test as soon as anything deserialises it."""

    def __init__(self) -> None:
        super().__init__(pa.int64(), "test.armed")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, serialized: bytes) -> _Armed:
        raise SystemExit("a forged shard ran code")


@pytest.mark.parametrize("nested", [False, True])
def test_extension_types_are_refused_before_anything_of_them_runs(tmp_path: Path, nested: bool) -> None:
    path = tmp_path / "forged.parquet"
    column = pa.ExtensionArray.from_storage(_Armed(), pa.array([1, 2]))
    column = pa.StructArray.from_arrays([column], names=["inner"]) if nested else column
    pq.write_table(pa.table({"media_id": column}), path)
    pa.register_extension_type(_Armed())
    try:
        with pytest.raises(IntegrityError, match="extension types"):
            check_file(path, "media")
    finally:
        pa.unregister_extension_type("test.armed")


def test_a_newer_schema_another_table_and_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = to_table("media", [medium()])
    newer = {**table.schema.metadata, b"ffpipe.schema_version": str(SCHEMA_VERSION + 1).encode()}
    pq.write_table(table.replace_schema_metadata(newer), path)
    with pytest.raises(IntegrityError, match="update ffpipe"):
        check_file(path, "media")
    pq.write_table(table, path)
    check_file(path, "media")
    with pytest.raises(IntegrityError, match="kind 'media', expected 'faces'"):
        check_file(path, "faces")
    pq.write_table(table.drop(["label"]), path)
    with pytest.raises(IntegrityError, match=r"missing \[\('label', 'int8'\)\]"):
        check_file(path, "media")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"x" * 100, b"PAR1" + b"\xff" * 40 + b"PAR1"])
def test_what_is_no_parquet_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(IntegrityError, match="t.parquet"):
        check_file(tmp_path / "t.parquet", "media")


def test_errors_cross_processes() -> None:
    from ffpipe.manifests.errors import MediaError, StorageError

    error = pickle.loads(pickle.dumps(MediaError("timeout", "took\nlonger")))
    assert (error.status, error.reason) == ("timeout", "took longer")
    assert pickle.loads(pickle.dumps(StorageError("disk full"))).exit_code == 74
