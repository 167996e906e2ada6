"""What a decoding child may say, and what is taken for nonsense."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from ffpipe.manifests.records import Probe, Status
from ffpipe.stages.decode import answers
from ffpipe.stages.decode.answers import Nonsense

SOUND = asdict(
    Probe(container="mov", codec="h264", width=4, height=3, fps=25.0, duration=1.5, frame_count=38)
)


def test_sound_answers_are_taken() -> None:
    assert answers.probe_of({"probe": SOUND}) == Probe(**SOUND)
    assert answers.count_of({"slot": 2}, "slot") == 2
    assert answers.index_of({"index": 2**40}) == 2**40
    assert answers.seconds_of({"pts": -1}) == -1.0
    assert answers.file_of({"file": [1, 2, 3]}) == (1, 2, 3)
    assert answers.file_of({"file": None}) is None
    assert answers.reason_of({"partial_reason": None}, "partial_reason") is None
    refused = answers.refusal_of({"status": "too_large", "reason": "a\nb"})
    assert (refused.status, refused.reason) == (Status.TOO_LARGE, "a b")


@pytest.mark.parametrize(
    "probe",
    [
        None, 3, [], {"no": 1}, {**SOUND, "width": "wide"}, {**SOUND, "width": 1 << 40}, {**SOUND, "codec": 5},
        {**SOUND, "duration": float("nan")}, {**SOUND, "duration": -1.0}, {**SOUND, "fps": [1]}, {**SOUND, "fps": {}},
    ],
)  # fmt: skip
def test_a_header_that_no_table_could_hold_is_nonsense(probe: Any) -> None:
    with pytest.raises(Nonsense):
        answers.probe_of({"probe": probe})


@pytest.mark.parametrize("value", [None, -1, 1 << 31, "1", 1.5, [1]])
def test_a_count_is_a_number_that_fits(value: Any) -> None:
    with pytest.raises(Nonsense):
        answers.count_of({"targets": value}, "targets")


@pytest.mark.parametrize("value", [None, "1", float("inf"), float("nan"), []])
def test_a_time_is_a_number(value: Any) -> None:
    with pytest.raises(Nonsense):
        answers.seconds_of({"pts": value})


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"status": "fine", "reason": ""},
        {"status": "crashed"},
        {"status": "ok", "reason": ""},
        {"status": [], "reason": ""},
    ],
)
def test_a_refusal_names_a_status(message: Any) -> None:
    with pytest.raises(Nonsense):
        answers.refusal_of(message)


@pytest.mark.parametrize("value", [3, ["a"], {"a": 1}, "x"])
def test_facts_of_a_file_are_numbers(value: Any) -> None:
    with pytest.raises(Nonsense):
        answers.file_of({"file": value})
