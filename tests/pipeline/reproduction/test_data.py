"""What is found of a protocol's datasets in a workspace, and what is said of the rest."""

from __future__ import annotations

import pytest
from protocol_data import mark, write_ffpp, write_simple

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.reproduction.data import Holding, Holdings, Lack, Need, incomplete
from ffpipe.pipeline.reproduction.protocols.protocol import Protocol
from ffpipe.pipeline.reproduction.protocols.sources import (
    CELEB_DF_V1,
    CELEB_DF_V2,
    FFPP,
    FOUR_METHODS,
    by_key,
)
from ffpipe.pipeline.workspace import Workspace

FOUR = tuple(FOUR_METHODS.values())
PROTOCOL = Protocol("made", "", by_key(FFPP, CELEB_DF_V1, CELEB_DF_V2), (), (), face_detector="dlib")


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Workspace:
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(tmp_path))
    return Workspace.find()


def find(workspace: Workspace, need: Need, *use: str, splits: tuple[str, ...] = ()) -> Holding | Lack:
    config = ReproduceConfig(use=use, splits=splits)
    return Holdings(workspace, PROTOCOL, config, workspace.root / "splits").find(need)


def ffpp(quality: str = "c23", part: Split = Split.TRAIN, methods: tuple[str, ...] = FOUR) -> Need:
    return Need(FFPP, part, 270, quality, methods)


def test_an_empty_workspace_is_told_how_to_extract(workspace: Workspace) -> None:
    lack = find(workspace, ffpp())
    assert isinstance(lack, Lack)
    assert lack.reason == "no FaceForensics++ in the workspace"
    assert lack.commands == ("ffpipe extract FF++/ --frames 270 --detector dlib --splits SPLITS/",)


def test_a_dataset_of_the_layout_is_found_whatever_its_name(workspace: Workspace) -> None:
    write_ffpp(workspace, "mine")
    write_simple(workspace, "other", "folder", "/data/other")
    found = find(workspace, ffpp())
    assert isinstance(found, Holding)
    assert (found.name, found.qualities, found.kind, found.frames) == ("mine", ["c23"], "face", 1)
    assert found.count(Label.REAL, Split.TRAIN, "c23") == 1
    assert found.count(Label.FAKE, Split.TRAIN, "c23", ("Deepfakes", "FaceSwap")) == 2
    assert found.count(Label.FAKE) == 4 * 3


def test_a_compressed_copy_is_made_of_raw_video_and_of_no_other(workspace: Workspace) -> None:
    write_ffpp(workspace, qualities=("c0",))
    lack = find(workspace, ffpp("c40"))
    assert isinstance(lack, Lack)
    assert lack.reason == "FF++ has no c40 (qualities: c0): add its folders to /data/FF++, or make them"
    assert lack.commands == (
        "ffpipe degrade /data/FF++ --crf 40 --out /data/FF++",
        "ffpipe extract /data/FF++",
    )


@pytest.mark.parametrize("wanted", ["c0", "c40"])
def test_of_a_compressed_copy_nothing_is_made(workspace: Workspace, wanted: str) -> None:
    write_ffpp(workspace, qualities=("c23",))
    lack = find(workspace, ffpp(wanted))
    assert isinstance(lack, Lack)
    assert lack.commands == ("ffpipe extract /data/FF++",)


def test_a_method_or_a_part_that_is_absent_is_named(workspace: Workspace) -> None:
    write_ffpp(workspace, methods=FOUR[:3], parts=(Split.TRAIN,))
    lack = find(workspace, ffpp())
    assert isinstance(lack, Lack)
    assert lack.reason == f"FF++ has no {FOUR[3]} in train at c23"
    lack = find(workspace, ffpp(part=Split.TEST))
    assert isinstance(lack, Lack)
    assert lack.reason == "FF++ has no real media in test at c23"
    assert isinstance(find(workspace, ffpp(methods=FOUR[:1])), Holding)


def test_of_two_that_fit_the_user_says_which(workspace: Workspace) -> None:
    write_ffpp(workspace, "a")
    write_ffpp(workspace, "b")
    lack = find(workspace, ffpp())
    assert isinstance(lack, Lack)
    assert lack.reason == "several datasets could be FaceForensics++: a, b; say which with --use ffpp=a"
    chosen = find(workspace, ffpp(), "ffpp=b")
    assert isinstance(chosen, Holding)
    assert chosen.name == "b"


def test_training_and_testing_may_be_two_datasets(workspace: Workspace) -> None:
    write_ffpp(workspace, "a", parts=(Split.TRAIN, Split.VAL))
    write_ffpp(workspace, "b", parts=(Split.TEST,))
    found = [find(workspace, ffpp(part=part)) for part in (Split.TRAIN, Split.TEST)]
    assert [held.name for held in found if isinstance(held, Holding)] == ["a", "b"]


def test_celeb_df_is_told_apart_by_name_or_by_the_user(workspace: Workspace) -> None:
    need = Need(CELEB_DF_V2, Split.TEST, 50)
    write_simple(workspace, "celeb", "celeb-df", "/data/Celeb-DF")
    lack = find(workspace, need)
    assert isinstance(lack, Lack)
    assert "--use celeb-df-v2=celeb" in lack.reason
    assert isinstance(find(workspace, need, "celeb-df-v2=celeb"), Holding)
    mark(workspace.root / "datasets" / "celeb", "celeb-df", "/data/Celeb-DF-v2")
    assert isinstance(find(workspace, need), Holding)
    lack = find(workspace, Need(CELEB_DF_V1, Split.TRAIN, 50))
    assert isinstance(lack, Lack)
    assert lack.reason == "no Celeb-DF v1 in the workspace"


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("ffpp", "KEY=VALUE is allowed"),
        ("nope=a", "one of ffpp, celeb-df-v1, celeb-df-v2"),
        ("ffpp=nope", "no labelled dataset 'nope'"),
    ],
)
def test_a_wrong_use_is_told_what_is_allowed(workspace: Workspace, use: str, words: str) -> None:
    write_ffpp(workspace, "a", methods=(), parts=(Split.TRAIN,))
    with pytest.raises(UsageError, match=words):
        find(workspace, ffpp(), use)


def test_a_paper_s_own_division_is_drawn_and_kept(workspace: Workspace) -> None:
    write_simple(workspace, "celeb", "celeb-df", "/data/Celeb-DF-v1", parts=(Split.TRAIN,), clips=8)
    found = find(workspace, Need(CELEB_DF_V1, Split.TEST, 50))
    assert isinstance(found, Holding)
    assert [found.count(label, part) for label in Label for part in Split] == [6, 1, 1, 6, 1, 1]
    assert found.split_source == "sffb-celeb-df-6-1-1"
    assert found.splits == workspace.root / "splits" / "celeb-sffb-celeb-df-6-1-1-0.csv"
    written = found.splits.read_bytes()
    assert find(workspace, Need(CELEB_DF_V1, Split.TRAIN, 50)) == found
    assert found.splits.read_bytes() == written


def test_a_split_file_of_the_user_goes_before_any_other(workspace: Workspace) -> None:
    write_ffpp(workspace, parts=(Split.TRAIN,), clips=2)
    media = from_table(workspace.dataset("FF++").read("media"), MediaRecord)
    lines = [f"{m.media_id},{'test' if m.group == 'train1' else 'train'}" for m in media]
    file = workspace.root / "mine.csv"
    file.write_text("\n".join(["media_id,split", *lines]) + "\n")
    assert isinstance(find(workspace, ffpp(part=Split.TEST)), Lack)
    found = find(workspace, ffpp(part=Split.TEST), splits=(f"ffpp={file}",))
    assert isinstance(found, Holding)
    assert (found.splits, found.count(Label.REAL, Split.TEST)) == (file, 1)
    assert found.split_source.startswith(f"given by {file}")
    with pytest.raises(UsageError, match=r"--splits x=y: KEY=VALUE is allowed"):
        find(workspace, ffpp(), splits=("x=y",))
    file.write_text("media_id,split\nnope,test\n")
    lack = find(workspace, ffpp(), splits=(f"ffpp={file}",))
    assert isinstance(lack, Lack)
    assert lack.reason.startswith("FF++ cannot be divided: ")


def test_what_falls_short_of_the_owners_counts_is_said(workspace: Workspace) -> None:
    write_ffpp(workspace, methods=FOUR[:1])
    need = ffpp(methods=FOUR[:1])
    held = find(workspace, need)
    assert isinstance(held, Holding)
    assert incomplete(held, need) == ["train of FF++ at c23: 1 of 720 real, 1 of 720 Deepfakes"]
    whole = {
        (Split.TRAIN, "c23", label, method): 720
        for label, method in ((Label.REAL, None), (Label.FAKE, FOUR[0]))
    }
    full = Holding("x", "ffpp", None, "face", 270, "dlib", "official", None, whole, frozenset())
    assert incomplete(full, need) == []
