"""What a run has seen: by content, by clip, through its teacher; and what runs of earlier versions do not tell."""

from __future__ import annotations

from typing import Any

import pytest
from training_faces import media_record

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.pipeline.overlap import check_overlap, clips_of, require_new, taught_from, tied_to


def medium(number: int, clip: str | None = None, quality: str | None = None) -> MediaRecord:
    return media_record(number, f"g{number}", Label.REAL, Split.TEST, "set", 1, pair_id=clip, quality=quality)


def name(number: int) -> str:
    return f"{number:032x}"


def config(*trained: int, clips: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {"train_media": [*map(name, trained)], "train_clips": [*clips], "data": {"quality": "c40"}, **more}


SHOWN = [medium(1, "a", "c23"), medium(2, "b", "c23"), medium(3, "c", "c23"), medium(4)]


def test_what_was_not_seen_passes_without_a_word() -> None:
    teacher = {"quality": "c0", "train_media": [name(8)], "train_clips": ["y"]}
    assert check_overlap(SHOWN, config(9, clips=("x",), teacher=teacher), "set", Split.TEST) == []


def test_a_medium_counts_once_and_the_refusal_says_how_it_was_seen() -> None:
    teacher = {"quality": "c0", "train_media": [name(1)], "train_clips": ["a", "b", "c"]}
    seen = config(1, clips=("a", "b"), teacher=teacher)
    with pytest.raises(UsageError) as caught:
        check_overlap(SHOWN, seen, "set", "all")
    assert caught.value.message.startswith(
        "the run was trained on 1 medium of --split all of set, such as /clips/1-g1.mp4 and other copies (c40) of "
        "1 medium of --split all of set, such as /clips/2-g2.mp4; its teacher was trained on other copies (c0) of "
        "1 medium of --split all of set, such as /clips/3-g3.mp4; figures of those would mean nothing"
    )
    assert check_overlap(SHOWN, seen, "set", Split.TRAIN) == [
        "warning: the run was trained on 1 medium of these and other copies (c40) of 1 medium of these; the figures "
        "flatter it",
        "warning: its teacher was trained on other copies (c0) of 1 medium of these; the figures flatter it",
    ]


def test_a_content_of_two_clips_is_seen_by_either() -> None:
    rows = [medium(1, "a"), medium(1, "b")]
    assert clips_of([*rows, medium(2, "c"), medium(3)], {name(1), name(3)}) == ["a", "b"]
    with pytest.raises(UsageError, match="copies .c40. of 1 medium of"):
        check_overlap(rows, config(clips=("b",)), "set", "test")


def test_runs_of_earlier_versions_are_compared_by_content_and_say_so() -> None:
    old = {"train_media": [name(1)], "validation_media": [name(2)]}
    with pytest.raises(UsageError, match="trained on 1 medium of --split test"):
        check_overlap(SHOWN, old, "set", Split.TEST)
    (note,) = check_overlap(SHOWN[2:], old, "set", Split.TEST)
    assert "not other qualities" in note
    assert check_overlap([medium(4)], old, "set", Split.TEST) == [], "no clip is known of it"
    (note,) = check_overlap([medium(4)], config(teacher={"quality": "c0"}), "set", Split.TEST)
    assert "what its teacher was trained on" in note
    (note,) = check_overlap(SHOWN, {}, "set", Split.TEST)
    assert "not checked" in note


def test_a_student_notes_what_its_teacher_and_that_ones_teacher_saw() -> None:
    first = {"train_media": ["m1"], "train_clips": ["a"]}
    assert taught_from({**first, "train_media": ["m2"], "teacher": first}) == {
        "train_media": ["m1", "m2"],
        "train_clips": ["a"],
    }
    assert taught_from({"train_media": ["m1"]}) == {"train_media": ["m1"]}
    assert taught_from({}) == {}


def test_what_calibrates_a_run_is_new_to_it_and_to_its_teacher() -> None:
    fresh = {"quality": "c0", "train_media": [name(8)], "train_clips": ["y"]}
    known = config(9, clips=("x",), teacher=fresh, validation_media=[name(7)], validation_clips=["z"])
    assert require_new(SHOWN, known, "set") == []
    for seen, words in (
        (config(1), "the run was trained on 1 medium of set"),
        (config(9, clips=("b",)), r"the run was trained on other copies \(c40\) of 1 medium of set"),
        (config(9, teacher={**fresh, "train_clips": ["c"]}), "its teacher was trained on other copies"),
        (
            config(9, validation_media=[name(4)]),
            "the run's checkpoint and thresholds were chosen by 1 medium",
        ),
    ):
        with pytest.raises(UsageError, match=words):
            require_new(SHOWN, seen, "set")
    assert "does not say which media" in require_new(SHOWN, {}, "set")[0]


def test_media_are_tied_by_group_and_by_person() -> None:
    def shows(number: int, group: str, source: str | None = None) -> MediaRecord:
        return media_record(number, group, Label.REAL, Split.VAL, "set", 1, source_id=source)

    media = [shows(1, "a"), shows(2, "b", "anna"), shows(3, "c", "ben"), shows(4, "d")]
    known = [*media, shows(5, "a"), shows(6, "e", "anna")]
    assert tied_to(media, known, {name(5), name(6)}) == {name(1), name(2)}
    assert tied_to(media, known, {name(4)}) == frozenset()
