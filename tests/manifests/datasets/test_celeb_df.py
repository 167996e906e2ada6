"""Celeb-DF as people have it on disk: spellings, the list without a header, versions, held-out identities, counts."""

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from ffpipe.manifests.datasets.celeb_df import CelebDF
from ffpipe.manifests.datasets.celeb_df_list import LIST_NAME, read_list
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks

#: Three circles of people who lend one another their faces, and nobody else's.
CIRCLES = (("id0", "id1", "id2"), ("id3", "id4"), ("id5", "id6"))


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return root


def celebs(root: Path, circles=CIRCLES, youtube="YouTube-real", level="") -> Path:
    for circle in circles:
        for target in circle:
            make(root / "Celeb-real" / level, *(f"{target}_{n:04}.mp4" for n in range(2)))
            others = [source for source in circle if source != target]
            make(root / "Celeb-synthesis" / level, *(f"{target}_{s}_0000.mp4" for s in others))
    make(root / youtube / level, *(f"{n:05}.mp4" for n in range(8)))
    return root


TESTED = (
    "1 YouTube-real/00001.mp4",
    "1 Celeb-real/id0_0001.mp4",
    "0 Celeb-synthesis/id0_id1_0000.mp4",
    "0 Celeb-synthesis/id3_id4_0000.mp4",
)


def listed(folder: Path, lines=TESTED, ending="\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LIST_NAME).write_bytes(ending.join([*lines, ""]).encode())
    return folder


def load(root: Path, **options):
    return CelebDF().load(root, **options)


def by_name(dataset) -> dict:
    return {Path(entry.path).stem: entry for entry in dataset.entries}


def shown(entries) -> set:
    return {name for e in entries for name in (e.source_id, e.target_id) if name is not None}


def of(dataset, split) -> list:
    return [entry for entry in dataset.entries if entry.split is split]


def told(dataset, words: str) -> str:
    (line,) = [note for note in dataset.notes if words in note]
    return line


@pytest.mark.parametrize("youtube", ["YouTube-real", "Youtube-real", "youtube_real"])
@pytest.mark.parametrize("level", ["", "videos"])
@pytest.mark.parametrize("above", ["", "Celeb-DF-v2", "downloads/Celeb-DF-v2"])
def test_spellings_and_levels_in_use_are_taken(tmp_path, youtube, level, above):
    listed(celebs(tmp_path / above, youtube=youtube, level=level))
    assert "Celeb-real/" in CelebDF().recognise(tmp_path).reason
    dataset = load(tmp_path)
    entries = by_name(dataset)
    assert len(dataset.entries) == 32
    assert (entries["id0_id1_0000"].label, entries["id0_id1_0000"].method) == (Label.FAKE, "Celeb-synthesis")
    assert (entries["id0_id1_0000"].target_id, entries["id0_id1_0000"].source_id) == ("id0", "id1")
    assert (entries["id0_0000"].label, entries["id0_0000"].source_id) == (Label.REAL, "id0")
    assert (entries["00001"].label, entries["00001"].source_id) == (Label.REAL, None)
    assert {name for name, entry in entries.items() if entry.split is Split.TEST} == {
        "00001",
        "id0_0001",
        "id0_id1_0000",
        "id3_id4_0000",
    }


def test_the_lists_first_line_is_a_video_and_its_one_means_real(tmp_path):
    found = read_list(listed(tmp_path) / LIST_NAME)
    assert len(found.labels) == len(TESTED)
    assert found.labels["youtubereal", "00001"] is Label.REAL
    assert found.labels["celebsynthesis", "id0_id1_0000"] is Label.FAKE
    dataset = load(listed(celebs(tmp_path)))
    assert by_name(dataset)["00001"].split is Split.TEST
    assert not any("disagree" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "lines",
    [
        [line.replace("YouTube", "Youtube") for line in TESTED],
        [line.replace("/", "/videos/") for line in TESTED],
        [line.replace("/", "\\") for line in TESTED],
        ["\ufeff" + TESTED[0], *TESTED[1:], ""],
    ],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_lists_as_other_tools_leave_them_are_read(tmp_path, lines, ending):
    dataset = load(listed(celebs(tmp_path), lines, ending))
    assert len(of(dataset, Split.TEST)) == 4


def test_a_list_of_our_labels_is_noticed_and_the_folders_are_believed(tmp_path):
    turned = [{"1": "0", "0": "1"}[line[0]] + line[1:] for line in TESTED]
    dataset = load(listed(celebs(tmp_path), turned))
    assert told(dataset, "disagree").startswith("4 lines")
    assert by_name(dataset)["id0_id1_0000"].label is Label.FAKE


@pytest.mark.parametrize(
    "line", ["label path", "2 Celeb-real/id0_0000.mp4", "Celeb-real/id0_0000.mp4", "1 a.mp4"]
)
def test_a_line_that_is_no_video_is_refused_with_its_number(tmp_path, line):
    listed(celebs(tmp_path), [TESTED[0], line])
    with pytest.raises(UsageError, match="line 2: .* 1 for real"):
        load(tmp_path)


def test_an_empty_list_and_a_folder_without_one_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--splits .* holds List_of_testing_videos.txt"):
        load(celebs(tmp_path / "data"), splits_dir=tmp_path)
    with pytest.raises(UsageError, match="lists no video"):
        load(tmp_path / "data", splits_dir=listed(tmp_path, []))


def test_the_list_can_be_given_and_then_that_beside_the_data_is_not_used(tmp_path):
    elsewhere = listed(tmp_path / "lists", ["1 YouTube-real/00004.mp4"])
    dataset = load(listed(celebs(tmp_path / "data")), splits_dir=elsewhere)
    assert [Path(e.path).stem for e in of(dataset, Split.TEST)] == ["00004"]
    assert dataset.split_source.startswith(f"official {LIST_NAME} in {elsewhere}")


@pytest.mark.parametrize("seed", range(5))
def test_validation_shows_nobody_whom_train_shows_and_nothing_is_lost(tmp_path, seed):
    dataset = load(listed(celebs(tmp_path)), seed=seed)
    train, validation = of(dataset, Split.TRAIN), of(dataset, Split.VAL)
    assert {e.label for e in train} == {e.label for e in validation} == set(Label)
    assert shown(validation)
    assert not shown(validation) & shown(train)
    assert leaks([*train, *validation]) == []
    assert not of(dataset, None), "whole circles were held out"
    assert f"any of their {len(shown(validation))} identities" in told(
        dataset, "validation is not the owner's"
    )


@pytest.mark.parametrize("seed", range(5))
def test_where_all_are_tied_together_what_shows_both_is_in_no_split_and_said(tmp_path, seed):
    everybody = (tuple(f"id{n}" for n in range(10)),)
    dataset = load(listed(celebs(tmp_path, everybody), ["1 YouTube-real/00001.mp4"]), seed=seed)
    train, validation, dropped = (of(dataset, split) for split in (Split.TRAIN, Split.VAL, None))
    assert {e.label for e in train} == {e.label for e in validation} == set(Label)
    assert not shown(validation) & shown(train)
    assert all(shown([e]) & shown(validation) and shown([e]) & shown(train) for e in dropped)
    assert len(dropped) == 2 * len(shown(validation)) * (10 - len(shown(validation)))
    assert f"; {len(dropped)} videos that show one of these" in told(dataset, "validation is not")


def test_where_nobody_can_be_held_out_train_keeps_all_and_says_so(tmp_path):
    dataset = load(listed(celebs(tmp_path, (("id0", "id1"),)), ["1 YouTube-real/00001.mp4"]))
    assert not of(dataset, Split.VAL)
    assert told(dataset, "no validation")
    assert dataset.split_source.startswith("official")
    assert "validation" not in dataset.split_source, "none was held out"
    train = of(dataset, Split.TRAIN)
    assert len({e.group for e in train if e.source_id}) == 1, (
        "what trains further cannot leak an identity either"
    )


def test_the_official_test_is_said_to_share_people_with_train(tmp_path):
    assert "shows 4 of its 4 identities" in told(load(listed(celebs(tmp_path))), "not identity-disjoint")


def test_test_videos_are_grouped_by_the_person_filmed(tmp_path):
    tested = [*TESTED, "0 Celeb-synthesis/id1_id0_0000.mp4"]
    entries = by_name(load(listed(celebs(tmp_path), tested)))
    assert entries["id0_0001"].group == entries["id0_id1_0000"].group == "celeb-df/id0"
    assert len({entries[name].group for name in ("id0_0001", "id1_id0_0000", "id3_id4_0000", "00001")}) == 4


def test_without_the_list_whole_circles_are_divided_by_seed_with_one_loud_line(tmp_path):
    dataset = load(celebs(tmp_path), seed=2)
    assert dataset.split_source == "seeded 2, identity-disjoint, unofficial"
    assert leaks(dataset.entries) == []
    assert {entry.split for entry in dataset.entries} == set(Split)
    assert "--splits DIR" in told(dataset, "UNOFFICIAL")


def test_a_seeded_split_that_lacks_fakes_says_so(tmp_path):
    dataset = load(celebs(tmp_path, CIRCLES[:1]))
    assert told(dataset, "val has no fake videos")
    assert told(dataset, "test has no fake videos")


def test_versions_are_told_apart_and_the_reason_is_said(tmp_path):
    def compared(folder: str, **more) -> str:
        return told(load(tmp_path / folder, **more), "compared with")

    listed(celebs(tmp_path / "Celeb-DF"))
    assert compared("Celeb-DF") == "compared with Celeb-DF v1: its list has 4 test videos, that of v2 has 518"
    assert "called Celeb-DF-v1" in compared(celebs(tmp_path / "Celeb-DF-v1").name)
    assert "v2: the folder is called celeb_df_v2" in compared(celebs(tmp_path / "celeb_df_v2").name)
    assert "v2: neither counts nor names" in compared(celebs(tmp_path / "plain").name)
    make(celebs(tmp_path / "later v1"), "YouTube-real/00250.mp4")
    assert "v2: YouTube-real/00250 is beyond the 250 of v1" in compared("later v1")
    make(celebs(tmp_path / "many v1"), *(f"Celeb-real/id9_{n:04}.mp4" for n in range(150)))
    assert "v2: 164 videos in Celeb-real, of which v1 has 158" in compared("many v1")


def test_v1_is_known_by_its_counts(tmp_path):
    root = make(tmp_path, *(f"Celeb-real/id0_{n:04}.mp4" for n in range(158)))
    make(root, *(f"YouTube-real/{n:05}.mp4" for n in range(250)))
    make(root, *(f"Celeb-synthesis/id0_id1_{n:04}.mp4" for n in range(795)))
    dataset = load(root)
    assert "v1: every folder has as many" in told(dataset, "compared with")
    assert not any("called" in note for note in dataset.notes), "a folder of another name tells nothing"
    assert all(count.n_missing == count.n_surplus == 0 for count in dataset.expected)


def test_counts_name_what_is_missing_and_what_is_too_much(tmp_path):
    listed(celebs(tmp_path / "Celeb-DF-v2"))
    make(tmp_path / "Celeb-DF-v2", "Celeb-real/id0_0000 (copy).mp4", "YouTube-real/00300.mp4")
    (tmp_path / "Celeb-DF-v2/Celeb-synthesis/id3_id4_0000.mp4").unlink()
    dataset = load(tmp_path)
    real, youtube, fake, tested = dataset.expected
    assert (real.part, real.found, real.expected) == ("Celeb-real", 15, 590)
    assert (real.missing, real.surplus) == ((), ("id0_0000 (copy)",))
    assert youtube.surplus == ("00300",)
    assert youtube.missing[:2] == ("00008", "00009")
    assert youtube.n_missing == 292
    assert (fake.expected, fake.missing) == (5639, ("id3_id4_0000",))
    assert (tested.found, tested.expected, tested.missing) == (3, 518, ("Celeb-synthesis/id3_id4_0000.mp4",))
    assert by_name(dataset)["id0_0000 (copy)"].split is None
    assert told(dataset, "names are not the owner's").endswith("id0_0000 (copy).mp4")


def test_two_versions_below_one_folder_are_refused(tmp_path):
    celebs(tmp_path / "Celeb-DF-v1")
    celebs(tmp_path / "Celeb-DF-v2")
    with pytest.raises(UsageError, match="several Celeb-DF trees"):
        load(tmp_path)


def test_folders_without_videos_are_refused(tmp_path):
    (tmp_path / "Celeb-real").mkdir()
    with pytest.raises(UsageError, match="no video in"):
        load(tmp_path)


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the list at $FFPIPE_TEST_DATA")
def test_the_genuine_list_of_v2(tmp_path):
    genuine = Path(os.environ["FFPIPE_TEST_DATA"]) / "lists/celeb-df-v2-List_of_testing_videos.txt"
    found = read_list(genuine)
    assert Counter(found.labels.values()) == {Label.REAL: 178, Label.FAKE: 340}
    assert Counter(folder for folder, _ in found.labels) == {
        "celebreal": 108,
        "youtubereal": 70,
        "celebsynthesis": 340,
    }
    make(tmp_path, *found.names.values())
    drawn = random.Random(0)
    for name in list(found.names.values()):
        folder, stem = name.split("/")
        if folder != "YouTube-real":
            make(tmp_path, f"{folder}/{stem.rpartition('_')[0]}_{drawn.randrange(5000, 10000)}.mp4")
    shutil.copy(genuine, tmp_path / LIST_NAME)
    dataset = load(tmp_path)
    assert len(of(dataset, Split.TEST)) == 518
    assert "Celeb-DF v2: 216 videos in Celeb-real" in told(dataset, "compared with")
    assert dataset.expected[-1].n_missing == 0
    train, validation = of(dataset, Split.TRAIN), of(dataset, Split.VAL)
    assert not shown(train) & shown(validation)
    assert not of(dataset, None), "the people of v2 are tied into several components"
    assert {e.label for e in validation} == set(Label)


@pytest.mark.parametrize("official", [True, False])
def test_what_is_said_of_the_own_split_is_moot_with_another(tmp_path, official):
    dataset = load(listed(celebs(tmp_path)) if official else celebs(tmp_path))
    moot = ("validation is not the owner's", "not identity-disjoint", "UNOFFICIAL SPLIT")
    said = [note for note in dataset.notes if any(words in note for words in moot)]
    assert said
    assert set(said) <= set(dataset.split_notes)
