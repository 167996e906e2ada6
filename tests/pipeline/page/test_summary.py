"""The first sentence says what was found, in words that cannot be taken for more."""

from __future__ import annotations

from typing import Any

import pytest

from ffpipe.manifests.records import Status, Verdict
from ffpipe.pipeline.page.summary import counted, noun, sentence

LIKELY, DOUBT, LOST, NOTHING = (
    Verdict.LIKELY_MANIPULATED, Verdict.INCONCLUSIVE, Verdict.NOT_ASSESSABLE, Verdict.NO_MANIPULATION_FOUND,
)  # fmt: skip


def rows(
    *verdicts: Verdict, duration: float | None = 3.0, status: Status = Status.OK
) -> list[dict[str, Any]]:
    return [{"verdict": verdict.value, "status": status.value, "duration": duration} for verdict in verdicts]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ([LIKELY] * 12 + [NOTHING] * 25 + [LOST] * 3,
         "12 of 40 videos are likely manipulated; 3 could not be assessed."),
        ([LIKELY, DOUBT, NOTHING], "1 of 3 videos is likely manipulated; 1 is inconclusive."),
        ([DOUBT, DOUBT], "None of 2 videos is called likely manipulated; 2 are inconclusive."),
        ([NOTHING] * 2, "None of 2 videos is called likely manipulated."),
        ([LIKELY] * 2, "All 2 videos are likely manipulated."),
        ([LIKELY], "This video is likely manipulated."),
        ([DOUBT], "The verdict on this video is inconclusive."),
        ([LOST], "This video could not be assessed."),
        ([NOTHING], "No manipulation was found in this video."),
        ([], "There was nothing to assess."),
    ],
)  # fmt: skip
def test_the_sentence_counts_what_matters(found: list[Verdict], words: str) -> None:
    assert sentence(rows(*found)) == words


def test_an_image_makes_them_files_and_what_failed_does_not_count() -> None:
    assert noun(rows(LIKELY) + rows(LIKELY, duration=0.0)) == "file"
    assert noun(rows(LIKELY) + rows(LOST, duration=None, status=Status.MISSING)) == "video"
    assert noun(rows(LOST, duration=None, status=Status.MISSING)) == "file"
    assert [counted(count, "file") for count in (1, 0, 12345)] == ["1 file", "0 files", "12,345 files"]
