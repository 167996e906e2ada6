"""Users' tables: split files as CSV and as Parquet."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.errors import IntegrityError, UsageError
from ffpipe.manifests.split_files import read_split_file

_TEXT = b'path,split,label,group\na/1.mp4,train,real,1\n"b,2.mp4",val,fake,2\n=c.mp4,test,,\n'
_FOLDER = TemporaryDirectory(prefix="fuzz-")


def seeds() -> Iterable[bytes]:
    """The same table in both formats."""
    sink = io.BytesIO()
    rows = {
        "path": ["a.mp4", "b.mp4"],
        "split": ["train", "test"],
        "label": [0.0, None],
        "media_id": ["x", "y"],
    }
    pq.write_table(pa.table(rows), sink)
    return [_TEXT, b"\xef\xbb\xbf" + _TEXT, sink.getvalue()]


def fuzz_one(data: bytes) -> None:
    """The table is refused with one line, or every row of it has a split, and a path or a content."""
    path = Path(_FOLDER.name) / ("t.parquet" if data[:4] == b"PAR1" else "t.csv")
    path.write_bytes(data)
    try:
        given = read_split_file(path)
    except (UsageError, IntegrityError) as error:
        assert "\n" not in error.message
        return
    assert all(row.name for row in given.rows)
    assert len(given.digest) == 16
