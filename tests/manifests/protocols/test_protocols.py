"""Each protocol by name: what it needs, what it refuses, and that what it says is disjoint is disjoint."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests import datasets
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols import Division, Material, Options, apply_protocol, list_protocols
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import leaks

REAL, FAKE = Label.REAL, Label.FAKE
TRAINED = {Split.TRAIN, Split.VAL}


def divided(
    name: str, entries: list[Entry], layout: str = "folder", source: str = "none", **options
) -> Division:
    return apply_protocol(name, Material(layout, entries, source), Options(**options))


def clips(groups: int, methods: tuple[str, ...] = ("A", "B")) -> list[Entry]:
    """A real of each group and a fake of it by each method."""
    return [
        Entry(f"{group}/{method}", FAKE if method else REAL, method, group=str(group))
        for group in range(groups)
        for method in (None, *methods)
    ]


def splits_of(entries: list[Entry], method: str | None) -> set[Split]:
    return {entry.split for entry in entries if entry.method == method}


def test_every_protocol_says_what_it_is_and_where_it_comes_from():
    names = [protocol.name for protocol in list_protocols()]
    assert names == [
        "seeded", "official", "ffpp-720-140-140", "sffb-celeb-df-6-1-1", "leave-one-method-out", "dfdc-parts",
    ]  # fmt: skip
    for protocol in list_protocols():
        assert protocol.summary.endswith((".", "by seed."))
        assert len(protocol.text.splitlines()) > 2


def test_an_unknown_name_and_options_that_mean_nothing_are_refused():
    with pytest.raises(UsageError, match="'nope': known are seeded, official"):
        divided("nope", clips(3))
    with pytest.raises(
        UsageError, match="--method means nothing to the protocol seeded, which takes --links"
    ):
        divided("seeded", clips(3), method="A")
    with pytest.raises(
        UsageError, match="--splits means nothing to the protocol dfdc-parts, which takes no options"
    ):
        divided("dfdc-parts", clips(3), official=Path())


def test_seeded_follows_the_ratios_and_says_the_shares():
    division = divided("seeded", clips(40), ratios=(0.5, 0.25, 0.25))
    assert Counter(e.split for e in division.placed) == {Split.TRAIN: 60, Split.VAL: 30, Split.TEST: 30}
    assert division.notes == ["50.0 : 25.0 : 25.0 percent of the media, 50.0 : 25.0 : 25.0 asked for"]
    assert leaks(division.placed) == []


def test_official_is_the_layouts_own_split_and_nothing_drawn():
    own = [replace(entry, split=Split.TEST) for entry in clips(2)]
    assert divided("official", own, source="official lists").entries == own
    assert divided("official", own, source="given by folders").entries == own
    for source in ("seeded 0", "none"):
        with pytest.raises(UsageError, match=f"no official split here .*{source}"):
            divided("official", own, source=source)
    with pytest.raises(UsageError, match="no medium of this data in any split"):
        divided("official", clips(2), source="given by a file")


def test_a_split_that_lacks_a_class_is_said():
    own = [replace(entry, split=Split.TRAIN if entry.method else Split.TEST) for entry in clips(2)]
    notes = divided("official", own, source="given").notes
    assert "warning: train has no real media" in notes
    assert "warning: test has no fake media" in notes


def ffpp_tree(root: Path, pairs: list[tuple[str, str]]) -> Path:
    folder = root / "manipulated_sequences/Deepfakes/c23/videos"
    originals = root / "original_sequences/youtube/c23/videos"
    actors = root / "original_sequences/actors/c23/videos"
    for place in (folder, originals, actors):
        place.mkdir(parents=True)
    for a, b in pairs:
        for name in (a, b):
            (originals / f"{name}.mp4").touch()
        for name in (f"{a}_{b}", f"{b}_{a}"):
            (folder / f"{name}.mp4").touch()
    (actors / "01__talk.mp4").touch()
    return root


def of_tree(root: Path, splits: Path | None = None) -> Material:
    dataset = datasets.load(root, splits_dir=splits)
    return Material(dataset.name, dataset.entries, dataset.split_source)


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the lists at $FFPIPE_TEST_DATA")
def test_ffpps_official_files_give_720_140_140_of_every_method(tmp_path):
    lists = Path(os.environ["FFPIPE_TEST_DATA"]) / "lists/ffpp"
    pairs = [
        pair for name in ("train", "val", "test") for pair in json.loads((lists / f"{name}.json").read_text())
    ]
    division = apply_protocol("ffpp-720-140-140", of_tree(ffpp_tree(tmp_path, pairs), lists), Options())
    for method in (None, "Deepfakes"):
        counts = Counter(entry.split for entry in division.placed if entry.method == method)
        assert counts == {Split.TRAIN: 720, Split.VAL: 140, Split.TEST: 140}
    assert leaks(division.placed) == []
    assert division.notes == ["1 videos of DeepFakeDetection are no part of the protocol and are left out"]


def test_ffpp_without_the_owners_files_says_how_to_get_them(tmp_path):
    tree = ffpp_tree(tmp_path, [("000", "003"), ("001", "870")])
    with pytest.raises(
        UsageError, match=r"train.json, val.json, test.json \(https://github.com/ondyari.*--splits DIR"
    ):
        apply_protocol("ffpp-720-140-140", of_tree(tree), Options())
    with pytest.raises(UsageError, match="the layout here is folder"):
        divided("ffpp-720-140-140", clips(2), source="official")


def test_a_part_of_ffpp_says_how_much_is_missing_and_what_is_outside(tmp_path):
    tree = ffpp_tree(tmp_path, [("000", "003"), ("001", "870"), ("005", "006"), ("005", "003")])
    for name, pairs in {"train": [["000", "003"]], "val": [["001", "870"]], "test": [["005", "006"]]}.items():
        (tree / f"{name}.json").write_text(json.dumps(pairs))
    division = apply_protocol("ffpp-720-140-140", of_tree(tree), Options())
    assert "2 videos belong to no official split and are left out" in division.notes
    assert "youtube: 2 : 2 : 2 videos, officially 720 : 140 : 140" in division.notes
    assert leaks(division.placed) == []


def celeb(people: int, alone: bool = False) -> list[Entry]:
    """Everybody swapped with everybody, or in pairs; reals of nobody known besides."""
    names = [f"id{n}" for n in range(people)]
    reals = [Entry(f"Celeb-real/{n}_{k}.mp4", REAL, source_id=n) for n in names for k in range(4)]
    swaps = [
        (t, s) for t in names for s in names if s != t and (not alone or int(t[2:]) // 2 == int(s[2:]) // 2)
    ]
    fakes = [
        Entry(f"f/{t}_{s}_{k}", FAKE, "swap", source_id=s, target_id=t) for t, s in swaps for k in range(2)
    ]
    return [*reals, *fakes, *(Entry(f"YouTube-real/{k}.mp4", REAL) for k in range(4 * people))]


def test_celeb_df_in_one_group_is_refused_with_both_ways_out():
    with pytest.raises(
        UsageError, match="cannot give 6:1:1: .*--links drop.*--links ignore.* not group-disjoint"
    ):
        divided("sffb-celeb-df-6-1-1", celeb(12), "celeb-df")
    with pytest.raises(UsageError, match="the layout here is folder"):
        divided("sffb-celeb-df-6-1-1", celeb(12))


def test_celeb_df_divided_by_people_is_disjoint_and_by_videos_is_not():
    dropped = divided("sffb-celeb-df-6-1-1", celeb(12), "celeb-df", links="drop")
    assert leaks(dropped.placed) == []
    assert {(e.split, e.label) for e in dropped.placed} == {(s, label) for s in Split for label in Label}
    left_out = len(dropped.entries) - len(dropped.placed)
    assert any(note.endswith(f"left out; {left_out} media left out") for note in dropped.notes)
    ignored = divided("sffb-celeb-df-6-1-1", celeb(12), "celeb-df", links="ignore")
    assert {leak.kind for leak in leaks(ignored.placed)} == {"identity"}
    assert any("identities leak" in note for note in ignored.notes)
    total = len(ignored.placed)
    assert [sum(e.split is split for e in ignored.placed) / total for split in Split] == pytest.approx(
        [0.75, 0.125, 0.125], abs=0.01
    )
    assert any("the paper has 408 real and 795 fake" in note for note in ignored.notes)


def test_celeb_df_of_many_groups_is_divided_whole():
    division = divided("sffb-celeb-df-6-1-1", celeb(80, alone=True), "celeb-df")
    assert leaks(division.placed) == []
    assert division.placed == division.entries


def test_a_method_left_out_is_in_test_alone_and_groups_are_disjoint():
    division = divided("leave-one-method-out", clips(20, ("A", "B", "C")), method="B")
    assert leaks(division.placed) == []
    assert splits_of(division.placed, "B") == {Split.TEST}
    for method in ("A", "C"):
        assert splits_of(division.placed, method) == TRAINED
    assert splits_of(division.placed, None) == set(Split)
    assert len(division.placed) == 20 + 40 + 20 - sum(
        2 if e.split is Split.TEST else 1 for e in division.entries if e.label is REAL
    )


@given(
    st.lists(st.tuples(st.integers(0, 12), st.sampled_from([None, "A", "B", "C"])), min_size=1, max_size=60),
    st.integers(0, 3),
    st.sampled_from("ABC"),
)
def test_leaving_out_is_disjoint_for_any_mixture_or_says_what_is_missing(drawn, seed, method):
    entries = [
        Entry(f"{number}", FAKE if made_by else REAL, made_by, group=str(group))
        for number, (group, made_by) in enumerate(drawn)
    ]
    try:
        placed = divided("leave-one-method-out", entries, method=method, seed=seed).placed
    except UsageError as error:
        assert "leave-one-method-out" in str(error) or f"leaving out {method}" in str(error)
        return
    assert leaks(placed) == []
    assert splits_of(placed, method) == {Split.TEST}
    assert set().union(*(splits_of(placed, other) for other in "ABC" if other != method)) <= TRAINED


def test_fakes_without_reals_in_their_groups_all_go_to_their_side():
    loose = [Entry(f"{method}{n}", FAKE, method) for method in "AB" for n in range(10)]
    reals = [Entry(f"real{n}", REAL) for n in range(20)]
    placed = divided("leave-one-method-out", loose + reals, method="A").placed
    assert len(placed) == 40
    assert splits_of(placed, "A") == {Split.TEST}
    assert splits_of(placed, "B") == TRAINED
    assert splits_of(placed, None) == set(Split)


def test_reals_follow_the_fakes_of_their_subset():
    media = [
        Entry(f"{subset}/{label}{n}", label, subset if label else None, subset=subset)
        for subset in ("gan", "dm")
        for label in Label
        for n in range(8)
    ]
    placed = divided("leave-one-method-out", media, method="dm").placed
    assert len(placed) == len(media)
    assert {(e.subset, e.split is Split.TEST) for e in placed} == {("gan", False), ("dm", True)}


def test_an_official_split_is_the_base_of_leaving_out():
    parts = [Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST]
    own = [replace(entry, split=parts[int(entry.group or 0)]) for entry in clips(4)]
    division = divided("leave-one-method-out", own, source="official lists", method="A")
    assert {(e.path, e.split) for e in division.placed} == {
        (f"{group}/{method}", parts[group])
        for group in range(4)
        for method in (None, "A" if parts[group] is Split.TEST else "B")
    }
    assert "based on the split that is official lists" in division.notes


@pytest.mark.parametrize(
    ("entries", "method", "words"),
    [
        (clips(4), None, "needs --method; the data have A, B"),
        (clips(4), "D", "--method 'D' is not there; the data have A, B"),
        (clips(4, ("A",)), "A", "A is the only method"),
        (clips(1), "A", "leaving out A leaves no fakes in test"),
    ],
)
def test_what_cannot_be_left_out_is_said(entries, method, words):
    with pytest.raises(UsageError, match=words):
        divided("leave-one-method-out", entries, method=method)


def test_a_fake_of_no_known_method_and_what_has_no_label_is_in_no_split():
    extra = [Entry("odd", FAKE, None), Entry("what", None)]
    division = divided("leave-one-method-out", clips(10) + extra, method="A")
    assert {"odd", "what"}.isdisjoint(entry.path for entry in division.placed)


def test_dfdcs_parts_are_the_ones_in_common_use():
    entries = [Entry(f"/d/train/dfdc_train_part_{part}/a.mp4", REAL) for part in (0, 34, 35, 39, 40, 49, 50)]
    division = divided("dfdc-parts", [*entries, Entry("/d/other/a.mp4", REAL)], "dfdc")
    found = [entry.split for entry in division.entries]
    assert found == [*2 * [Split.TRAIN], *2 * [Split.VAL], *2 * [Split.TEST], None, None]
    with pytest.raises(UsageError, match="dfdc_train_part_0 to dfdc_train_part_49"):
        divided("dfdc-parts", clips(2))
