"""What counts as a difference of two tables: values beyond a tolerance, but not columns newer than the report."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

from ffpipe.manifests.schemas import SCHEMAS
from ffpipe.pipeline.verification.differences import added_later, compare_report, compare_tables

TOLERANCE = 1e-5


def scores(*rows: dict[str, Any]) -> pa.Table:
    blank = dict.fromkeys(SCHEMAS["scores"].names)
    made = [{**blank, "media_id": "m", "frame_index": k, "track_id": 0, **row} for k, row in enumerate(rows)]
    return pa.Table.from_pylist(made, SCHEMAS["scores"])


def differing(then: pa.Table, now: pa.Table) -> list[str]:
    found = compare_tables({"scores": then}, {"scores": now}, TOLERANCE)
    return [f"{each.row}: {each.name}" for each in found["m"]]


def test_a_column_that_a_report_is_too_old_for_is_not_compared() -> None:
    box = [1.0, 2.0, 3.0, 4.0]
    now = scores({"score": 0.5, "box": box}, {"score": 0.5, "box": box})
    older = scores({"score": 0.5}, {"score": 0.5})
    assert added_later("scores", older) == {"box", "crop_box", "crop_side", "sharpness"}
    assert differing(older, now) == []


def test_a_value_that_was_taken_out_of_a_newer_column_is_a_difference() -> None:
    box = [1.0, 2.0, 3.0, 4.0]
    now = scores({"score": 0.5, "box": box}, {"score": 0.5, "box": box})
    assert differing(scores({"score": 0.5, "box": box}, {"score": 0.5}), now) == [
        "frame_index 1, track_id 0: box"
    ]


def test_scores_may_differ_by_the_tolerance_and_boxes_by_a_hundredth_of_a_pixel() -> None:
    then = scores({"score": 0.5, "box": [1.0, 2.0, 3.0, 4.0]})
    near = scores({"score": 0.5 + TOLERANCE / 2, "box": [1.005, 2.0, 3.0, 4.0]})
    far = scores({"score": 0.5 + TOLERANCE * 2, "box": [1.02, 2.0, 3.0, 4.0]})
    assert differing(then, near) == []
    assert differing(then, far) == ["frame_index 0, track_id 0: score", "frame_index 0, track_id 0: box"]


def test_a_report_row_is_compared_but_for_the_columns_apart() -> None:
    then = {"path": "a", "path_bytes": os.fsencode("a"), "score": 0.5, "sampled_frames": None}
    now = {**then, "path": "/moved/a", "path_bytes": b"/moved/a", "sampled_frames": 32}
    found = compare_report(then, now, TOLERANCE)
    assert [(each.name, each.then, each.now) for each in found] == [("sampled_frames", None, 32)]
    assert compare_report(then, now, TOLERANCE, {"sampled_frames"}) == []
