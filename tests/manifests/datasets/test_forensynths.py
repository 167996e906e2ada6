"""ForenSynths as users have it on disk: levels that come and go, a class called `train`, two names of one set."""

from pathlib import Path

import pytest

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.forensynths import ForenSynths
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split


def make(root: Path, *places: str) -> Path:
    """A real and a fake picture in each place."""
    for number, place in enumerate(places):
        for kind in ("0_real", "1_fake"):
            folder = root / place / kind
            folder.mkdir(parents=True)
            (folder / f"{number}.png").write_bytes(b"picture")
    return root


def told(root: Path, **options) -> dict[str, tuple[Split | None, str | None]]:
    """Place of each fake -> split and generator, after checking what reals and fakes must share."""
    entries = ForenSynths().load(root, **options).entries
    for entry in entries:
        assert entry.method == (entry.subset if entry.label is Label.FAKE else None)
    assert len({entry.group for entry in entries}) == len(entries), "only identical content joins pictures"
    places = {
        label: {
            str(Path(e.path).parent.parent.relative_to(root)): (e.split, e.subset)
            for e in entries
            if e.label is label
        }
        for label in Label
    }
    assert places[Label.REAL] == places[Label.FAKE]
    return places[Label.FAKE]


def test_generators_with_and_without_a_class_level(tmp_path):
    make(tmp_path, "train/progan/horse", "val/progan/horse", "test/stylegan2/church", "test/biggan")
    assert told(tmp_path) == {
        "train/progan/horse": (Split.TRAIN, "progan"),
        "val/progan/horse": (Split.VAL, "progan"),
        "test/stylegan2/church": (Split.TEST, "stylegan2"),
        "test/biggan": (Split.TEST, "biggan"),
    }
    layout, reason = datasets.recognise(tmp_path)
    assert layout.name == "forensynths"
    assert reason == "found 0_real/ and 1_fake/ of biggan, progan, stylegan2 in train/, val/, test/"
    dataset = datasets.load(tmp_path)
    assert dataset.whole
    assert dataset.split_source.startswith("official")
    assert dataset.notes == ["train: progan", "val: progan", "test: biggan, stylegan2"]
    assert [str(count) for count in dataset.expected] == ["train progan, 1 of its classes: 2 of 36000"]


@pytest.mark.parametrize(
    ("place", "split", "generator"),
    [
        ("dataset/test/crn", Split.TEST, "crn"),
        ("datasets/ForenSynths/val/progan/cat", Split.VAL, "progan"),
        ("test/ForenSynths/san", Split.TEST, "san"),
        ("progan/train/horse", Split.TRAIN, "progan"),
        ("progan/test/stylegan/car", Split.TEST, "stylegan"),
        ("train/horse", Split.TRAIN, "progan"),
        ("train/train", Split.TRAIN, "progan"),
        ("test/sitd", Split.TEST, "seeingdark"),
        ("test/SeeingDark", Split.TEST, "seeingdark"),
        ("Test/Style-GAN2/cat", Split.TEST, "stylegan2"),
        ("test/ldm_200", Split.TEST, "ldm_200"),
        ("test/diffusion/ldm_200", Split.TEST, "diffusion/ldm_200"),
        ("test/newgan/horse", Split.TEST, "newgan"),
    ],
)
def test_levels_that_come_and_go(tmp_path, place, split, generator):
    make(tmp_path, place)
    assert told(tmp_path) == {place: (split, generator)}
    assert datasets.recognise(tmp_path)[0].name == "forensynths"


def test_the_class_called_train_is_no_split(tmp_path):
    make(tmp_path / "a", "test/progan/train", "test/progan/cat")
    assert set(told(tmp_path / "a").values()) == {(Split.TEST, "progan")}
    make(tmp_path / "b", "val/train", "val/sheep", "train/train", "train/sheep")
    assert told(tmp_path / "b") == {
        "val/train": (Split.VAL, "progan"),
        "val/sheep": (Split.VAL, "progan"),
        "train/train": (Split.TRAIN, "progan"),
        "train/sheep": (Split.TRAIN, "progan"),
    }


def test_a_split_or_a_generator_may_be_given_by_itself(tmp_path):
    make(tmp_path, "test/progan/train", "test/progan/cat", "test/gaugan")
    assert told(tmp_path / "test") == {
        "progan/train": (Split.TEST, "progan"),
        "progan/cat": (Split.TEST, "progan"),
        "gaugan": (Split.TEST, "gaugan"),
    }
    assert set(told(tmp_path / "test" / "progan").values()) == {(Split.TEST, "progan")}
    with pytest.raises(UsageError, match="--dataset folder or --dataset forensynths"):
        datasets.recognise(tmp_path / "test" / "gaugan")
    assert told(tmp_path / "test" / "gaugan") == {".": (Split.TEST, "gaugan")}


def test_without_a_split_it_must_be_asked_for(tmp_path):
    make(tmp_path, "ldm/horse", "ldm/cat")
    assert ForenSynths().recognise(tmp_path) is None
    assert set(told(tmp_path).values()) == {(None, "ldm")}
    assert ForenSynths().load(tmp_path).notes == ["in no split: ldm"]


def test_plain_class_folders_are_the_folder_layout(tmp_path):
    make(tmp_path, "train", "test")
    assert ForenSynths().recognise(tmp_path) is None
    assert datasets.recognise(tmp_path)[0].name == "folder"
    with pytest.raises(UsageError, match="not ForenSynths"):
        ForenSynths().load(tmp_path)


def test_what_is_no_picture_is_skipped_and_a_missing_class_is_said(tmp_path):
    make(tmp_path, "test/imle")
    (tmp_path / "test/imle/1_fake/clip.mp4").write_bytes(b"clip")
    (tmp_path / "test/imle/0_real/list.txt").write_text("companion")
    (tmp_path / "test/crn/1_fake").mkdir(parents=True)
    (tmp_path / "test/crn/1_fake/a.jpg").write_bytes(b"picture")
    dataset = ForenSynths().load(tmp_path)
    assert len(dataset.entries) == 3
    assert [Path(skipped.path).name for skipped in dataset.skipped] == ["clip.mp4"]
    assert dataset.companions == {".txt": 1}
    assert "test: crn has no real pictures" in dataset.notes


def test_split_files_are_refused(tmp_path):
    make(tmp_path, "test/imle")
    with pytest.raises(UsageError, match="--splits"):
        ForenSynths().load(tmp_path, splits_dir=tmp_path)
