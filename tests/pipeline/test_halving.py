"""Validation in two halves: whole groups, both classes, the same every time, and small ones stay whole."""

from __future__ import annotations

import pytest

from ffpipe.pipeline.halving import MIN_HALF, halve_validation
from ffpipe.pipeline.loader import Labelled


def held_out(groups: int, each: int = 2) -> dict[str, Labelled]:
    """So many groups, each with `each` media that take turns in being real and fake."""
    return {f"m{g}-{i}": Labelled(i % 2, f"g{g}", 4) for g in range(groups) for i in range(each)}


def test_halves_are_of_whole_groups_and_hold_everything() -> None:
    media = held_out(2 * MIN_HALF, each=3)
    first, second, words = halve_validation(media)
    assert {**first, **second} == media and not first.keys() & second.keys()
    groups = [{m.group for m in half.values()} for half in (first, second)]
    assert not groups[0] & groups[1]
    assert [len(names) for names in groups] == [MIN_HALF, MIN_HALF]
    assert f"{2 * MIN_HALF} real and {MIN_HALF} fake media of {MIN_HALF} groups" in words


def test_the_halves_depend_on_the_groups_alone() -> None:
    media = held_out(60)
    _, second, _ = halve_validation(media)
    again = halve_validation(dict(reversed(media.items())))[1]
    assert again.keys() == second.keys()
    names = {m.group for m in second.values()}
    assert names != {f"g{g}" for g in range(30)} and names != {f"g{g}" for g in range(30, 60)}


@pytest.mark.parametrize(
    ("media", "wanted", "words"),
    [
        ({}, True, "no validation to halve"),
        (
            held_out(2 * MIN_HALF - 1),
            True,
            "too small to be halved: 39 groups have real media and 39 fake ones",
        ),
        (
            {n: m for n, m in held_out(100).items() if m.label},
            True,
            "0 groups have real media and 100 fake ones",
        ),
        (held_out(100), False, "as was asked"),
    ],
)
def test_what_cannot_be_halved_stays_whole_and_says_why(media, wanted, words) -> None:
    first, second, said = halve_validation(media, wanted=wanted)
    assert first == media and not second and words in said
