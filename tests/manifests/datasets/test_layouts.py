"""The contract that every registered layout keeps, over small trees built here; recognition among them."""

import json
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from ffpipe.manifests import datasets
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Entry, Label, Split
from ffpipe.manifests.splits import leaks


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return root


def build_ffpp(root: Path) -> Path:
    pairs = [("000", "003"), ("001", "870"), ("002", "006"), ("010", "011")]
    for quality in ("raw", "c23"):
        for a, b in pairs:
            make(root / "original_sequences/youtube" / quality / "videos", f"{a}.mp4", f"{b}.mp4")
            for method in ("Deepfakes", "FaceSwap"):
                make(
                    root / "manipulated_sequences" / method / quality / "videos",
                    f"{a}_{b}.mp4",
                    f"{b}_{a}.mp4",
                )
    return root


def build_folder(root: Path) -> Path:
    return make(root, *(f"{kind}/{name}.mp4" for kind in ("real", "fake") for name in "abcdef"))


def build_forensynths(root: Path) -> Path:
    sets = ("train/progan/horse", "val/progan/horse", "test/biggan", "test/stylegan/car")
    return make(
        root, *(f"{place}/{kind}/{n}.png" for place in sets for kind in ("0_real", "1_fake") for n in "ab")
    )


def build_celeb_df(root: Path) -> Path:
    for a, b in (("id0", "id1"), ("id2", "id3"), ("id4", "id5")):
        make(root / "Celeb-real", f"{a}_0000.mp4", f"{b}_0000.mp4")
        make(root / "Celeb-synthesis", f"{a}_{b}_0000.mp4", f"{b}_{a}_0000.mp4")
    make(root / "YouTube-real", "00000.mp4", "00001.mp4")
    real = ("YouTube-real/00000", "Celeb-real/id0_0000", "Celeb-real/id1_0000")
    fake = ("Celeb-synthesis/id0_id1_0000", "Celeb-synthesis/id1_id0_0000")
    lines = [f"{label} {name}.mp4" for label, names in ((1, real), (0, fake)) for name in names]
    (root / "List_of_testing_videos.txt").write_text("\n".join(lines))
    return root


def build_dfdc(root: Path) -> Path:
    for number, letter in ((0, "a"), (36, "b"), (41, "c")):
        videos = {
            letter * 9 + "r.mp4": {"label": "REAL", "split": "train"},
            letter * 9 + "f.mp4": {"label": "FAKE", "split": "train", "original": letter * 9 + "r.mp4"},
        }
        folder = make(root / f"dfdc_train_part_{number}", *videos)
        (folder / "metadata.json").write_text(json.dumps(videos))
    return root


def build_dfdcp(root: Path) -> Path:
    listed = {}
    for actor in range(6):
        facts = {"set": "test" if actor < 2 else "train", "target_id": actor}
        listed[f"original_videos/{actor}/a.mp4"] = {"label": "real", **facts}
        listed[f"method_A/{actor}/a.mp4"] = {"label": "fake", **facts}
        listed[f"method_B/{actor}/a.mp4"] = {"label": "fake", **facts}
    make(root, *listed)
    (root / "dataset.json").write_text(json.dumps(listed))
    return root


def build_diffusion_fakes(root: Path) -> Path:
    places = ("laion/0_real", "imagenet/0_real", "dalle/1_fake", "guided/1_fake")
    return make(root, *(f"diffusion_datasets/{place}/{n}.png" for place in places for n in "ab"))


def build_unlabelled(root: Path) -> Path:
    return make(root, "a.mp4", "more/b.mkv")


def build_deepfakebench(root: Path) -> Path:
    listed: dict[str, dict[str, dict[str, dict[str, object]]]] = {"UADFV_Real": {}, "UADFV_Fake": {}}
    for label, videos in listed.items():
        for number, split in enumerate(("train", "val", "test")):
            frames = [f"UADFV\\{label}\\frames\\{number:04}\\{frame:03}.png" for frame in range(2)]
            videos[split] = {f"{number:04}": {"label": label, "frames": frames}}
            make(root, *(frame.replace("\\", "/") for frame in frames))
    make(root, "dataset_json/UADFV.json").joinpath("dataset_json/UADFV.json").write_text(
        json.dumps({"UADFV": listed})
    )
    return root


def build_wilddeepfake(root: Path) -> Path:
    return make(
        root,
        *(
            f"deepfake in the wild/{kind}_{part}/{shard}/{kind}/{sequence}/{frame}.png"
            for kind in ("real", "fake")
            for part in ("train", "test")
            for shard in range(4)
            for sequence in range(2)
            for frame in range(2)
        ),
    )


BUILDERS: dict[str, Callable[[Path], Path]] = {
    "deepfakebench": build_deepfakebench,
    "diffusion-fakes": build_diffusion_fakes,
    "ffpp": build_ffpp,
    "celeb-df": build_celeb_df,
    "dfdc": build_dfdc,
    "dfdcp": build_dfdcp,
    "folder": build_folder,
    "forensynths": build_forensynths,
    "unlabelled": build_unlabelled,
    "wilddeepfake": build_wilddeepfake,
}
NAMES = [layout.name for layout in datasets.list_layouts()]


def test_every_layout_has_a_builder_here():
    assert set(NAMES) == set(BUILDERS)


@pytest.fixture(params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture
def tree(name, tmp_path) -> Path:
    return BUILDERS[name](tmp_path / "data")


def test_a_layout_is_described(name):
    layout = datasets.get_layout(name)
    assert layout.name == name
    assert layout.summary


def test_its_own_tree_is_recognised_with_a_reason(name, tree):
    layout, reason = datasets.recognise(tree)
    assert layout.name == name
    assert reason


def test_the_trees_of_others_are_not_recognised(name, tmp_path):
    for other in NAMES:
        tree = BUILDERS[other](tmp_path / other)
        if name not in (other, "unlabelled"):
            assert datasets.get_layout(name).recognise(tree) is None


def test_entries_are_valid_and_point_at_files(name, tree):
    dataset = datasets.load(tree)
    assert dataset.name == name
    assert dataset.reason
    assert dataset.entries
    assert all(isinstance(entry, Entry) and files_of(entry) for entry in dataset.entries)
    assert all(path.is_file() for entry in dataset.entries for path in files_of(entry))
    assert len({entry.path for entry in dataset.entries}) == len(dataset.entries)
    assert {entry.label for entry in dataset.entries} in ({Label.REAL, Label.FAKE}, {None})
    assert {entry.quality for entry in dataset.entries} <= {"c0", "c23", "c40", None}
    assert dataset.split_source.split()[0] in ("official", "seeded", "given", "none")


def files_of(entry: Entry) -> list[Path]:
    if entry.pictures is None:
        return [Path(entry.path)]
    return [Path(entry.pictures.place, name) for name in entry.pictures.names]


def test_splits_are_group_disjoint_and_repeatable(name, tree):
    dataset = datasets.load(tree, seed=3)
    assert leaks(dataset.entries) == []
    assert datasets.load(tree, seed=3).entries == dataset.entries
    if dataset.split_source != "none":
        wanted = {Split.TEST} if "test sets" in dataset.split_source else set(Split)
        assert {entry.split for entry in dataset.entries} == wanted
        assert all(entry.group for entry in dataset.entries)


def test_what_is_excluded_is_left_out(name, tree):
    before = datasets.load(tree).entries
    inner = Path(before[0].path).parent / "workspace"
    make(inner, "crop.mp4")
    assert datasets.load(tree, exclude=[inner]).entries == before


def test_a_wrong_root_is_refused_in_one_line(name, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageError):
        datasets.load(empty, name)
    with pytest.raises(UsageError, match="does not exist"):
        datasets.load(tmp_path / "gone", name)


def test_a_folder_of_two_layouts_is_ambiguous_and_both_are_named(tmp_path):
    build_folder(build_ffpp(tmp_path))
    with pytest.raises(UsageError, match="--dataset ffpp or --dataset folder") as caught:
        datasets.load(tmp_path)
    assert "original_sequences/" in str(caught.value)
    assert "real/" in str(caught.value)
    assert datasets.load(tmp_path, "folder").name == "folder"
    assert datasets.load(tmp_path, "ffpp").name == "ffpp"


def test_a_manifest_goes_before_trees_below_it_and_not_before_one_beside_it(tmp_path):
    build_celeb_df(tmp_path / "c30")
    (tmp_path / "manifest.csv").write_text("path,label\nc30/Celeb-real/id0_0000.mp4,0\n")
    layout, reason = datasets.recognise(tmp_path)
    assert layout.name == "folder"
    assert "manifest.csv" in reason
    build_celeb_df(tmp_path)
    with pytest.raises(UsageError, match="--dataset folder or --dataset celeb-df"):
        datasets.recognise(tmp_path)


LABELLED = [name for name in NAMES if name != "unlabelled"]


@pytest.mark.parametrize(("one", "other"), [*combinations(LABELLED, 2)])
def test_two_trees_side_by_side_are_never_taken_for_one(tmp_path, one, other):
    for name in (one, other):
        BUILDERS[name](tmp_path / f"my {name}")
    for name in (one, other):
        BUILDERS[name](tmp_path / "both")
    with pytest.raises(UsageError, match=f"--dataset {one}.* --dataset {other}") as caught:
        datasets.load(tmp_path / "both")
    assert str(caught.value).count("found ") == 2, "each with its reason"
    for name in (one, other):
        assert datasets.load(tmp_path / "both", name).name == name
        assert datasets.recognise(tmp_path / f"my {name}")[0].name == name


def test_an_unknown_name_lists_the_known_ones(tmp_path):
    known = ", ".join(["auto", *NAMES])
    with pytest.raises(UsageError, match=f"known are {known}"):
        datasets.load(tmp_path, "ffp")


def test_a_folder_that_fits_nothing_is_unlabelled_and_says_what_was_seen(tmp_path):
    make(tmp_path, "clips/a.mp4")
    dataset = datasets.load(tmp_path)
    assert dataset.name == "unlabelled"
    assert dataset.reason == "no labelled layout fits; its subfolders are clips/"
    assert dataset.summary() == "1 file: 1 unlabelled"


def test_a_single_file_is_unlabelled(tmp_path):
    make(tmp_path, "a.mp4")
    assert [entry.path for entry in datasets.load(tmp_path / "a.mp4").entries] == [str(tmp_path / "a.mp4")]


def test_split_files_for_unlabelled_media_are_refused(tmp_path):
    make(tmp_path, "a.mp4")
    with pytest.raises(UsageError, match="unlabelled"):
        datasets.load(tmp_path, splits_dir=tmp_path)
