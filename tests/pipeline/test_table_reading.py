"""Tables read back: the same rows from each format, and nothing that ffpipe did not write."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from names import NAMES, report_row

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import ScoreRecord
from ffpipe.manifests.schemas import ADDED, to_table
from ffpipe.pipeline import tables
from ffpipe.pipeline.table_reading import content_digest, read_table, unescape_bytes

SUFFIXES = [".parquet", ".csv", ".json", ".jsonl"]


def report() -> pa.Table:
    """Every name, and the values that text is likeliest to lose."""
    edges = [
        report_row(b"x.mp4", sha256="", reason="'=1+1", score=1e-7),
        report_row(b"y.mp4", reason=None, score=0.1, threshold=1 / 3, crops_accepted=True),
        report_row(b"z.mp4", score=None, sampled_frames=(), sampled_seconds=()),
        report_row(b"w.mp4", sampled_frames=(0, 7), sampled_seconds=(0.0, 0.1 + 0.2)),
    ]
    return to_table("report", [*map(report_row, NAMES), *edges])


def scores() -> pa.Table:
    boxes = {"box": (0.1, 2.5, 30.0, 40.0), "crop_box": (-8, 0, 56, 64)}
    face = ScoreRecord("f", "m", 0, 3, 1 / 3, "id", 1.1, 0.7, **boxes)
    return to_table("scores", [face, ScoreRecord("g", "m", 1, 3, 2 / 3, "id", -5.0, 1e-9)])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("name", "table"), [("report", report()), ("scores", scores())])
def test_every_row_comes_back_with_its_types(tmp_path: Path, suffix: str, name: str, table: pa.Table) -> None:
    path = tmp_path / f"t{suffix}"
    tables.write_table(path, table)
    found = read_table(path, name)
    assert found.schema.equals(table.schema)
    assert found.equals(table)
    assert content_digest(found) == content_digest(table)
    tables.write_table(path, table.slice(0, 0))
    assert read_table(path, name).num_rows == 0


def test_the_digest_is_of_rows_and_their_order(tmp_path: Path) -> None:
    table = report()
    turned = table.take(list(reversed(range(table.num_rows))))
    assert content_digest(table)["rows"] == content_digest(turned)["rows"] == table.num_rows
    assert content_digest(table)["sha256"] != content_digest(turned)["sha256"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_columns_that_came_later_may_be_absent(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t{suffix}"
    tables.write_table(path, scores().drop_columns(list(ADDED["scores"])))
    assert read_table(path, "scores").column("box").null_count == 2


@given(st.binary())
def test_bytes_come_back(content: bytes) -> None:
    assert unescape_bytes(tables.escape_bytes(content)) == content


@pytest.mark.parametrize("text", ["\\", "\\x0", "\\xZZ", "\\n", "é", "\n"])
def test_text_that_stands_for_no_bytes_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no bytes"):
        unescape_bytes(text)


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_row_without_what_each_has_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"gap{suffix}"
    at = scores().schema.get_field_index("track_id")
    nothing = pa.nulls(scores().num_rows, pa.int32())
    tables.write_table(path, scores().set_column(at, "track_id", nothing))
    with pytest.raises(StorageError, match="track_id is missing"):
        read_table(path, "scores")


def test_what_ffpipe_did_not_write_is_refused_with_its_name(tmp_path: Path) -> None:
    foreign = {
        "a.csv": "x,y\n1,2\n",
        "b.json": "[]",
        "c.json": json.dumps({"rows": [{"path": 1}]}),
        "d.jsonl": "{\n",
        "e.csv": '"open',
        "f.json": "[" * 100_000,
        "g.parquet": "PAR1",
    }
    for name, content in foreign.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(StorageError, match=name):
            read_table(tmp_path / name, "report")
    tables.write_table(tmp_path / "h.json", report())
    text = (tmp_path / "h.json").read_text()
    (tmp_path / "h.json").write_text(text.replace('"score": 0.5', '"score": true', 1))
    with pytest.raises(StorageError, match="h.json"):
        read_table(tmp_path / "h.json", "report")
    (tmp_path / "i.json").write_text(text.replace('"bytes": ', f'"bytes": {2**70}', 1))
    with pytest.raises(StorageError, match="i.json"):
        read_table(tmp_path / "i.json", "report")
    os.mkfifo(tmp_path / "j.csv")
    with pytest.raises(StorageError, match="not a regular file"):
        read_table(tmp_path / "j.csv", "report")
    with pytest.raises(UsageError, match="unknown suffix"):
        read_table(tmp_path / "h.html", "report")
    with pytest.raises(StorageError, match="cannot be read"):
        read_table(tmp_path / "none.csv", "report")
