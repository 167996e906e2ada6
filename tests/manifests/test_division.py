"""Three ways to divide what is tied together; each does what its name says, for any graph of people and copies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpipe.manifests.division import LINKS, divide, grouped, shares
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import group_key, leaks

PEOPLE = [f"id{n}" for n in range(6)]
SHARES = (0.6, 0.2, 0.2)


@st.composite
def media(draw: st.DrawFn) -> tuple[list[Entry], dict[str, str]]:
    """Reals of one person or nobody, fakes of two, some of them copies of a clip, some of equal content."""
    entries, contents = [], {}
    for number in range(draw(st.integers(0, 14))):
        fake = draw(st.booleans())
        people = draw(st.lists(st.sampled_from(PEOPLE), min_size=2 * fake, max_size=1 + fake, unique=True))
        entry = Entry(
            f"{number}.mp4",
            Label(fake),
            source_id=people[0] if people else None,
            target_id=people[1] if fake else None,
            group=draw(st.sampled_from([None, "g0", "g1"])) if not people else None,
            pair_id=draw(st.sampled_from([None, None, "clip0", "clip1", "clip2"])),
        )
        entries.append(entry)
        if draw(st.booleans()):
            contents[entry.path] = draw(st.sampled_from("abcdefgh"))
    return entries, contents


@given(media(), st.integers(0, 3))
def test_whole_groups_share_nothing_and_lose_nothing(drawn, seed):
    entries, contents = drawn
    divided = divide(entries, contents, seed, SHARES)
    assert leaks(divided, contents) == []
    assert all(entry.split is not None for entry in divided)
    assert [entry.path for entry in divided] == [entry.path for entry in entries]
    assert divided == divide(entries, contents, seed, SHARES)


@settings(max_examples=40)
@given(media(), st.integers(0, 3))
def test_dropping_leaves_nothing_shared_and_keeps_what_shows_people_of_one_split(drawn, seed):
    entries, contents = drawn
    divided = divide(entries, contents, seed, SHARES, "drop")
    kept = [entry for entry in divided if entry.split is not None]
    assert leaks(kept, contents) == []
    assert [entry.path for entry in divided] == [entry.path for entry in entries]
    alone = {e.path for e in entries if not (e.source_id or e.pair_id or e.group or e.path in contents)}
    assert alone <= {entry.path for entry in kept}


@given(media(), st.integers(0, 3))
def test_ignoring_people_still_keeps_copies_together(drawn, seed):
    entries, contents = drawn
    divided = divide(entries, contents, seed, SHARES, "ignore")
    assert all(entry.split is not None for entry in divided)
    assert {leak.kind for leak in leaks(divided, contents)} <= {"identity"}


@given(media())
def test_groups_are_equal_exactly_where_a_chain_joins(drawn):
    entries, contents = drawn
    found = [group_key(entry) for entry in grouped(entries, contents)]

    def tied(a: Entry, b: Entry) -> bool:
        def people(e: Entry) -> set[str | None]:
            return {e.source_id, e.target_id} - {None}

        return bool(
            people(a) & people(b)
            or group_key(a) == group_key(b)
            or (a.pair_id and a.pair_id == b.pair_id)
            or (a.path in contents and contents[a.path] == contents.get(b.path))
        )

    reached: list[set[int]] = []
    for number in range(len(entries)):
        near = {number} | {k for k in range(len(entries)) if tied(entries[number], entries[k])}
        joined = [part for part in reached if part & near]
        reached = [part for part in reached if not part & near] + [near.union(*joined)]
    for part in reached:
        assert len({found[k] for k in part}) == 1
    assert len(set(found)) == len(reached)


def celebrities(people: int, each: int) -> list[Entry]:
    """Celeb-DF in small: some real videos of each, everybody swapped with everybody, and reals of nobody known."""
    names = [f"id{n}" for n in range(people)]
    reals = [Entry(f"r/{n}_{k}", Label.REAL, source_id=n) for n in names for k in range(each)]
    fakes = [
        Entry(f"f/{t}_{s}", Label.FAKE, "swap", source_id=s, target_id=t)
        for t in names
        for s in names
        if s != t
    ]
    return reals + fakes + [Entry(f"y/{k}", Label.REAL) for k in range(people * each)]


def test_one_group_of_everybody_cannot_be_divided_whole_but_people_can():
    entries = celebrities(13, 6)
    ratios = (0.75, 0.125, 0.125)
    whole = divide(entries, {}, 0, ratios)
    assert {entry.split for entry in whole if entry.label is Label.FAKE} == {Split.TRAIN}
    dropped = divide(entries, {}, 0, ratios, "drop")
    kept = [entry for entry in dropped if entry.split]
    assert {(entry.split, entry.label) for entry in kept} == {(s, label) for s in Split for label in Label}
    assert leaks(kept) == []
    assert shares(kept, Label.REAL) == pytest.approx(ratios, abs=0.1)
    ignored = divide(entries, {}, 0, ratios, "ignore")
    assert shares(ignored, Label.FAKE) == pytest.approx(ratios, abs=0.01)
    assert {leak.kind for leak in leaks(ignored)} == {"identity"}


def test_the_seed_matters_and_an_unknown_way_is_refused():
    entries = celebrities(9, 2)
    for links in LINKS:
        first = divide(entries, {}, 0, SHARES, links)
        assert any(divide(entries, {}, seed, SHARES, links) != first for seed in (1, 2, 3))
    with pytest.raises(UsageError, match="allowed are whole, drop, ignore"):
        divide(entries, {}, 0, SHARES, "cut")


def test_shares_count_what_is_placed():
    entries = [
        Entry("a", Label.REAL, split=Split.TRAIN),
        Entry("b", Label.FAKE, split=Split.TEST),
        Entry("c"),
    ]
    assert shares(entries) == (0.5, 0, 0.5)
    assert shares(entries, Label.FAKE) == (0, 0, 1)
    assert shares([replace(entry, split=None) for entry in entries]) == (0, 0, 0)
