"""WildDeepfake packed and extracted: the extra space, repeated numbers, frames in no order, archives that end early."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from picture_sets import write_files, write_tar

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.wilddeepfake import CATEGORIES, WildDeepfake
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split

NAMES = [name for name, _, _ in CATEGORIES.values()]


def shard_files(category: str, shard: str, sequences=(1, 12), frames=(10, 9, 100)) -> dict[str, bytes]:
    """The members of a shard; no two pictures are alike."""
    label = category.split("_")[0]
    return {
        f"{shard}/{label}/{sequence}/{frame}.png": f"{category} {shard} {sequence} {frame}".encode()
        for sequence in sequences
        for frame in frames
    }


def make_packed(root: Path, shards: int = 4, top: str = "deepfake_in_the_wild", names=NAMES) -> Path:
    for name in names:
        for shard in map(str, range(shards)):
            write_tar(root / top / name / f"{shard}.tar.gz", shard_files(name, shard))
    return root


def make_extracted(root: Path, shards: int = 4, top: str = "") -> Path:
    for name in NAMES:
        for shard in map(str, range(shards)):
            write_files(root / top / name, shard_files(name, shard))
    return root


def told(dataset, root: Path) -> dict[str, tuple[Label | None, bool]]:
    return {str(Path(e.path).relative_to(root)): (e.label, e.split is Split.TEST) for e in dataset.entries}


@pytest.mark.parametrize("top", ["deepfake_in_the_wild", "deepfake in the wild", "Deepfake-in-the-Wild", ""])
def test_shards_are_read_without_unpacking(tmp_path, top):
    make_packed(tmp_path / "data", shards=2, top=top)
    before = sorted(tmp_path.rglob("*"))
    dataset = datasets.load(tmp_path / "data")
    assert (dataset.name, dataset.cropped, dataset.whole) == ("wilddeepfake", True, False)
    found = told(dataset, tmp_path / "data" / top)
    assert len(found) == 4 * 2 * 2
    assert found["fake_train/1.tar.gz/1/fake/12"] == (Label.FAKE, False)
    assert found["real_test/0.tar.gz/0/real/1"] == (Label.REAL, True)
    assert all(e.method is None and e.quality is None for e in dataset.entries)
    names = {e.pictures.names for e in dataset.entries if e.path.endswith("fake_train/1.tar.gz/1/fake/12")}
    assert names == {tuple(f"1/fake/12/{n}.png" for n in (9, 10, 100))}
    assert sorted(tmp_path.rglob("*")) == before, "nothing is written"
    assert [str(count) for count in dataset.expected] == [
        "real sequences: 8 of 3805",
        "fake sequences: 8 of 3509",
    ]


def test_repeated_shard_and_sequence_numbers_stay_apart(tmp_path):
    dataset = datasets.load(make_packed(tmp_path))
    assert len({e.path for e in dataset.entries}) == len(dataset.entries) == 32
    assert len({e.pictures.sha256 for e in dataset.entries}) == 32
    groups = {e.group for e in dataset.entries}
    assert groups == {f"wilddeepfake/{name}/{shard}" for name in NAMES for shard in range(4)}


def test_whole_train_shards_are_held_out_and_test_is_the_owner_s(tmp_path):
    dataset = datasets.load(make_packed(tmp_path, shards=8), seed=3)
    places = {e.group: e.split for e in dataset.entries}
    assert all((split is Split.TEST) == ("_test/" in group) for group, split in places.items())
    assert all(len({e.split for e in dataset.entries if e.group == g}) == 1 for g in places)
    held = {group for group, split in places.items() if split is Split.VAL}
    assert {group.split("/")[1] for group in held} == {"real_train", "fake_train"}
    assert dataset.split_source.startswith("official test folders, validation held out of train by seed 3")
    assert any(f"{len(held)} of 16 train shards are held out" in note for note in dataset.notes)
    other = {e.group for e in datasets.load(tmp_path, seed=4).entries if e.split is Split.VAL}
    assert other != held


@pytest.mark.parametrize("place", ["{name}", "{name}/extracted", "{name}/{shard}"])
def test_extracted_trees_are_the_same_sequences(tmp_path, place):
    for name in NAMES:
        for shard in ("0", "1"):
            write_files(tmp_path / "x" / place.format(name=name, shard=shard), shard_files(name, shard))
    extracted = datasets.load(tmp_path / "x")
    packed = datasets.load(make_packed(tmp_path / "p", shards=2))
    assert extracted.name == "wilddeepfake"
    assert sorted((e.group, e.label) for e in extracted.entries) == sorted(
        (e.group, e.label) for e in packed.entries
    )
    for entry in extracted.entries:
        assert [Path(n).name for n in entry.pictures.names] == ["9.png", "10.png", "100.png"]
    assert [c.found for c in extracted.expected] == [c.found for c in packed.expected]


def test_packed_and_extracted_side_by_side_count_once(tmp_path):
    make_extracted(make_packed(tmp_path, shards=2, top=""), shards=2)
    dataset = datasets.load(tmp_path)
    assert len(dataset.entries) == 32
    assert [count.found for count in dataset.expected] == [8, 8]
    assert any(note.startswith("16 sequences are there twice") for note in dataset.notes)


def test_an_archive_that_ends_early_has_a_row_and_so_does_what_it_breaks_off_in(tmp_path):
    make_packed(tmp_path, shards=2, top="")
    path = tmp_path / "fake_train" / "1.tar.gz"
    files = {
        name: data + os.urandom(5000) for name, data in shard_files("fake_train", "1", (1, 2, 3)).items()
    }
    write_tar(path, files)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "real_test" / "0.tar.gz").write_bytes(b"no archive" * 200)
    dataset = datasets.load(tmp_path)
    faulty = {
        str(Path(e.path).relative_to(tmp_path)): e.pictures for e in dataset.entries if e.pictures.fault
    }
    assert {place: len(pictures.names) for place, pictures in faulty.items()} == {
        "fake_train/1.tar.gz": 0,
        "fake_train/1.tar.gz/1/fake/2": 1,
        "real_test/0.tar.gz": 0,
    }
    assert faulty["fake_train/1.tar.gz"].fault == "the archive is cut short; 2 sequences before it were taken"
    assert sum("cut short" in note or "not a tar archive" in note for note in dataset.notes) == 2


def test_what_is_no_sequence_is_skipped_and_companions_are_counted(tmp_path):
    make_extracted(tmp_path, shards=2)
    write_files(
        tmp_path / "fake_test", {"loose.png": b"p", "a.zip": b"z", "readme.txt": b"t", "1/fake/1/x.bin": b"b"}
    )
    dataset = datasets.load(tmp_path)
    assert sorted(Path(s.path).name for s in dataset.skipped) == ["a.zip", "loose.png", "x.bin"]
    assert dataset.companions == {".txt": 1}
    assert len(dataset.entries) == 16


@pytest.mark.parametrize(
    ("names", "top", "known"),
    [
        (["fake_test"], "deepfake_in_the_wild", True),
        (["fake_test", "real_test"], "", True),
        (["fake_test"], "", False),
        (["Real-Train", "FAKE TRAIN"], "", True),
        (["real", "fake"], "", False),
    ],
)
def test_recognition_rests_on_the_four_names(tmp_path, names, top, known):
    for name in names:
        (tmp_path / top / name).mkdir(parents=True)
    assert (WildDeepfake().recognise(tmp_path) is not None) is known


def test_split_files_and_empty_trees_are_refused(tmp_path):
    make_extracted(tmp_path, shards=1)
    with pytest.raises(UsageError, match="--splits"):
        datasets.load(tmp_path, splits_dir=tmp_path)
    (tmp_path / "bare" / "fake_test").mkdir(parents=True)
    with pytest.raises(UsageError, match="no sequence of pictures"):
        datasets.load(tmp_path / "bare", "wilddeepfake")
