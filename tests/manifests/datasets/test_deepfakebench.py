"""DeepfakeBench's lists as they are shared: backslashes, foreign roots, repeated splits, four fakes of one name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from picture_sets import write_files

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.deepfakebench import DeepfakeBench
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks

PAIRS = {"train": ("000", "003"), "val": ("001", "870"), "test": ("002", "006")}
METHODS = {"FF-DF": "Deepfakes", "FF-F2F": "Face2Face", "FF-FS": "FaceSwap", "FF-NT": "NeuralTextures"}
SOURCES = {
    "FF-real": "original_sequences/youtube",
    **{k: f"manipulated_sequences/{v}" for k, v in METHODS.items()},
}


def frames_of(folder: str, count: int = 3) -> list[str]:
    """Frames in no order, as a folder's listing gives them."""
    return [f"{folder}/{n:03}.png" for n in (2, 0, 1, *range(3, count))][:count]


def ffpp_list(prefix: str = "FaceForensics++", slash: str = "/", qualities=("c23", "c40")) -> dict[str, Any]:
    """The list of FaceForensics++, a compression level below each split."""
    listed: dict[str, Any] = {}
    for label, source in SOURCES.items():
        for split, (a, b) in PAIRS.items():
            names = (a, b) if label == "FF-real" else (f"{a}_{b}", f"{b}_{a}")
            for quality in qualities:
                videos = {}
                for name in names:
                    frames = frames_of(f"{prefix}/{source}/{quality}/frames/{name}")
                    videos[name] = {"label": label, "frames": [frame.replace("/", slash) for frame in frames]}
                listed.setdefault(label, {}).setdefault(split, {})[quality] = videos
    return {"FaceForensics++": listed}


def every_video(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict) and "frames" in node:
        return [node]
    return (
        [video for value in node.values() for video in every_video(value)] if isinstance(node, dict) else []
    )


def write_frames(root: Path, listed: dict[str, Any], keep: Callable[[str], bool] = lambda path: True) -> None:
    paths = [f.replace("\\", "/") for video in every_video(listed) for f in video["frames"]]
    write_files(root, {path: path.encode() for path in paths if keep(path)})


def write_list(folder: Path, listed: dict[str, Any], name: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name or next(iter(listed))}.json"
    path.write_text(json.dumps(listed))
    return path


def build(root: Path, listed: dict[str, Any] | None = None, frames: str = "datasets/rgb") -> Path:
    listed = listed or ffpp_list()
    write_frames(root / frames, listed)
    write_list(root / "preprocessing" / "dataset_json", listed)
    return root


def test_videos_are_media_with_what_the_list_says(tmp_path):
    dataset = datasets.load(build(tmp_path))
    assert (dataset.name, dataset.cropped) == ("deepfakebench", True)
    assert dataset.split_source == "given by FaceForensics++.json"
    entries = {str(Path(e.path).relative_to(tmp_path / "datasets/rgb")): e for e in dataset.entries}
    assert len(entries) == 5 * 3 * 2 * 2
    fake = entries["FaceForensics++/manipulated_sequences/Deepfakes/c40/frames/001_870"]
    assert (fake.label, fake.method, fake.quality, fake.split) == (Label.FAKE, "Deepfakes", "c40", Split.VAL)
    assert (fake.target_id, fake.source_id) == ("001", "870")
    assert fake.pictures.names == ("000.png", "001.png", "002.png")
    real = entries["FaceForensics++/original_sequences/youtube/c23/frames/006"]
    assert (real.label, real.method, real.split, real.source_id) == (Label.REAL, None, Split.TEST, "006")
    assert leaks(dataset.entries) == []
    assert len({e.group for e in dataset.entries}) == 3


def test_four_fakes_of_one_name_stay_apart_and_copies_of_one_clip_belong_together(tmp_path):
    dataset = datasets.load(build(tmp_path))
    same = [e for e in dataset.entries if Path(e.path).name == "000_003" and e.quality == "c23"]
    assert sorted(str(e.method) for e in same) == sorted(METHODS.values())
    assert len({e.path for e in same}) == len({e.pair_id for e in same}) == 4
    pair = [e for e in dataset.entries if e.pair_id == same[0].pair_id]
    assert sorted(str(e.quality) for e in pair) == ["c23", "c40"]
    assert {e.pair_id for e in same} == {f"ffpp/{method}/000_003" for method in METHODS.values()}, (
        "as ffpp names it"
    )


@pytest.mark.parametrize("prefix", ["FaceForensics++", "./datasets/rgb/FaceForensics++", "/home/x/rgb/FaceForensics++",
                                    "..\\data\\FaceForensics++", "D:\\sets\\FaceForensics++"])  # fmt: skip
@pytest.mark.parametrize("slash", ["/", "\\"])
def test_backslashes_and_roots_of_other_machines(tmp_path, prefix, slash):
    write_frames(tmp_path / "datasets/rgb", ffpp_list(qualities=("c23",)))
    path = write_list(tmp_path / "dataset_json", ffpp_list(prefix, slash, ("c23",)))
    for source in (tmp_path, path):
        dataset = datasets.load(source)
        assert dataset.name == "deepfakebench"
        assert all(count.found == count.expected for count in dataset.expected)
        assert {Path(e.path).parents[3].parent.name for e in dataset.entries} == {"FaceForensics++"}


def test_the_frames_folder_as_source_with_the_list_given_apart(tmp_path):
    listed = ffpp_list()
    write_frames(tmp_path / "disk/frames", listed)
    path = write_list(tmp_path / "lists", listed)
    with pytest.raises(
        UsageError, match="no frame of FaceForensics\\+\\+.json was found, such as .*--splits"
    ):
        datasets.load(path)
    for given in (path, path.parent):
        dataset = datasets.load(tmp_path / "disk/frames", "deepfakebench", splits_dir=given)
        assert len(dataset.entries) == 60
    inner = datasets.load(tmp_path / "disk/frames/FaceForensics++", "deepfakebench", splits_dir=path)
    assert len(inner.entries) == 60
    assert any("without the listed FaceForensics++/" in note for note in inner.notes)


def test_labels_come_from_the_list_never_from_the_path(tmp_path):
    folders = {"X_real": "Odd/fake/frames/v", "X_fake": "Odd/real/frames/v"}
    listed = {
        "Odd": {
            label: {"test": {"v": {"label": label, "frames": frames_of(folder)}}}
            for label, folder in folders.items()
        }
    }
    entries = {Path(e.path).parents[1].name: e for e in datasets.load(build(tmp_path, listed)).entries}
    assert entries["fake"].label is Label.REAL
    assert (entries["real"].label, entries["real"].method) == (Label.FAKE, "X_fake")


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        *(
            (label, Label.REAL)
            for label in ("FF-real", "CelebDFv2_real", "DFDCP_Real", "DF_real", "roop_Real", "real")
        ),
        *(
            (label, Label.FAKE)
            for label in ("FF-F2F", "FF-SH", "CelebDFv2_fake", "DFDCP_FakeA", "UADFV_Fake", "fake")
        ),
    ],
)
def test_label_words(tmp_path, label, expected):
    listed = {"D": {label: {"test": {"v": {"label": label, "frames": frames_of("D/x/frames/v")}}}}}
    (entry,) = datasets.load(build(tmp_path, listed)).entries
    assert entry.label is expected


def celeb(split_of: dict[str, list[str]]) -> dict[str, Any]:
    labels = {"CelebDFv2_real": "Celeb-real", "CelebDFv2_fake": "Celeb-synthesis"}
    return {
        "Celeb-DF-v2": {
            label: {
                split: {
                    name: {"label": label, "frames": frames_of(f"Celeb-DF-v2/{folder}/frames/{name}")}
                    for name in names
                    if (name.count("id") == 1) == (label == "CelebDFv2_real")
                }
                for split, names in split_of.items()
            }
            for label, folder in labels.items()
        }
    }


def test_a_video_of_several_splits_belongs_to_the_one_that_learns_least(tmp_path):
    names = [f"id{n}_0000" for n in range(12)] + [f"id{n}_id{n + 1}_0000" for n in range(0, 12, 2)]
    tested = ["id0_0000", "id1_0000", "id0_id1_0000"]
    dataset = datasets.load(build(tmp_path, celeb({"train": names, "val": tested, "test": tested})))
    splits = {Path(e.path).name: e.split for e in dataset.entries}
    assert len(dataset.entries) == len(names)
    assert {name for name, split in splits.items() if split is Split.TEST} == set(tested)
    held = {name for name, split in splits.items() if split is Split.VAL}
    assert held, "the listed validation was the test split"
    assert leaks(dataset.entries) == []
    assert dataset.split_source == "given by Celeb-DF-v2.json, validation held out of train by seed 0"
    assert any(note.startswith("3 videos are listed in several splits") for note in dataset.notes)


def test_what_is_listed_everywhere_is_test(tmp_path):
    names = ["id0_0000", "id0_id1_0000"]
    dataset = datasets.load(build(tmp_path, celeb({"train": names, "val": names, "test": names})))
    assert {e.split for e in dataset.entries} == {Split.TEST}
    assert dataset.split_source == "given by Celeb-DF-v2.json"


def test_a_split_that_is_itself_a_video_as_in_dfdc(tmp_path):
    video = {"label": "DFDC_Fake", "frames": frames_of("DFDC/test/frames/abc")}
    listed = {"DFDC": {"DFDC_Fake": {"train": {}, "test": {"abc": video}, "val": video}}}
    (entry,) = datasets.load(build(tmp_path, listed)).entries
    assert (Path(entry.path).name, entry.split) == ("abc", Split.TEST)


def test_missing_frames_and_videos_are_named(tmp_path):
    listed = ffpp_list(qualities=("c23",))
    gone = (
        "Deepfakes/c23/frames/000_003/",
        "youtube/c23/frames/001/001.png",
        "youtube/c23/frames/001/002.png",
    )
    write_frames(tmp_path / "datasets/rgb", listed, lambda path: not any(part in path for part in gone))
    write_list(tmp_path / "dataset_json", listed)
    dataset = datasets.load(tmp_path)
    lines = [str(count) for count in dataset.expected]
    assert "FF-DF c23 videos: 5 of 6, missing 000_003" in lines
    frames = next(count for count in dataset.expected if count.part == "frames")
    assert (frames.found, frames.expected) == (85, 90)
    assert [Path(name).name for name in frames.missing] == [
        "002.png",
        "001.png",
        "002.png",
        "000.png",
        "001.png",
    ]
    faults = {Path(e.path).name: e.pictures for e in dataset.entries if e.pictures.fault}
    assert faults["001"].fault == "2 of 3 listed pictures are missing: 002.png, 001.png"
    assert faults["001"].names == ("000.png",)
    assert faults["000_003"].names == ()


def test_one_folder_under_two_labels_gives_two_rows(tmp_path):
    frames = frames_of("D/x/frames/v")
    listed = {
        "D": {label: {"test": {"v": {"label": label, "frames": frames}}} for label in ("a_fake", "b_fake")}
    }
    entries = datasets.load(build(tmp_path, listed)).entries
    assert [e.path.split("frames/")[1] for e in entries] == ["v", "v#b_fake/v"]
    assert {e.method for e in entries} == {"a_fake", "b_fake"}


def test_of_several_lists_one_must_be_named(tmp_path):
    build(tmp_path)
    other = write_list(tmp_path / "preprocessing/dataset_json", ffpp_list(qualities=("c23",)), "FF-DF")
    (tmp_path / "preprocessing/dataset_json/notes.json").write_text('{"a": 1}')
    assert DeepfakeBench().recognise(tmp_path) is not None
    with pytest.raises(UsageError, match=r"several lists \(FF-DF.json, FaceForensics\+\+.json\)"):
        datasets.load(tmp_path)
    assert len(datasets.load(other).entries) == 30


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (
            {"D": {"a_odd": {"test": {"v": {"label": "a_odd", "frames": ["D/a/v/0.png"]}}}}},
            "neither real nor fake",
        ),
        ({"D": {"a_fake": {"test": {"v": {"label": "a_fake", "frames": "x"}}}}}, "a list of paths"),
        ({"D": {"a_fake": {"test": {"v": ["D/a/v/0.png"]}}}}, "a list of paths"),
        ({"D": {"a_fake": {"test": {"v": {"frames": ["D/../../etc/0.png"]}}}}}, "no path of a frame"),
        ({"D": {"a_fake": {"test": {"v": {"frames": []}}}}}, "lists no frame"),
        ({"D": {"a_fake": {"test": {}, "extra": {}}}}, "a split is train, val or test"),
    ],
)
def test_wrong_lists_are_refused_in_one_line_that_says_where(tmp_path, listed, message):
    write_list(tmp_path, listed)
    with pytest.raises(UsageError, match=message) as caught:
        datasets.load(tmp_path / "D.json")
    assert "\n" not in str(caught.value)


def test_what_is_no_list_is_not_recognised(tmp_path):
    (tmp_path / "metadata.json").write_text('{"a.mp4": {"label": "FAKE", "split": "train"}}')
    (tmp_path / "broken.json").write_text('{"D": {"a_fake": {"test": ')
    assert datasets.recognise(tmp_path / "metadata.json")[0].name == "unlabelled"
    with pytest.raises(UsageError, match="is not JSON"):
        datasets.load(tmp_path / "broken.json")
