"""FaceForensics++ as people have it on disk: aliases, official and seeded splits, DFD, counts."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from training_faces import media_record

from ffpipe.manifests.datasets.ffpp import FaceForensics
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks
from ffpipe.stages.evaluation import comparisons

PAIRS = {"train": [["000", "003"], ["001", "870"]], "val": [["002", "006"]], "test": [["010", "011"]]}


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return root


def originals(quality: str, *ids: str) -> list[str]:
    return [f"original_sequences/youtube/{quality}/videos/{i}.mp4" for i in ids]


def fakes(method: str, quality: str, *stems: str) -> list[str]:
    return [f"manipulated_sequences/{method}/{quality}/videos/{s}.mp4" for s in stems]


def official(folder: Path, pairs=PAIRS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for split, listed in pairs.items():
        (folder / f"{split}.json").write_text(json.dumps(listed))
    return folder


def all_pairs(root: Path) -> Path:
    for a, b in sum(PAIRS.values(), []):
        make(root, *originals("c23", a, b), *fakes("Face2Face", "c23", f"{a}_{b}", f"{b}_{a}"))
    return root


def load(root: Path, **options):
    return FaceForensics().load(root, **options)


def by_name(dataset) -> dict:
    return {Path(entry.path).stem: entry for entry in dataset.entries}


def test_names_become_labels_ids_qualities_and_pairs(tmp_path):
    make(
        tmp_path,
        *originals("raw", "000"),
        *originals("c40", "000"),
        *fakes("NeuralTextures", "c0", "000_003"),
    )
    make(tmp_path, *fakes("NeuralTextures", "c23", "000_003"))
    raw_real, low_real, raw_fake, mid_fake = (
        next(e for e in load(tmp_path).entries if part in e.path)
        for part in ("youtube/raw", "youtube/c40", "NeuralTextures/c0", "NeuralTextures/c23")
    )
    assert (raw_real.label, raw_real.method, raw_real.quality, raw_real.source_id) == (
        Label.REAL,
        None,
        "c0",
        "000",
    )
    assert (raw_fake.label, raw_fake.method, raw_fake.quality) == (Label.FAKE, "NeuralTextures", "c0")
    assert (raw_fake.target_id, raw_fake.source_id) == ("000", "003")
    assert raw_real.pair_id == low_real.pair_id != raw_fake.pair_id == mid_fake.pair_id
    assert len({e.group for e in (raw_real, low_real, raw_fake, mid_fake)}) == 1


@pytest.mark.parametrize(
    "path",
    [
        "original_sequences/youtube/c23/000.mp4",
        "Original_Sequences/YouTube/C23/Videos/000.MP4",
        "FF++/original_sequences/youtube/c23/videos/000.mp4",
        "downloads/FaceForensics/original_sequences/youtube/c23/videos/000.avi",
    ],
)
def test_spellings_in_use_are_taken(tmp_path, path):
    make(tmp_path, path)
    assert FaceForensics().recognise(tmp_path)
    (entry,) = load(tmp_path).entries
    assert (entry.label, entry.quality, entry.source_id) == (Label.REAL, "c23", "000")


def test_any_rate_factor_is_a_quality_and_other_folders_are_named(tmp_path):
    make(tmp_path, *originals("c30", "000"), *originals("C5", "000"), *originals("c52", "000"))
    found = load(tmp_path)
    assert sorted(entry.quality for entry in found.entries) == ["c30", "c5"]
    assert any("original_sequences/youtube/c52" in note for note in found.notes)


def test_manipulated_alone_is_recognised(tmp_path):
    make(tmp_path, *fakes("face_swap", "c23", "000_003"))
    assert load(tmp_path).entries[0].method == "FaceSwap"


def test_two_trees_below_one_folder_are_refused(tmp_path):
    make(tmp_path / "a", *originals("c23", "000"))
    make(tmp_path / "b", *originals("c23", "000"))
    with pytest.raises(UsageError, match="several FaceForensics"):
        load(tmp_path)


def test_masks_frames_and_other_folders_are_counted_or_named(tmp_path):
    make(tmp_path, *originals("c23", "000"), *fakes("Deepfakes", "c23", "000_003"))
    make(
        tmp_path, "manipulated_sequences/Deepfakes/masks/videos/000_003.mp4", "original_sequences/extra/x.mp4"
    )
    make(
        tmp_path, "manipulated_sequences/Deepfakes/c23/videos/frames/1.png", *originals("c23", "001.mp4.part")
    )
    (tmp_path / "original_sequences/youtube/c23/videos/001.mp4.part.mp4").rename(
        tmp_path / "original_sequences/youtube/c23/videos/001.mp4.part"
    )
    dataset = load(tmp_path)
    assert sorted(by_name(dataset)) == ["000", "000_003"]
    assert dataset.companions == {"mask": 1, ".png": 1}
    assert [Path(s.path).name for s in dataset.skipped] == ["001.mp4.part"]
    assert any("original_sequences/extra" in note for note in dataset.notes)


def test_a_tree_without_videos_is_refused(tmp_path):
    (tmp_path / "original_sequences/youtube/c23/videos").mkdir(parents=True)
    with pytest.raises(UsageError, match="no video"):
        load(tmp_path)


@pytest.mark.parametrize("place", ["", "splits"])
def test_official_files_are_found_beside_the_data(tmp_path, place):
    official(all_pairs(tmp_path) / place)
    dataset = load(tmp_path)
    entries = by_name(dataset)
    for split, pairs in PAIRS.items():
        for a, b in pairs:
            assert {entries[name].split for name in (a, b, f"{a}_{b}", f"{b}_{a}")} == {Split(split)}
    assert dataset.split_source.startswith("official train.json, val.json, test.json in ")
    assert not any("UNOFFICIAL" in note for note in dataset.notes)
    assert leaks(dataset.entries) == []


def test_official_files_beside_the_folder_given_serve_a_tree_below_it(tmp_path):
    all_pairs(tmp_path / "FF")
    official(tmp_path / "splits")
    assert load(tmp_path).split_source.startswith("official")


def test_official_files_can_be_given(tmp_path):
    elsewhere = official(tmp_path / "lists", PAIRS | {"val": [["010", "011"]], "test": [["002", "006"]]})
    official(all_pairs(tmp_path / "data"))
    assert by_name(load(tmp_path / "data", splits_dir=elsewhere))["002"].split is Split.TEST


def test_clips_outside_the_official_split_are_in_none_and_tie_nothing(tmp_path):
    official(all_pairs(tmp_path))
    make(tmp_path, *originals("c23", "999", "copy of 000"), *fakes("Deepfakes", "c23", "000_002"))
    dataset = load(tmp_path)
    entries = by_name(dataset)
    assert [entries[name].split for name in ("999", "copy of 000", "000_002")] == [None, None, None]
    assert leaks(dataset.entries) == []
    assert any(note.startswith("3 videos are in no official split") for note in dataset.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[", "not JSON"),
        ('{"a": 1}', "list of pairs"),
        ('[["1", "2", "3"]]', "list of pairs"),
        ("[[1, 2]]", "list of pairs"),
        ('[["000", "900"]]', "000 is in both train and val"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_wrong_split_files_are_refused(tmp_path, content, message):
    folder = official(tmp_path / "splits")
    (folder / "val.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        load(all_pairs(tmp_path), splits_dir=folder)


def test_an_incomplete_set_of_split_files_is_refused_when_given_and_noted_when_found(tmp_path):
    official(all_pairs(tmp_path))
    (tmp_path / "val.json").unlink()
    with pytest.raises(UsageError, match="lacks val.json"):
        load(tmp_path, splits_dir=tmp_path)
    dataset = load(tmp_path)
    assert dataset.split_source.startswith("seeded")
    assert any("lacks val.json" in note for note in dataset.notes)


def test_without_split_files_identities_are_divided_by_seed_with_one_loud_line(tmp_path):
    dataset = load(all_pairs(tmp_path), seed=5)
    assert leaks(dataset.entries) == []
    assert {entry.split for entry in dataset.entries} == set(Split)
    assert dataset.split_source == "seeded 5, identity-disjoint, unofficial"
    (loud,) = [note for note in dataset.notes if "UNOFFICIAL" in note]
    assert "--splits DIR" in loud


def test_one_group_has_no_validation(tmp_path):
    make(tmp_path, *originals("c23", "000", "003"), *fakes("Deepfakes", "c23", "000_003"))
    assert {entry.split for entry in load(tmp_path).entries} == {Split.TRAIN}


def dfd(root: Path) -> Path:
    make(
        root,
        "original_sequences/actors/raw/videos/01__kitchen.mp4",
        "original_sequences/actors/raw/videos/05__hall.mp4",
    )
    return make(
        root, *fakes("DeepFakeDetection", "raw", "01_02__kitchen_pan__YVGY8LOK", "05_06__hall__ABCD1234")
    )


def test_dfd_names_and_groups(tmp_path):
    entries = by_name(load(dfd(tmp_path)))
    fake = entries["01_02__kitchen_pan__YVGY8LOK"]
    assert (fake.label, fake.method, fake.target_id, fake.source_id) == (
        Label.FAKE,
        "DeepFakeDetection",
        "01",
        "02",
    )
    assert (entries["01__kitchen"].label, entries["01__kitchen"].source_id) == (Label.REAL, "01")
    assert entries["01__kitchen"].group == fake.group != entries["05__hall"].group


def test_dfd_alone_is_divided_and_beside_faceforensics_it_is_test(tmp_path):
    alone = load(dfd(tmp_path))
    assert {entry.split for entry in alone.entries} == {Split.TRAIN, Split.VAL}
    official(all_pairs(tmp_path))
    both = by_name(load(tmp_path))
    assert both["05_06__hall__ABCD1234"].split is both["01__kitchen"].split is Split.TEST
    assert both["000"].split is Split.TRAIN


def test_dfd_and_the_methods_are_each_measured_against_their_own_reals(tmp_path):
    official(all_pairs(dfd(tmp_path)))
    entries = [entry for entry in load(tmp_path).entries if entry.split is Split.TEST]
    media = [
        media_record(
            0, entry.group, entry.label, entry.split, "FF", 1, method=entry.method, subset=entry.subset
        )
        for entry in entries
    ]
    media = [replace(m, media_id=Path(entry.path).stem) for m, entry in zip(media, entries, strict=True)]
    assert comparisons(media) == {
        "DeepFakeDetection": {
            "01__kitchen",
            "05__hall",
            "01_02__kitchen_pan__YVGY8LOK",
            "05_06__hall__ABCD1234",
        },
        "Face2Face": {"010", "011", "010_011", "011_010"},
    }


def test_counts_are_compared_and_missing_clips_named(tmp_path):
    official(all_pairs(tmp_path))
    (tmp_path / fakes("Face2Face", "c23", "006_002")[0]).unlink()
    expected = {count.part: count for count in load(tmp_path).expected}
    assert (expected["youtube c23"].found, expected["youtube c23"].expected) == (8, 1000)
    assert expected["youtube c23"].missing[:3] == ("004", "005", "007")
    assert str(expected["Face2Face c23"]) == "Face2Face c23: 7 of 1000, missing 006_002"
    assert str(expected["youtube c23"]).endswith("missing 004, 005, 007, 008, 009 and 987 more")
    assert any("not present: Deepfakes, FaceSwap" in note for note in load(tmp_path).notes)


def test_what_the_owner_does_not_have_is_named(tmp_path):
    make(tmp_path, *originals("c23", "000", "1000", "000 (copy)"))
    make(tmp_path, *fakes("Deepfakes", "c23", "000_003", "003_1000", "999"))
    expected = {count.part: count for count in load(tmp_path).expected}
    assert expected["youtube c23"].surplus == ("000 (copy)", "1000")
    assert expected["Deepfakes c23"].surplus == ("003_1000", "999"), (
        "beyond the numbers, without the owner's lists"
    )
    official(tmp_path)
    make(tmp_path, *fakes("Deepfakes", "c23", "000_002"))
    expected = {count.part: count for count in load(tmp_path).expected}
    assert expected["Deepfakes c23"].surplus == ("000_002", "003_1000", "999"), "no pair of the owner's lists"
    assert "000_003" not in expected["Deepfakes c23"].missing
    assert "003_000" in expected["Deepfakes c23"].missing


def test_counts_from_memory_are_marked(tmp_path):
    official(all_pairs(dfd(tmp_path)))
    make(tmp_path, *fakes("DeepFakeDetection", "raw", "000_003"))
    counts = load(tmp_path).expected
    assert {count.part for count in counts if not count.verified} == {"actors c0", "DeepFakeDetection c0"}
    assert next(c for c in counts if c.part == "DeepFakeDetection c0").surplus == ("000_003",)


def test_four_fakes_of_one_name_stay_four(tmp_path):
    methods = ("Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures")
    for method in methods:
        make(tmp_path, *fakes(method, "c23", "000_003"))
    entries = load(tmp_path).entries
    assert {entry.method for entry in entries} == set(methods)
    assert len({entry.path for entry in entries}) == len({entry.pair_id for entry in entries}) == 4
    assert len({entry.group for entry in entries}) == 1


def test_raw_beside_c0_is_said(tmp_path):
    make(tmp_path, *originals("raw", "000"), *originals("c0", "000"))
    assert any("more than once at one quality" in note for note in load(tmp_path).notes)


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the clips at $FFPIPE_TEST_DATA")
def test_the_genuine_sample_and_lists():
    data = Path(os.environ["FFPIPE_TEST_DATA"])
    entries = by_name(load(data / "ffpp-sample", splits_dir=data / "lists/ffpp"))
    assert {name: entry.split for name, entry in entries.items()} == {
        "519": Split.TRAIN,
        "519_515": Split.TRAIN,
        "634": Split.TEST,
        "634_660": Split.TEST,
    }
    seeded = load(data / "ffpp-sample").entries
    assert {split: sum(e.split is split for e in seeded) for split in Split} == {
        "train": 2,
        "val": 2,
        "test": 0,
    }
