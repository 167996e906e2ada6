"""A report row in words: name, score with what a calibration gave, reason, warnings, and nothing made up."""

from __future__ import annotations

from typing import Any

import pytest
from names import report_row

from ffpipe.manifests.records import Concern, Status, Verdict
from ffpipe.manifests.schemas import to_table
from ffpipe.pipeline import tables
from ffpipe.pipeline.page import texts
from ffpipe.pipeline.page.report_rows import PageRow, clock, gravity, page_row


def shown(name: bytes = b"plain.mp4", **changes: Any) -> PageRow:
    (row,) = tables.text_rows(to_table("report", [report_row(name, **changes)]))
    return page_row(row, {"0" * 32: "videos/x.html"})


def test_a_name_is_folder_and_file_and_its_bytes_stand_there_only_where_they_differ() -> None:
    row = shown(b"in/deep/clip.mp4")
    assert (row.folder, row.file, row.escaped, row.link) == ("in/deep/", "clip.mp4", "", "videos/x.html")
    assert (shown(b"\xff.mp4").file, shown(b"\xff.mp4").escaped) == (r"\xff.mp4", "")
    assert (shown(rb"\xff.mp4").file, shown(rb"\xff.mp4").escaped) == (r"\xff.mp4", r"\\xff.mp4")
    assert shown("in/日.mp4".encode()).escaped == r"in/\xe6\x97\xa5.mp4"


def test_a_score_is_uncalibrated_or_has_what_the_calibration_gave() -> None:
    assert shown().calibrated == ("uncalibrated",)
    both = {"probability": 0.91, "log10_likelihood_ratio": 1.0}
    assert shown(**both).calibrated == ("probability 0.910", "log10 LR +1.00")
    assert shown(**both, posterior=0.2).calibrated[2] == "posterior 0.200"
    none = shown(score=None, verdict=Verdict.NOT_ASSESSABLE, status=Status.NO_FACE, worst_track=None)
    assert (none.score, none.score_key, none.gauge, none.calibrated) == ("-", "", None, ())
    assert (none.status, none.failed) == ("no face", False)


def test_the_gauge_has_the_bars_of_this_very_row() -> None:
    gauge = shown(score=0.25, threshold=0.8, inconclusive_from=0.5).gauge
    assert gauge is not None
    assert (gauge.at, gauge.band) == (25.0, (50.0, 30.0))
    assert shown(score=0.25).gauge == type(gauge)(25.0, None)


def test_the_worst_window_is_told_where_the_reason_does_not_name_it() -> None:
    assert shown().worst == ""
    longer = shown(
        worst_track_end_seconds=60.0, worst_window_start_seconds=20.0, worst_window_end_seconds=30.0
    )
    assert longer.worst == "Highest from 20.0 s to 30.0 s: 0.500"


def test_every_concern_and_every_status_has_words() -> None:
    assert shown(concerns=tuple(Concern)).concerns == tuple(texts.CONCERNS[concern][0] for concern in Concern)
    assert set(texts.STATUSES) == set(Status)
    assert set(texts.MEANINGS) == set(Verdict)


def test_rows_stand_the_gravest_first() -> None:
    grave = [report_row(verdict=verdict, score=0.5) for verdict in Verdict]
    rows = tables.text_rows(
        to_table("report", [*grave, report_row(verdict=Verdict.LIKELY_MANIPULATED, score=0.9)])
    )
    ordered = sorted(rows, key=gravity)
    assert [row["score"] for row in ordered[:2]] == [0.9, 0.5]
    assert [row["verdict"] for row in ordered[1:]] == [
        "likely_manipulated", "inconclusive", "not_assessable", "no_manipulation_found",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.0, "-"), (4.94, "4.9 s"), (65.2, "1:05"), (119.7, "2:00"), (3725.0, "1:02:05")],
)
def test_durations_read_like_a_clock(seconds: float | None, words: str) -> None:
    assert clock(seconds) == words


def test_content_credentials_stand_apart_from_the_reason() -> None:
    row = shown(reason="because", content_credentials='{"state": "untrusted"}')
    assert row.credentials == "content credentials intact, from a signer whom no trust list vouches for"
    assert row.reason == "because"
    assert shown(content_credentials='{"state": "absent"}').credentials == ""


def test_a_row_that_the_calibration_does_not_cover_is_not_called_uncalibrated() -> None:
    (row,) = tables.text_rows(to_table("report", [report_row()]))
    assert page_row(row, {}).calibrated == (texts.UNCALIBRATED,)
    assert page_row(row, {}, calibrated=True).calibrated == (texts.NOT_COVERED,)
