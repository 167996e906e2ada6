"""The gate before pyarrow: what contradicts itself or would fill the memory is refused, and pyarrow is never asked."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from forged_parquet import BINARY, I64, Node, forged, with_footer, with_page

from ffpipe.manifests import parquet, parquet_footer, parquet_pages
from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet import open_parquet, read_batches, read_schema, read_table
from ffpipe.manifests.schemas import SCHEMAS

SMALL = pa.table({"number": [1, 2, 3], "text": ["a", "b", None], "list": [[1.0], [], [2.0, 3.0]]})
ONE = pa.table({"text": ["word"] * 500})


def refused(folder: Path, content: bytes, words: str) -> None:
    """The file is refused in these words, on one line that names it, before pyarrow sees any of it."""
    path = folder / "t.parquet"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pq, "ParquetFile", _not_asked)
        with pytest.raises(IntegrityError, match=words) as caught:
            read_schema(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def _not_asked(*_: object, **__: object) -> None:
    raise AssertionError("pyarrow opened a file that the gate should have refused")


def saved(folder: Path, table: pa.Table, **options: object) -> Path:
    pq.write_table(table, folder / "t.parquet", **options)
    return folder / "t.parquet"


# ---------------------------------------------------------------- what is sound is read


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_what_pyarrow_writes_is_read(tmp_path: Path, version: str, codec: str) -> None:
    path = saved(tmp_path, SMALL, version=version, compression=codec, data_page_version="2.0")
    assert read_table(path, ["number", "text", "list"]).equals(SMALL)
    assert [batch.num_rows for batch in read_batches(path, ["text"], 2)] == [2, 1]


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_every_table_of_ours_passes(tmp_path: Path, table: str) -> None:
    path = saved(tmp_path, SCHEMAS[table].empty_table(), compression="zstd", write_page_checksum=True)
    assert read_schema(path).equals(SCHEMAS[table])


def test_tables_of_pandas_duckdb_and_polars_pass(tmp_path: Path) -> None:
    import duckdb
    import polars as pl

    frame = pd.DataFrame({"path": [f"clips/{k}.mp4" for k in range(5000)], "label": [0, 1] * 2500})
    path = tmp_path / "t.parquet"
    writers: tuple[Callable[[], object], ...] = (
        lambda: frame.to_parquet(path),
        lambda: duckdb.from_df(frame).write_parquet(str(path)),
        lambda: pl.DataFrame(frame.to_dict("list")).write_parquet(path),
    )
    for write in writers:
        write()
        assert read_table(path, ["path", "label"]).to_pandas().equals(frame)


def test_what_pandas_noted_is_not_followed(tmp_path: Path) -> None:
    frame = pd.DataFrame({"n": pd.array([1, None], dtype="Int64")})
    frame.to_parquet(tmp_path / "t.parquet")
    assert pd.read_parquet(tmp_path / "t.parquet")["n"].dtype == "Int64", "the note would be followed"
    assert read_table(tmp_path / "t.parquet", ["n"]).to_pandas()["n"].dtype == "float64"


def test_a_missing_column_and_a_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"t\.parquet: has no column absent"):
        read_table(saved(tmp_path, SMALL), ["number", "absent"])
    with pytest.raises(IntegrityError, match=r"none\.parquet: cannot be read: No such file"):
        read_schema(tmp_path / "none.parquet")
    with pytest.raises(IntegrityError, match="not a regular file"):
        read_schema(tmp_path)


def test_text_that_is_none_is_told(tmp_path: Path) -> None:
    """Nothing but reading every value shows it."""
    path = tmp_path / "t.parquet"
    raw = forged(
        pa.table({"text": ["word" * 9]}), compression="none", use_dictionary=False, write_statistics=False
    )
    path.write_bytes(raw.replace(b"word", b"\xff\xfe\xfd\xfc"))
    with pytest.raises(IntegrityError, match=r"t\.parquet: cannot be read: .*UTF8"):
        list(read_batches(path, None, 100))


def test_a_file_whose_time_was_set_back_is_checked_again(tmp_path: Path) -> None:
    path = saved(tmp_path, SMALL)
    content = path.read_bytes()
    old = 10**18
    os.utime(path, ns=(old, old))
    assert read_schema(path).names == SMALL.schema.names
    path.write_bytes(content[:-8] + b"\xff" * 4 + content[-4:])
    os.utime(path, ns=(old, old))
    assert path.stat().st_size == len(content)
    with pytest.raises(IntegrityError, match="not a Parquet file, or cut short"):
        parquet.check_parquet(path)


def test_a_file_that_changes_is_checked_again(tmp_path: Path) -> None:
    path = saved(tmp_path, SMALL)
    with open_parquet(path):
        pass
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(IntegrityError, match="not a Parquet file"), open_parquet(path):
        pass


def test_the_file_that_is_read_is_the_file_that_was_checked(tmp_path: Path, monkeypatch) -> None:
    """Another one takes its name in between."""
    path = saved(tmp_path, SMALL)
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"hostile": [1]}), other)
    check = parquet._check

    def check_and_replace(file) -> None:
        check(file)
        other.replace(path)

    monkeypatch.setattr(parquet, "_check", check_and_replace)
    assert read_schema(path).names == SMALL.schema.names
    monkeypatch.undo()
    assert read_schema(path).names == ["hostile"]


# ---------------------------------------------------------------- what is forged is refused


def _first_piece(footer: Node) -> Node:
    found: Node = footer.at(4, 0, 1, 0, 3)
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.put(1, 3), "version 3 of Parquet"),
        (lambda f: f.put(3, 10**15), "says that it has 1000000000000000 rows; its row groups have 3"),
        (lambda f: f.put(3, -1), "says that it has -1 rows"),
        (lambda f: f.at(4, 0).put(3, -3), "a row group of -3 rows"),
        (lambda f: f.at(4, 0).put(3, 10**15), "column 'number' has 3 values in a row group"),
        (lambda f: _first_piece(f).put(5, 10**15), "column 'number' has 1000000000000000 values"),
        (lambda f: _first_piece(f).put(7, 1 << 40), "column 'number' lies outside the file"),
        (lambda f: _first_piece(f).put(9, -4) or _first_piece(f).pop(11), "lies outside the file"),
        (lambda f: _first_piece(f).put(9, 1 << 62) or _first_piece(f).pop(11), "lies outside the file"),
        (lambda f: _first_piece(f).put(4, 3), "compressed in a way that is not read"),
        (lambda f: _first_piece(f).put(1, 6), "another one in its row group than in the schema"),
        (lambda f: _first_piece(f).put(3, (BINARY, [b"text"])), "another one in its row group"),
        (lambda f: f.at(4, 0, 1, 0).put(1, b"/etc/passwd", BINARY), "said to be in another file"),
        (lambda f: f.at(4, 0, 1, 0).put(8, Node(), 12), "column 'number' is encrypted"),
        (lambda f: f.put(8, Node(), 12), "its columns are encrypted"),
        (lambda f: f.at(4, 0, 1)[1].pop(), "2 columns; the schema has 3"),
        (lambda f: f.at(2, 2).put(4, b"number"), "two columns called 'number'"),
        (lambda f: f.at(2, 0).put(5, 9), "the schema is cut short"),
        (lambda f: f.at(2, 0).put(5, 1), "columns outside the schema"),
        (lambda f: f.pop(2), "a field is missing"),
        (lambda f: f.put(4, 7, I64), "a field is missing or of another type"),
        (lambda f: f.put(4, (I64, [1, 2])), "a field is missing or of another type"),
    ],
)  # fmt: skip
def test_a_footer_that_contradicts_itself_is_refused(
    tmp_path: Path, change: Callable[[Node], object], words: str
) -> None:
    refused(tmp_path, forged(SMALL, change), words)


def test_one_column_twice_in_the_same_bytes_is_refused(tmp_path: Path) -> None:
    """Pages that are counted over and over are how a small file becomes large."""
    table = pa.table({name: list(range(400)) for name in "abc"})

    def overlap(footer: Node) -> None:
        places = footer.at(4, 0, 1)[1]
        for piece in places[1:]:
            for number in (7, 9, 11):
                piece.at(3).put(number, places[0].at(3, number))

    refused(tmp_path, forged(table, overlap), "two of its columns lie in the same bytes")


def test_encrypted_footers_and_other_files_are_refused(tmp_path: Path) -> None:
    content = forged(SMALL)
    refused(tmp_path, content[:-4] + b"PARE", "its footer is encrypted")
    refused(tmp_path, content[:-1], "not a Parquet file")
    refused(tmp_path, b"PAR1" + b"\xff" * 40 + b"PAR1", "not a Parquet file, or cut short")
    refused(tmp_path, content[:-8] + (1 << 20).to_bytes(4, "little") + b"PAR1", "or cut short")
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, SMALL.schema) as writer:
        writer.write_table(SMALL)
    refused(tmp_path, sink.getvalue(), "not a Parquet file")


def test_footers_are_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = forged(SMALL)
    length = int.from_bytes(content[-8:-4], "little")
    monkeypatch.setattr(parquet, "MAX_FOOTER", length)
    path = tmp_path / "sound.parquet"
    path.write_bytes(content)
    assert read_schema(path).names == SMALL.schema.names
    refused(tmp_path, with_footer(content, lambda f: f.put(6, f.at(6) + b"x")), f"the limit is {length}")


def test_a_footer_full_of_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_footer, "_MAX_VALUES", 1000)
    empty = (12, [Node()] * 1100)
    refused(tmp_path, forged(SMALL, lambda f: f.put(7, empty)), "a list of 1100 values")
    refused(tmp_path, forged(SMALL, lambda f: f.put(4, (12, [Node()] * 800))), "a field is missing")


@pytest.mark.parametrize("levels", [11, 12, 5000])
def test_nesting_is_bounded(tmp_path: Path, levels: int) -> None:
    """The root is a level, too."""

    def deepen(footer: Node) -> None:
        groups = [Node({4: (BINARY, b"g"), 5: (5, 1)}) for _ in range(levels)]
        leaf = footer.at(2)[1][1]
        footer.put(2, (12, [footer.at(2)[1][0], *groups, leaf]))
        path = (BINARY, [*[b"g"] * levels, b"n"])
        _first_piece(footer).put(3, path)

    content = forged(pa.table({"n": [1]}), deepen, store_schema=False)
    if levels < 12:
        (tmp_path / "sound.parquet").write_bytes(content)
        assert read_schema(tmp_path / "sound.parquet").names == ["g"]
    else:
        refused(tmp_path, content, "nested more than 12 deep|at most 8192")


def test_rows_and_columns_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_footer, "MAX_ROWS", 3)
    monkeypatch.setattr(parquet_footer, "_MAX_COLUMNS", 3)
    assert read_schema(saved(tmp_path, SMALL)).names == SMALL.schema.names
    refused(tmp_path, forged(pa.table({"n": [1] * 4})), "4 rows; at most 3 are read")
    refused(tmp_path, forged(pa.table({name: [1] for name in "abcd"})), "4 columns; at most 3")


# ---------------------------------------------------------------- bombs


def test_a_dictionary_of_long_texts_is_refused_at_full_size(tmp_path: Path) -> None:
    """A few kilobytes that pyarrow would make 3 GB of."""
    rows = 3000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * 1_000_000])
    options = {"compression": "zstd", "dictionary_pagesize_limit": 2 << 20, "store_schema": False}
    content = forged(pa.table({"text": texts}), **options)
    assert len(content) < 10_000
    refused(tmp_path, content, "unpacks to more than 2 GiB")


def test_bombs_are_measured_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 short texts from a dictionary with one long text that no row has: counted as if each had it, no more."""
    long = 10_000
    values = pa.DictionaryArray.from_arrays(pa.array([1] * 500, pa.int32()), ["x" * long, "y"])
    content = forged(pa.table({"text": values}), compression="zstd", write_statistics=False)
    (tmp_path / "one.parquet").write_bytes(content)
    with (tmp_path / "one.parquet").open("rb") as file:
        length = int.from_bytes(content[-8:-4], "little")
        footer = parquet_footer.read_footer(content[-8 - length : -8], len(content) - 8 - length)
        ((_, pieces),) = footer.groups
        monkeypatch.setattr(parquet_pages, "MAX_GROUP_BYTES", 500 * long)
        with pytest.raises(parquet_footer.ParquetFault, match="unpacks to more than"):
            parquet_pages.group_bytes(file.fileno(), pieces)
        monkeypatch.setattr(parquet_pages, "MAX_GROUP_BYTES", 502 * long + 500 * 8)
        assert parquet_pages.group_bytes(file.fileno(), pieces) >= 500 * long


def test_runs_of_nothing_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A million nulls take some bytes in the file and eight megabytes in memory."""
    content = forged(pa.table({"n": pa.nulls(1_000_000, pa.int64())}))
    assert len(content) < 3000
    monkeypatch.setattr(parquet_pages, "MAX_GROUP_BYTES", 7_999_999)
    refused(tmp_path, content, "unpacks to more than")
    monkeypatch.setattr(parquet_pages, "MAX_GROUP_BYTES", 8_000_000)
    (tmp_path / "u.parquet").write_bytes(content)
    assert read_schema(tmp_path / "u.parquet").names == ["n"]


@pytest.mark.parametrize(
    ("page", "change", "words"),
    [
        (1, lambda h: h.put(2, (1 << 31) - 1), "unpacks to more than 2 GiB"),
        (0, lambda h: h.put(2, (1 << 31) - 1), "a dictionary of 2147483647 bytes"),
        (1, lambda h: h.put(2, -1), "a page lies outside its column"),
        (1, lambda h: h.put(3, 1 << 30), "a page lies outside its column"),
        (1, lambda h: h.put(3, -5), "a page lies outside its column"),
        (1, lambda h: h.at(5).put(1, 499), "hold 499 values, 500 are said"),
        (1, lambda h: h.at(5).put(1, -1), "a page of -1 values"),
        (1, lambda h: h.at(5).put(2, 7), "encoding 7, which is not read"),
        (1, lambda h: h.put(1, 9), "a page of kind 9"),
        (1, lambda h: h.pop(5), "a page's header is damaged"),
        (1, lambda h: h.put(60, b"x" * (1 << 20), BINARY), "a page's header is damaged"),
    ],
)
def test_a_page_that_lies_is_refused(
    tmp_path: Path, page: int, change: Callable[[Node], object], words: str
) -> None:
    refused(tmp_path, with_page(forged(ONE, compression="zstd"), page, change), words)


def test_texts_that_repeat_their_beginnings_for_nothing_are_refused(tmp_path: Path) -> None:
    content = forged(ONE, use_dictionary=False, column_encoding={"text": "DELTA_BYTE_ARRAY"})
    refused(tmp_path, content, "encoding 7, which is not read")
