"""Whole groups are divided, deterministically and near the asked shares, and leaks are found."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import (
    RATIOS,
    assign_groups,
    components,
    group_key,
    hold_out_validation,
    leaks,
    merge_content_groups,
    seeded_split,
)

REAL, FAKE = Label.REAL, Label.FAKE


def entries_of(groups: dict[str, str]) -> list[Entry]:
    """Entries from group -> labels, such as {"a": "rff", "b": "u"}: real, fake, unknown."""
    kinds = {"r": REAL, "f": FAKE, "u": None}
    return [
        Entry(path=f"{group}/{i}.mp4", label=kinds[kind], group=group)
        for group, labels in groups.items()
        for i, kind in enumerate(labels)
    ]


def counts(entries: list[Entry]) -> tuple[int, int, int]:
    found = Counter(assign_groups(entries, seed=1).values())
    return found[Split.TRAIN], found[Split.VAL], found[Split.TEST]


def labels_in(entries, split) -> set:
    return {entry.label for entry in entries if entry.split is split}


def test_components_join_transitively_and_take_the_least_name():
    found = components([["c", "b"], ["x"], ["b", "a"], ["y", "z"], []])
    assert found == {"a": "a", "b": "a", "c": "a", "x": "x", "y": "y", "z": "y"}


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=12), st.randoms())
def test_components_do_not_depend_on_order(links, random):
    shuffled = [random.sample(link, len(link)) for link in random.sample(links, len(links))]
    assert components(links) == components(shuffled)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (1, (1, 0, 0)),
        (2, (1, 1, 0)),
        (3, (2, 1, 0)),
        (4, (2, 1, 1)),
        (5, (3, 1, 1)),
        (7, (5, 1, 1)),
        (500, (360, 70, 70)),
    ],
)
def test_equal_groups_fill_train_then_validation_then_test(groups, expected):
    assert counts(entries_of({f"g{i:03}": "rf" for i in range(groups)})) == expected


def test_no_media_make_no_split():
    assert assign_groups([], seed=0) == {}
    assert seeded_split([], seed=0) == []


def test_one_group_a_class_keeps_both_in_train():
    assert counts(entries_of({"a": "r", "b": "f"})) == (2, 0, 0)


def test_classes_in_groups_of_their_own_reach_train_and_validation():
    split = seeded_split(entries_of({"a": "r", "b": "r", "c": "f", "d": "f"}), seed=3)
    assert labels_in(split, Split.TRAIN) == labels_in(split, Split.VAL) == {REAL, FAKE}


def test_a_lone_mixed_group_is_spared_for_validation_when_train_keeps_both_classes():
    assigned = assign_groups(entries_of({"a": "r", "b": "f", "c": "rf"}), seed=0)
    assert assigned == {"a": Split.TRAIN, "b": Split.TRAIN, "c": Split.VAL}


def test_a_giant_group_goes_to_train():
    for seed in range(20):
        assert (
            assign_groups(entries_of({"big": "r" * 50} | {f"g{i}": "r" for i in range(50)}), seed)["big"]
            is Split.TRAIN
        )


@given(
    st.dictionaries(
        st.text("abcdef", min_size=1, max_size=4), st.text("rfu", min_size=1, max_size=6), max_size=30
    ),
    st.integers(0, 5),
)
def test_a_seeded_split_is_whole_leak_free_and_keeps_every_class_in_train(groups, seed):
    split = seeded_split(entries_of(groups), seed)
    assert leaks(split) == []
    assert all(entry.split is not None for entry in split)
    assert labels_in(split, Split.TRAIN) == {entry.label for entry in split}
    assert split == seeded_split(split, seed)


def test_shares_are_near_the_ratios_with_groups_of_many_sizes():
    split = seeded_split(entries_of({f"g{i}": "rf" * (1 + i % 5) for i in range(300)}), seed=4)
    found = Counter(entry.split for entry in split)
    for part, share in zip(Split, RATIOS, strict=True):
        assert found[part] / len(split) == pytest.approx(share, abs=0.01)


def test_the_seed_matters_and_the_order_of_entries_does_not():
    entries = entries_of({f"g{i}": "rf" for i in range(40)})
    assert assign_groups(entries, 0) == assign_groups(entries[::-1], 0)
    assert assign_groups(entries, 0) != assign_groups(entries, 1)


def test_undecodable_paths_can_stand_alone():
    entries = [Entry(path=f"caf\udce9{i}.mp4") for i in range(3)]
    assert Counter(e.split for e in seeded_split(entries, 0)) == {Split.TRAIN: 2, Split.VAL: 1}


@pytest.mark.parametrize("ratios", [(0.5, 0.5, 0.5), (0.0, 0.5, 0.5), (1.2, -0.2, 0.0)])
def test_wrong_ratios_are_refused(ratios):
    with pytest.raises(UsageError, match="add up to 1"):
        assign_groups(entries_of({"a": "r"}), 0, ratios)


def test_held_out_validation_has_both_classes_and_whole_groups():
    entries = entries_of({f"r{i}": "rr" for i in range(20)} | {f"f{i}": "fff" for i in range(30)})
    held = hold_out_validation(entries, seed=5)
    media = [entry for entry in entries if group_key(entry) in held]
    assert {entry.label for entry in media} == {REAL, FAKE}
    assert len(media) / len(entries) == pytest.approx(0.14, abs=0.03)


@pytest.mark.parametrize(
    ("groups", "held"), [({}, 0), ({"a": "rf"}, 0), ({"a": "rf", "b": "rf"}, 1), ({"a": "r", "b": "f"}, 0)]
)
def test_few_groups_hold_out_what_they_can_spare(groups, held):
    assert len(hold_out_validation(entries_of(groups), seed=0)) == held


def test_a_half_can_be_held_out():
    assert len(hold_out_validation(entries_of({f"g{i}": "rf" for i in range(10)}), seed=0, share=0.5)) == 5


def test_identical_content_joins_groups_and_leaves_the_rest_alone():
    entries = [
        Entry("a.mp4", group="g1"),
        Entry("b.mp4", group="g2"),
        Entry("c.mp4", group="g2"),
        Entry("d.mp4"),
        Entry("e.mp4"),
        Entry("f.mp4", group="g3"),
        Entry("unhashed.mp4", group="g1"),
    ]
    hashes = {"a.mp4": "1", "b.mp4": "2", "c.mp4": "1", "d.mp4": "2", "e.mp4": "5", "f.mp4": "6"}
    merged = {entry.path: entry.group for entry in merge_content_groups(entries, hashes)}
    joined = merged["a.mp4"]
    assert joined is not None
    assert {merged[path] for path in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "unhashed.mp4")} == {joined}
    assert merged["e.mp4"] is None
    assert merged["f.mp4"] == "g3"


def test_copies_of_ungrouped_files_become_a_group():
    first, second, other = merge_content_groups(
        [Entry("a.mp4"), Entry("b.mp4"), Entry("c.mp4")], {"a.mp4": "1", "b.mp4": "1", "c.mp4": "2"}
    )
    assert first.group == second.group == "a.mp4"
    assert other.group is None


def planted() -> list[Entry]:
    return [
        Entry("a.mp4", split=Split.TRAIN, group="g1", source_id="1"),
        Entry("b.mp4", split=Split.VAL, group="g2", source_id="2"),
        Entry("c.mp4", split=Split.TEST, group="g3", source_id="3", target_id="4"),
        Entry("d.mp4", split=None, group="g1", source_id="2"),
    ]


def test_a_clean_split_has_no_leak():
    assert leaks(planted(), {"a.mp4": "x", "b.mp4": "y", "d.mp4": "y"}) == []


@pytest.mark.parametrize(
    ("change", "kind", "key"),
    [
        ({"group": "g1"}, "group", "g1"),
        ({"target_id": "1"}, "identity", "1"),
        ({"source_id": "1"}, "identity", "1"),
    ],
)
def test_a_planted_leak_is_found(change, kind, key):
    entries = planted()
    entries[2] = replace(entries[2], **change)
    (leak,) = leaks(entries)
    assert (leak.kind, leak.key) == (kind, key)
    assert leak.splits == (Split.TRAIN, Split.TEST)
    assert leak.paths == ("a.mp4", "c.mp4")
    assert str(leak) == f"{kind} {key} is in train and test (2 files)"


def test_identical_content_in_two_splits_is_a_leak():
    (leak,) = leaks(planted(), {"a.mp4": "same", "b.mp4": "same", "c.mp4": "other"})
    assert (leak.kind, leak.key, leak.splits) == ("content", "same", (Split.TRAIN, Split.VAL))
