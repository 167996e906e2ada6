"""The user's own real and fake media: class folders, groups by place and name, manifests."""

import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffpipe.manifests import datasets
from ffpipe.manifests.datasets.folder import Folder
from ffpipe.manifests.errors import IntegrityError, UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.splits import leaks


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"clip")
    return root


def load(root: Path, **options):
    return Folder().load(root, **options)


def by_place(root: Path) -> dict:
    return {str(Path(entry.path).relative_to(root)): entry for entry in load(root).entries}


def joined(root: Path, *places: str) -> bool:
    return len({by_place(root)[place].group for place in places}) == 1


@pytest.mark.parametrize(
    ("real", "fake"), [("real", "fake"), ("REAL", "FAKE"), ("0_real", "1_fake"), ("original", "manipulated")]
)
def test_class_folders_by_any_of_their_names(tmp_path, real, fake):
    make(tmp_path, f"{real}/a.mp4", f"{fake}/deep/b.png", f"{fake}/notes.txt")
    seen = Folder().recognise(tmp_path)
    assert seen is not None
    assert f"{real}/" in seen.reason
    dataset = load(tmp_path)
    assert {Path(entry.path).name: entry.label for entry in dataset.entries} == {
        "a.mp4": Label.REAL,
        "b.png": Label.FAKE,
    }
    assert dataset.companions == {".txt": 1}


def test_one_class_is_not_recognised_but_can_be_asked_for(tmp_path):
    make(tmp_path, "fake/a.mp4")
    assert Folder().recognise(tmp_path) is None
    assert any("no real media" in note for note in load(tmp_path).notes)


def test_what_lies_beside_the_classes_is_said(tmp_path):
    make(tmp_path, "real/a.mp4", "fake/b.mp4", "other/c.mp4", "loose.mp4", "ws/d.mp4")
    notes = load(tmp_path, exclude=[tmp_path / "ws"]).notes
    assert notes == [
        "folders that are no class were left out: other/",
        "1 media beside the class folders have no label and were left out",
    ]


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        ("real/a.mp4", "fake/a.avi"),
        ("real/alice/1.mp4", "fake/alice/2.mp4"),
        ("real/000.mp4", "fake/000_003.mp4"),
        ("real/003.mp4", "fake/Deepfakes/000_003.mp4"),
        ("real/my_clip.mp4", "fake/swap_my_clip_v2.mp4"),
        ("real/v1/0001.png", "fake/v1/0007.png"),
        ("real/v1/0001.png", "fake/v1_v2/0007.png"),
        ("real/v1_frame001.jpg", "fake/v1_frame9.jpg"),
    ],
)
def test_a_real_and_its_fake_stay_together(tmp_path, real, fake):
    make(tmp_path, real, fake, "real/unlike/other.mp4", "fake/unlikely/another.mp4")
    assert joined(tmp_path, real, fake)
    assert not joined(tmp_path, real, "real/unlike/other.mp4")


def test_fakes_that_share_an_id_stay_together_without_their_reals(tmp_path):
    make(tmp_path, "real/x.mp4", "fake/000_003.mp4", "fake/003_000.mp4", "fake/004_982.mp4")
    assert joined(tmp_path, "fake/000_003.mp4", "fake/003_000.mp4")
    assert not joined(tmp_path, "fake/000_003.mp4", "fake/004_982.mp4")


def test_names_that_repeat_in_many_folders_join_nothing(tmp_path):
    make(tmp_path, "real/a/1.mp4", "real/b/1.mp4", "fake/c/1.mp4", "fake/d/1_2.mp4", "fake/e/1_3.mp4")
    places = by_place(tmp_path)
    assert len({entry.group for entry in places.values()}) == 5


def test_a_single_subfolder_of_both_classes_is_structure_not_a_subject(tmp_path):
    make(tmp_path, "real/videos/a.mp4", "fake/videos/b.mp4")
    assert not joined(tmp_path, "real/videos/a.mp4", "fake/videos/b.mp4")


def test_flat_images_stand_alone_and_fakes_of_a_subfolder_have_a_method(tmp_path):
    make(tmp_path, "real/img_1.png", "real/img_2.png", "fake/FaceSwap/x.mp4", "fake/y.mp4")
    assert not joined(tmp_path, "real/img_1.png", "real/img_2.png")
    places = by_place(tmp_path)
    assert (places["fake/FaceSwap/x.mp4"].method, places["fake/y.mp4"].method) == ("FaceSwap", None)


def test_a_seeded_split_is_group_disjoint_with_both_classes_in_each_part(tmp_path):
    make(tmp_path, *(f"{kind}/{i:02}.mp4" for kind in ("real", "fake") for i in range(20)))
    dataset = load(tmp_path, seed=2)
    assert leaks(dataset.entries) == []
    assert {(e.split, e.label) for e in dataset.entries} == {(s, label) for s in Split for label in Label}
    assert dataset.split_source == "seeded 2, group-disjoint"


def test_split_folders_are_taken_and_their_leaks_said(tmp_path):
    make(tmp_path, "train/real/a.mp4", "train/fake/b.mp4", "valid/real/c.mp4", "test/fake/a.mp4")
    dataset = load(tmp_path)
    assert [entry.split for entry in sorted(dataset.entries, key=lambda e: e.path)] == [
        Split.TEST,
        Split.TRAIN,
        Split.TRAIN,
        Split.VAL,
    ]
    assert dataset.split_source.startswith("given by the train")
    assert any("leaks 1 times, first: group" in note for note in dataset.notes)


def test_a_folder_cannot_follow_official_files(tmp_path):
    with pytest.raises(UsageError, match="--splits"):
        load(make(tmp_path, "real/a.mp4", "fake/b.mp4"), splits_dir=tmp_path)


def manifest(root: Path, text: str) -> Path:
    path = root / "manifest.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_manifest_is_read_with_every_column(tmp_path):
    manifest(
        tmp_path,
        "\ufeffpath,label,split,group,method,quality,source_id,target_id,pair_id,extra\n"
        "a.mp4,real,train,g1,,raw,7,,p,x\n"
        '"b, c.mp4",1,VAL,,Swap,c40,8,9,,\n'
        "sub/c.mp4,,,,,,9,,,\n"
        "d.mp4,0\n",
    )
    assert Folder().recognise(tmp_path) is not None
    dataset = load(tmp_path)
    a, b, c, d = dataset.entries
    assert (a.path, a.label, a.split, a.quality, a.source_id) == (
        str(tmp_path / "a.mp4"),
        Label.REAL,
        Split.TRAIN,
        "c0",
        "7",
    )
    assert (b.path, b.label, b.split, b.method, b.target_id) == (
        str(tmp_path / "b, c.mp4"),
        Label.FAKE,
        Split.VAL,
        "Swap",
        "9",
    )
    assert (c.label, c.split, d.label) == (None, None, Label.REAL)
    assert b.group == c.group
    assert len({a.group, b.group, d.group}) == 3
    assert "2 media are in no split" in dataset.notes


def test_a_manifest_may_be_given_itself_under_any_name(tmp_path):
    path = manifest(tmp_path, "path,label\n/abs/a.mp4,0\nb.mp4,1\n").rename(tmp_path / "mine.csv")
    assert Folder().recognise(tmp_path) is None
    assert [entry.path for entry in load(path).entries] == ["/abs/a.mp4", str(tmp_path / "b.mp4")]
    assert load(path).split_source.startswith("seeded")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\na.mp4,2\n", "line 2: label '2' is not one of 0, real, 1, fake, empty"),
        ("path,label,split\na.mp4,0,training set\n", "line 2: split"),
        ("path,label,quality\na.mp4,0,c52\n", "line 2: quality 'c52' is not one of raw, c0 to c51, empty"),
        ("path,label\na.mp4,0\n,1\n", "line 3: the path is empty"),
        ("path,label\na.mp4,0\na.mp4,1\n", "line 3: .* is already on line 2"),
        ("path,label\n", "lists no medium"),
    ],
)
def test_a_wrong_manifest_names_the_line(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        load(manifest(tmp_path, text))


def test_a_manifest_names_any_rate_factor(tmp_path):
    path = manifest(tmp_path, "path,label,quality\na.mp4,0,RAW\nb.mp4,1,c31\nc.mp4,1,\n")
    assert [entry.quality for entry in load(path).entries] == ["c0", "c31", None]


def test_a_csv_without_the_columns_is_no_manifest(tmp_path):
    assert Folder().recognise(manifest(tmp_path, "file,class\na,0\n")) is None
    make(tmp_path, "real/a.mp4", "fake/b.mp4")
    assert len(load(tmp_path).entries) == 2


COLUMNS = {
    "path": ["a.mp4", "sub/b.mp4", "c.mp4", "d.mp4"],
    "label": [0, 1, None, 0],
    "split": ["train", "VAL", None, "test"],
    "group": ["g1", None, None, None],
    "method": [None, "Swap", None, None],
    "quality": ["raw", "c40", None, None],
    "source_id": [7.0, 8.0, None, None],
    "target_id": [None, 9, 9, None],
    "pair_id": ["p", None, None, "p"],
    "extra": [[1], [2], [3], [4]],
}


def test_a_parquet_manifest_says_what_the_same_csv_says(tmp_path):
    frame = pd.DataFrame(COLUMNS)
    whole = frame.astype(dict.fromkeys(("label", "source_id", "target_id"), "Int64"))
    (tmp_path / "csv").mkdir()
    whole.to_csv(tmp_path / "csv/manifest.csv", index=False)
    for place, written in (
        ("floats", frame),
        ("integers", whole),
        ("categories", whole.astype({"split": "category"})),
    ):
        (tmp_path / place).mkdir()
        written.to_parquet(tmp_path / place / "manifest.parquet")
        seen = Folder().recognise(tmp_path / place)
        assert seen is not None
        assert "manifest.parquet" in seen.reason
        by_csv, by_parquet = load(tmp_path / "csv"), load(tmp_path / place)
        moved = [replace(e, path=e.path.replace("/csv/", f"/{place}/"), group=None) for e in by_csv.entries]
        assert [replace(entry, group=None) for entry in by_parquet.entries] == moved
        assert by_parquet.notes == by_csv.notes
    a, b, c, d = load(tmp_path / "floats").entries
    assert a.group == d.group != b.group == c.group, "one clip, and one identity, are one group"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"label": [2, 1, 0, 0]}, "row 1: label '2' is not one of 0, real, 1, fake, empty"),
        ({"split": ["training set"] * 4}, "row 1: split"),
        ({"path": ["a", None, "b", "c"]}, "row 2: the path is empty"),
        ({"path": ["a", "b", "a", "c"]}, "row 3: .* is already on row 1"),
        ({"path": [[1], [2], [3], [4]]}, "row 1: path holds list"),
    ],
)
def test_a_wrong_parquet_manifest_names_the_row(tmp_path, change, message):
    pq.write_table(pa.table({**COLUMNS, **change}), tmp_path / "manifest.parquet")
    with pytest.raises(UsageError, match=message):
        load(tmp_path)


def test_a_parquet_manifest_with_extension_types_is_refused_unread(tmp_path):
    column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16)))
    pq.write_table(pa.table({"path": ["a"], "label": [0], "group": column}), tmp_path / "manifest.parquet")
    with pytest.raises(IntegrityError, match="extension types"):
        datasets.load(tmp_path)


def test_two_manifests_need_a_choice(tmp_path):
    manifest(tmp_path, "path,label\na.mp4,0\nb.mp4,1\n")
    pq.write_table(pa.table({"path": ["a.mp4"], "label": [1]}), tmp_path / "manifest.parquet")
    with pytest.raises(UsageError, match="holds manifest.csv and manifest.parquet; give one of them"):
        load(tmp_path)
    assert len(load(tmp_path / "manifest.parquet").entries) == 1


def test_undecodable_bytes_in_a_manifest_name_a_file(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"path,label\ncaf\xe9.mp4,0\n")
    assert os.fsencode(load(tmp_path).entries[0].path).endswith(b"/caf\xe9.mp4")


@pytest.mark.data
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the clips at $FFPIPE_TEST_DATA")
def test_genuine_face_crops_with_their_manifest():
    dataset = load(Path(os.environ["FFPIPE_TEST_DATA"]) / "dfdc-faces")
    assert len(dataset.entries) == 20_400
    assert leaks(dataset.entries) == []
    assert all(Path(entry.path).is_file() for entry in dataset.entries[::500])


@pytest.mark.parametrize(("split", "groups"), [("test", 2), ("", 1)])
def test_groups_of_a_manifest_that_is_divided_are_not_joined_by_people(tmp_path, split, groups):
    rows = [f"a.mp4,0,{split},of id0,id0,", f"b.mp4,1,{split},of id1,id0,id1"]
    header = "path,label,split,group,source_id,target_id"
    (tmp_path / "manifest.csv").write_text("\n".join([header, *rows]))
    entries = datasets.load(tmp_path).entries
    assert len({entry.group for entry in entries}) == groups
