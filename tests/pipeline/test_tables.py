"""Files of tables: every format keeps every name, executes none of them, and says who made it."""

import csv
import io
import json
import os

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from names import NAMES, report_row

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.schemas import SCHEMAS, to_table
from ffpipe.pipeline import tables

SUFFIXES = [".parquet", ".csv", ".json", ".jsonl"]

PROVENANCE = {"id": "abc", "command": ["ffpipe", "score", "<script>"], "started": "2026-01-01T00:00:00+00:00"}


def report_of(names=NAMES):
    return tables.with_provenance(to_table("report", [report_row(name) for name in names]), PROVENANCE)


def unescape(text):
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


@pytest.fixture(params=SUFFIXES)
def written(request, tmp_path):
    path = tmp_path / f"report{request.param}"
    tables.write_table(path, report_of())
    return path


def rows_of(path):
    """The rows of a file by readers that are not ours."""
    text = path.read_text(encoding="utf-8") if path.suffix != ".parquet" else ""
    return {
        ".parquet": lambda: pq.read_table(path).to_pylist(),
        ".csv": lambda: list(csv.DictReader(io.StringIO(text))),
        ".json": lambda: json.loads(text)["rows"],
        ".jsonl": lambda: [json.loads(line) for line in text.splitlines()],
    }[path.suffix]()


def test_every_name_comes_back_byte_for_byte(written):
    found = [row["path_bytes"] for row in rows_of(written)]
    assert [unescape(name) if isinstance(name, str) else name for name in found] == NAMES


def test_every_name_is_inert(written):
    rows = rows_of(written)
    assert len(rows) == len(NAMES)
    for row in rows:
        assert all(character.isprintable() for character in row["path"])
    raw = written.read_bytes()
    if written.suffix != ".parquet":
        assert b"\x1b" not in raw
        assert raw.count(b"\r") == 0
    if written.suffix in (".json", ".jsonl"):
        assert b"<" not in raw
    if written.suffix == ".csv":
        cells = [cell for row in csv.reader(io.StringIO(raw.decode())) for cell in row]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@\t\r＝＋－＠"))]


def test_pandas_duckdb_and_polars_read_it(written):
    name, suffix = str(written), written.suffix
    if suffix == ".json":
        frames = [pd.DataFrame(json.loads(written.read_text())["rows"])]
        count = duckdb.sql(
            f"select len(rows) from read_json('{name}', maximum_object_size=100000000)"
        ).fetchall()
        assert count == [(len(NAMES),)]
    else:
        read_pandas = {
            ".parquet": pd.read_parquet,
            ".csv": pd.read_csv,
            ".jsonl": lambda p: pd.read_json(p, lines=True),
        }
        read_polars = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}
        frames = [
            read_pandas[suffix](name),
            read_polars[suffix](name),
            duckdb.sql(f"select * from '{name}'").df(),
        ]
    for frame in frames:
        assert len(frame) == len(NAMES)
        assert list(frame["path"])[0] == "plain.mp4"
        assert list(frame["score"]) == [0.5] * len(NAMES)
        assert set(frame["verdict"]) == {"inconclusive"}
        assert not any(frame["crops_accepted"])


def test_provenance_is_found_again(written):
    assert tables.read_provenance(written) == PROVENANCE
    beside = sorted(p.name for p in written.parent.iterdir())
    room = written.suffix in (".parquet", ".json")
    assert beside == [written.name] if room else [written.name, f"{written.name}.provenance.json"]


def test_parquet_keeps_the_schema_and_its_version(tmp_path):
    tables.write_table(tmp_path / "r.parquet", report_of())
    schema = pq.read_schema(tmp_path / "r.parquet")
    assert schema.equals(SCHEMAS["report"])
    assert schema.metadata[b"ffpipe.table"] == b"report"
    assert schema.metadata[b"ffpipe.schema_version"] == SCHEMAS["report"].metadata[b"ffpipe.schema_version"]


def test_report_tables_stand_beside_each_other(tmp_path):
    empty = {name: SCHEMAS[name].empty_table() for name in ("tracks", "scores")}
    files = tables.write_report(tmp_path / "a.b.csv", {"report": report_of(), **empty})
    assert files[0] == tmp_path / "a.b.csv"
    assert {f.name for f in files} >= {
        "a.b.csv",
        "a.b.tracks.csv",
        "a.b.scores.csv",
        "a.b.csv.provenance.json",
    }
    assert all(f.exists() for f in files)
    assert (tmp_path / "a.b.tracks.csv").read_text().startswith("media_id,track_id,")


def test_a_page_has_parquet_beside_it_and_its_provenance_in_it(tmp_path):
    empty = {name: SCHEMAS[name].empty_table() for name in ("tracks", "scores")}
    files = tables.write_report(tmp_path / "r.html", {"report": report_of(), **empty})
    assert sorted(file.name for file in files) == ["r.html", "r.html.scores.parquet", "r.html.tracks.parquet"]
    others = tables.output_files(tmp_path / "r.parquet", ["tracks", "scores"])
    assert not set(files) & set(others), "a page beside a report of the same name spoils none of its tables"
    assert tables.read_provenance(tmp_path / "r.html") == PROVENANCE
    assert set(files) <= set(tables.output_files(tmp_path / "r.html", ["tracks", "scores"]))
    with pytest.raises(UsageError, match=r"only a report is written as \.html"):
        tables.write_table(tmp_path / "t.html", SCHEMAS["tracks"].empty_table())
    assert not (tmp_path / "t.html").exists()


@pytest.mark.parametrize("suffix", [".json", ".jsonl", ".csv"])
def test_numbers_that_are_none_are_null_and_empty_tables_are_tables(tmp_path, suffix):
    path = tmp_path / f"r{suffix}"
    tables.write_table(path, pa.table({"score": [float("nan"), float("inf"), 0.5]}))
    found = [row["score"] for row in rows_of(path)]
    assert found == (["", "", "0.5"] if suffix == ".csv" else [None, None, 0.5])
    tables.write_table(path, SCHEMAS["report"].empty_table())
    assert rows_of(path) == []


def test_wrong_outputs_are_refused_before_any_work(tmp_path):
    for name in ("report.xlsx", "report", "report.parquet.gz"):
        with pytest.raises(UsageError, match=r"allowed: \.csv, \.html, \.json, \.jsonl, \.parquet"):
            tables.check_output(tmp_path / name)
    with pytest.raises(UsageError, match="does not exist"):
        tables.check_output(tmp_path / "nowhere" / "report.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        tables.check_output(tmp_path / "folder.csv")
    tables.check_output(tmp_path / "REPORT.CSV")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"r{suffix}"
    tables.write_table(path, report_of(NAMES[:1]))
    before, names = path.read_bytes(), sorted(tmp_path.iterdir())

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        tables.write_table(path, report_of())
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == names


def test_provenance_that_is_missing_is_said(tmp_path):
    (tmp_path / "r.csv").write_text("a\n")
    with pytest.raises(StorageError, match="no provenance"):
        tables.read_provenance(tmp_path / "r.csv")
