"""A result table as a data frame: whole numbers stay whole, closed sets are categories, provenance comes along."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from ffpipe.manifests.records import Status, Verdict
from ffpipe.manifests.schemas import SCHEMAS
from ffpipe.pipeline.data_frames import data_frame
from ffpipe.pipeline.tables import with_provenance


@pytest.fixture(scope="module")
def report() -> pa.Table:
    """Two rows of a report: one with all values of interest, and one without any that may be null."""
    given = {
        "path": ["a.mp4", "b.mp4"],
        "path_bytes": [b"a.mp4", b"b.mp4"],
        "status": ["ok", "no_face"],
        "verdict": ["inconclusive", "not_assessable"],
        "score": [0.5, None],
        "worst_track": [3, None],
        "bytes": [1 << 40, 5],
        "n_faces": [7, 0],
        "crops_accepted": [False, True],
        "sampled_frames": [[0, 5], []],
    }
    schema = SCHEMAS["report"]
    columns = [pa.array(given.get(field.name, [None, None]), field.type) for field in schema]
    return with_provenance(
        pa.Table.from_arrays(columns, schema=schema), {"id": "f00d", "model": {"detector": "x"}}
    )


def test_whole_numbers_stay_whole_and_missing_ones_missing(report: pa.Table) -> None:
    frame = data_frame(report)
    assert frame["worst_track"].dtype == "Int32" and frame["worst_track"].tolist() == [3, pd.NA]
    assert frame["bytes"].dtype == "Int64" and frame["bytes"].sum() == (1 << 40) + 5
    assert frame["n_faces"].dtype == "Int32"
    assert frame["score"].dtype == "float64" and frame["score"].isna().tolist() == [False, True]
    assert frame["crops_accepted"].dtype == bool
    assert [list(frames) for frames in frame["sampled_frames"]] == [[0, 5], []]


def test_closed_sets_are_categories_that_compare_with_their_words_and_members(report: pa.Table) -> None:
    frame = data_frame(report)
    assert frame["verdict"].cat.categories.tolist() == [verdict.value for verdict in Verdict]
    assert frame["status"].cat.categories.tolist() == [status.value for status in Status]
    assert (frame["verdict"] == "inconclusive").tolist() == [True, False]
    assert (frame["status"] == Status.NO_FACE).tolist() == [False, True]
    assert frame["verdict"].value_counts()["likely_manipulated"] == 0


def test_provenance_comes_along_also_through_a_choice_of_rows_and_a_file(
    report: pa.Table, tmp_path: Path
) -> None:
    frame = data_frame(report)
    assert frame.attrs["provenance"] == {"id": "f00d", "model": {"detector": "x"}}
    assert frame[frame["score"] > 0.1].attrs == frame.attrs
    frame.to_parquet(tmp_path / "r.parquet")
    assert pd.read_parquet(tmp_path / "r.parquet").attrs == frame.attrs
    assert data_frame(pa.table({"n": [1]})).attrs == {"provenance": {}}
