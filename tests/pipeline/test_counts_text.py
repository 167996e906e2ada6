"""The table of files found and expected."""

from ffpipe.manifests.datasets import Count
from ffpipe.pipeline.counts_text import counts_lines


def test_numbers_stand_below_one_another_and_names_below_the_table():
    counts = [
        Count("youtube c23", 998, 1000, missing=("004", "005"), surplus=("004 (copy)",)),
        Count("Deepfakes c23", 1000, 1000),
    ]
    assert counts_lines(counts) == [
        "part           found  expected  missing  surplus",
        "youtube c23      998      1000        2        1",
        "Deepfakes c23   1000      1000        0        0",
        "youtube c23: 998 of 1000, missing 004, 005, surplus 004 (copy)",
    ]


def test_a_number_from_memory_is_marked():
    lines = counts_lines([Count("actors raw", 3, 363, verified=False)])
    assert lines[1].split() == ["actors", "raw", "3", "363?", "360", "0"]
    assert lines[2] == "? not verified against the owner's files"


def test_more_than_expected_is_surplus_also_without_names():
    assert counts_lines([Count("Celeb-real", 591, 590)])[1].split() == ["Celeb-real", "591", "590", "0", "1"]


def test_of_many_names_a_few_are_shown():
    (line,) = counts_lines([Count("a", 0, 9, missing=tuple("abcdefghi"))])[2:]
    assert line == "a: 0 of 9, missing a, b, c, d, e and 4 more"


def test_without_counts_there_is_no_table():
    assert counts_lines([]) == []
