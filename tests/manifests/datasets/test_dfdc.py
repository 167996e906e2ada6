"""DFDC as people have it on disk: parts in every place, the sample, the public test, groups, what is not listed."""

import json
import os
from pathlib import Path

import pytest

from ffpipe.manifests.datasets.dfdc import DFDC
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks


def name(number: int, letter: str = "a") -> str:
    """A name as the owner makes them: ten letters."""
    return letter + "".join(chr(ord("a") + int(digit)) for digit in f"{number:09}") + ".mp4"


def make(root: Path, *names: str) -> Path:
    for path in (root / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return root


def real(number: int) -> dict:
    return {name(number, "r"): {"label": "REAL", "split": "train"}}


def fake(number: int, original: int) -> dict:
    return {name(number, "f"): {"label": "FAKE", "split": "train", "original": name(original, "r")}}


def part(folder: Path, *listed: dict) -> Path:
    """A folder with every video that is listed, and its metadata."""
    metadata = {key: value for facts in listed for key, value in facts.items()}
    make(folder, *metadata)
    (folder / "metadata.json").write_text(json.dumps(metadata))
    return folder


def usual(number: int) -> list[dict]:
    first = 10 * number
    return [
        real(first),
        real(first + 1),
        fake(first, first),
        fake(first + 1, first),
        fake(first + 2, first + 1),
    ]


def parts(root: Path, *numbers: int, place: str = "", padded: bool = False) -> Path:
    for number in numbers:
        part(root / place / f"dfdc_train_part_{number:0{2 if padded else 1}}", *usual(number))
    return root


def load(root: Path, **options):
    return DFDC().load(root, **options)


def by_name(dataset) -> dict:
    return {Path(entry.path).name: entry for entry in dataset.entries}


def told(dataset, words: str) -> str:
    (line,) = [note for note in dataset.notes if words in note]
    return line


@pytest.mark.parametrize("place", ["", "train", "DFDC/train", "downloads/DFDC"])
@pytest.mark.parametrize("padded", [False, True])
def test_parts_are_found_wherever_they_lie_and_are_the_split(tmp_path, place, padded):
    parts(tmp_path, 0, 34, 35, 39, 40, 49, place=place, padded=padded)
    assert "dfdc_train_part_" in DFDC().recognise(tmp_path).reason
    dataset = load(tmp_path)
    entries = by_name(dataset)
    split_of = {number: entries[name(10 * number, "f")].split for number in (0, 34, 35, 39, 40, 49)}
    assert split_of == {
        0: Split.TRAIN, 34: Split.TRAIN, 35: Split.VAL, 39: Split.VAL, 40: Split.TEST, 49: Split.TEST
    }  # fmt: skip
    assert dataset.split_source.startswith("given by part numbers (0-34 train, 35-39 val, 40-49 test")
    assert "not the owner's" in dataset.split_source
    assert told(dataset, "of 50 parts") == "6 of 50 parts are there: 0, 34, 35, 39, 40, 49"
    assert leaks(dataset.entries) == []
    assert told(dataset, "does not name its actors")


def test_labels_originals_and_groups_come_from_the_metadata(tmp_path):
    entries = by_name(load(parts(tmp_path, 3, 40)))
    original, other, forged = (entries[n] for n in (name(30, "r"), name(31, "r"), name(31, "f")))
    assert (original.label, original.source_id, original.method) == (
        Label.REAL,
        Path(name(30, "r")).stem,
        None,
    )
    assert (forged.label, forged.target_id, forged.source_id) == (Label.FAKE, original.source_id, None)
    assert forged.group == original.group != other.group


def test_a_part_wrapped_in_a_folder_of_its_name_is_found(tmp_path):
    part(tmp_path / "dfdc_train_part_07" / "dfdc_train_part_7", *usual(7))
    part(tmp_path / "dfdc_train_part_40", *usual(40))
    assert by_name(load(tmp_path))[name(70, "r")].split is Split.TRAIN
    assert not any("without a label file" in note for note in load(tmp_path).notes)


@pytest.mark.parametrize("folder", ["dfdc_train_part_10", "train_sample_videos", "my download"])
def test_a_part_or_the_sample_given_alone_is_divided_by_seed_in_groups(tmp_path, folder):
    facts = [entry for number in range(10) for entry in usual(number)]
    root = part(tmp_path / folder, *facts)
    assert DFDC().recognise(root)
    dataset = load(root, seed=4)
    assert dataset.split_source.startswith("seeded 4, group-disjoint, unofficial")
    assert {entry.split for entry in dataset.entries} == set(Split)
    assert leaks(dataset.entries) == []
    assert "real videos together with their fakes" in told(dataset, "UNOFFICIAL")


@pytest.mark.parametrize(("number", "split"), [(36, Split.VAL), (45, Split.TEST)])
def test_a_part_in_use_for_measuring_is_not_divided_also_alone(tmp_path, number, split):
    dataset = load(parts(tmp_path, number) / f"dfdc_train_part_{number}")
    assert {entry.split for entry in dataset.entries} == {split}


def test_a_fake_follows_its_original_into_the_split_of_another_part(tmp_path):
    part(tmp_path / "dfdc_train_part_40", *usual(40), fake(499, 0))
    dataset = load(parts(tmp_path, 0))
    assert by_name(dataset)[name(499, "f")].split is Split.TRAIN
    assert told(dataset, "follow").startswith("1 fakes")
    assert leaks(dataset.entries) == []


def public_test(root: Path, place: str, file: str, beside: str | None = None) -> Path:
    """Two real and two fake videos of the public test."""
    labels = {name(n, "t"): n % 2 for n in range(4)}
    make(root / place, *labels)
    where = root / (place if beside is None else beside) / file
    if file == "labels.csv":
        where.write_text("filename,label\n" + "".join(f"{n},{label}\n" for n, label in labels.items()))
    else:
        facts = {n: {"label": "FAKE" if label else "REAL"} for n, label in labels.items()}
        where.write_text(json.dumps(facts))
    return root


@pytest.mark.parametrize("file", ["labels.csv", "testing_metadata.json"])
@pytest.mark.parametrize(
    ("place", "beside"),
    [("test", None), ("videos", None), ("test/videos", "test"), ("test", ""), ("videos", ""), ("", None)],
)
def test_the_public_test_is_found_and_its_one_means_fake(tmp_path, file, place, beside):
    public_test(tmp_path, place, file, beside)
    assert "public test" in DFDC().recognise(tmp_path).reason
    dataset = load(tmp_path)
    assert dataset.split_source == "official public test"
    assert {entry.split for entry in dataset.entries} == {Split.TEST}
    entries = by_name(dataset)
    assert (entries[name(0, "t")].label, entries[name(1, "t")].label) == (Label.REAL, Label.FAKE)


def test_two_tests_have_reals_of_their_own(tmp_path):
    dataset = load(public_test(parts(tmp_path, 0, 40), "test", "labels.csv"))
    assert dataset.split_source.startswith("official public test and given by part numbers")
    assert "4 videos of the public test and 5 of parts from 40" in told(dataset, "test holds")
    assert {e.subset for e in dataset.entries if e.split is Split.TEST} == {"public test", None}


def test_files_and_list_are_compared_both_ways(tmp_path):
    parts(tmp_path, 0, 40)
    folder = tmp_path / "dfdc_train_part_0"
    (folder / name(1, "f")).unlink()
    make(folder, "extra.mp4", "frames/1.png")
    dataset = load(tmp_path)
    first = dataset.expected[0]
    assert (first.part, first.found, first.expected) == ("dfdc_train_part_0", 4, 5)
    assert (first.missing, first.surplus) == ((name(1, "f"),), ("extra.mp4",))
    (skipped,) = dataset.skipped
    assert (Path(skipped.path).name, skipped.reason) == (
        "extra.mp4",
        "not in metadata.json: its label is not known",
    )
    assert dataset.companions == {".png": 1, ".json": 2}


def test_all_parts_together_are_compared_with_the_owners_number(tmp_path):
    dataset = load(parts(tmp_path, *range(50)))
    assert str(dataset.expected[-1]) == "all 50 parts: 250 of 119197"
    assert not any("of 50 parts are there" in note for note in dataset.notes)


def test_folders_without_labels_are_named(tmp_path):
    make(parts(tmp_path, 0, 40), "test_videos/a.mp4", "dfdc_train_part_1/b.mp4")
    dataset = load(tmp_path)
    assert told(dataset, "without a label file").endswith("dfdc_train_part_1/, test_videos/")
    assert len(dataset.entries) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", "not JSON"),
        ("[]", "must map file names"),
        ("{}", "lists no video"),
        ('{"a.mp4": {"label": "MAYBE"}}', "label of a.mp4 is 'MAYBE'; allowed are REAL and FAKE"),
        ('{"a.mp4": {}}', "label of a.mp4 is None"),
    ],
)
def test_wrong_metadata_is_refused_and_named(tmp_path, content, message):
    parts(tmp_path, 0, 1)
    (tmp_path / "dfdc_train_part_1" / "metadata.json").write_text(content)
    with pytest.raises(UsageError, match=f"dfdc_train_part_1/metadata.json.*{message}"):
        load(tmp_path)


def test_labels_without_the_two_columns_are_refused(tmp_path):
    public_test(tmp_path, "test", "labels.csv")
    (tmp_path / "test" / "labels.csv").write_text("name,truth\na.mp4,1\n")
    with pytest.raises(UsageError, match="needs the columns filename and label"):
        load(tmp_path)


def test_label_files_of_other_sets_are_not_taken_for_the_owners(tmp_path):
    make(tmp_path, "videos/holiday.mp4")
    (tmp_path / "videos/labels.csv").write_text("filename,label\nholiday.mp4,0\n")
    assert DFDC().recognise(tmp_path) is None
    assert [e.label for e in load(tmp_path).entries] == [Label.REAL], "but can be asked for"


def test_split_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--splits"):
        load(parts(tmp_path, 0), splits_dir=tmp_path)


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the clips at $FFPIPE_TEST_DATA")
def test_the_genuine_sample():
    data = Path(os.environ["FFPIPE_TEST_DATA"]) / "dfdc-sample"
    assert DFDC().recognise(data)
    entries = by_name(load(data))
    assert {n: (e.label, e.target_id) for n, e in entries.items()} == {
        "widuwuoiur.mp4": (Label.FAKE, "ybqmttnept"),
        "yhffcuhhjy.mp4": (Label.FAKE, "wdpsifpppf"),
    }
