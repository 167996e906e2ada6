"""A user's table as rows of text, whichever of the two formats it is in."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffpipe.manifests.errors import IntegrityError, UsageError
from ffpipe.manifests.rows import SPLITS, allowed, columns_of, read_rows


def test_only_the_wanted_columns_are_read_and_each_row_has_its_place(tmp_path):
    csv, parquet = tmp_path / "t.csv", tmp_path / "t.parquet"
    csv.write_text("path,n,x\na,1,2\nb\n")
    pq.write_table(pa.table({"path": [b"a", b"caf\xe9"], "n": [True, None], "x": [[1], [2]]}), parquet)
    assert columns_of(csv) == columns_of(parquet) == {"path", "n", "x"}
    assert list(read_rows(csv, {"path", "n", "absent"})) == [
        (f"{csv}, line 2", {"path": "a", "n": "1"}),
        (f"{csv}, line 3", {"path": "b", "n": ""}),
    ]
    assert list(read_rows(parquet, {"path", "n"})) == [
        (f"{parquet}, row 1", {"path": "a", "n": "1"}),
        (f"{parquet}, row 2", {"path": "caf\udce9", "n": ""}),
    ]


def test_rows_are_numbered_across_batches(tmp_path, monkeypatch):
    monkeypatch.setattr("ffpipe.manifests.rows._BATCH", 2)
    pq.write_table(pa.table({"n": range(5)}), tmp_path / "t.parquet")
    places = [where.rpartition(" ")[2] for where, _ in read_rows(tmp_path / "t.parquet", {"n"})]
    assert places == ["1", "2", "3", "4", "5"]


def test_what_is_no_table_has_no_columns_and_cannot_be_read(tmp_path):
    for name in ("absent.csv", "t.mp4"):
        assert columns_of(tmp_path / name) == frozenset()
        with pytest.raises(UsageError, match=name):
            list(read_rows(tmp_path / name, {"path"}))
    (tmp_path / "t.parquet").write_bytes(b"no table at all")
    with pytest.raises(IntegrityError, match="not a Parquet file"):
        columns_of(tmp_path / "t.parquet")


def test_a_damaged_page_is_said(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"path": ["a" * 100] * 500}), path, write_page_checksum=True, compression=None)
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match="t.parquet: cannot be read"):
        list(read_rows(path, {"path"}))


def test_a_cell_that_is_not_allowed_is_named_with_those_that_are():
    assert allowed(SPLITS, {"split": " Validation "}, "split", "here") == "val"
    assert allowed(SPLITS, {}, "split", "here") is None
    with pytest.raises(UsageError, match="here: split 'half' is not one of train, val"):
        allowed(SPLITS, {"split": "half"}, "split", "here")
