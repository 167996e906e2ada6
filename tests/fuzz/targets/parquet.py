"""The Parquet gate: footer and page headers of any file, and pyarrow behind it, reading what the gate let through."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet import read_batches
from ffpipe.manifests.records import MediaRecord, Status
from ffpipe.manifests.schemas import check_file, to_table

#: Rows that are read of what passes.
_ROWS = 10_000


def _file(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, write_page_checksum=True, **options)
    return sink.getvalue()


def seeds() -> Iterable[bytes]:
    """A shard, and tables of other writers' kinds."""
    media = [
        MediaRecord(f"{k:032x}", f"{k}.mp4", b"x", "0" * 64, k, Status.OK, reason="x" * k) for k in range(20)
    ]
    plain = pa.table({"path": ["a", "b", None], "list": [[1.0], [], None], "flag": [True, None, False]})
    extension = pa.table({"id": pa.array([b"\0" * 16], pa.uuid())})
    return [
        _file(to_table("media", media), compression="zstd", row_group_size=8),
        _file(plain, compression="snappy", data_page_version="2.0"),
        _file(plain, compression="none", use_dictionary=False, store_schema=False),
        _file(extension),
    ]


def fuzz_one(data: bytes) -> None:
    """The file is refused with one line that names it, or its rows can be read; no extension type is ever made."""
    descriptor = os.memfd_create("fuzz")
    path = Path(f"/proc/self/fd/{descriptor}")
    try:
        os.write(descriptor, data)
        try:
            check_file(path, "media")
        except IntegrityError as error:
            assert "\n" not in error.message
        read = 0
        for batch in read_batches(path, None, 256):
            assert not any(isinstance(field.type, pa.BaseExtensionType) for field in batch.schema)
            read += batch.num_rows
            if read > _ROWS:
                break
    except IntegrityError as error:
        assert str(path) in error.message
        assert "\n" not in error.message
    finally:
        os.close(descriptor)
