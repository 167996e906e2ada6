from __future__ import annotations

import json
from pathlib import Path

import pytest
from training_faces import media_record, write_dataset

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.balance import PseudoFakes
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.training_data import choose_media, more_frames, pseudo_fakes
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings

REAL, FAKE = Label.REAL, Label.FAKE


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def _add(workspace, name, clips, first=0, **changes):
    return write_dataset(workspace.root / "datasets" / name, clips, first=first, **changes)


def _choose(workspace, data=(), quality=None, left_out=(), seed=0):
    return choose_media(workspace, data, quality, left_out, seed)


SPLIT = [
    ("a", REAL, Split.TRAIN),
    ("a", FAKE, Split.TRAIN),
    ("b", REAL, Split.VAL),
    ("b", FAKE, Split.VAL),
    ("c", REAL, Split.TEST),
    ("c", FAKE, Split.TEST),
]


def test_the_only_labelled_dataset_is_used_and_its_test_split_is_not_touched(workspace):
    _add(workspace, "made", SPLIT)
    _add(workspace, "wild", [("x", None, None)], first=50)
    media = _choose(workspace)
    assert media.datasets == ("made",)
    assert sorted(int(name, 16) for name in media.train) == [0, 1]
    assert sorted(int(name, 16) for name in media.validation) == [2, 3]
    assert "2 media of the test split are not touched" in media.notes


def test_several_labelled_datasets_need_a_choice(workspace):
    _add(workspace, "one", SPLIT)
    _add(workspace, "two", SPLIT, first=10)
    with pytest.raises(UsageError, match=r"one, two.*--data"):
        _choose(workspace)
    assert len(_choose(workspace, ["one", "two"]).train) == 4


def test_unknown_or_absent_datasets_are_named(workspace):
    with pytest.raises(UsageError, match="ffpipe extract"):
        _choose(workspace)
    _add(workspace, "one", SPLIT)
    with pytest.raises(UsageError, match=r"--data tow.*there are one"):
        _choose(workspace, ["tow"])


def test_several_qualities_need_a_choice_and_one_alone_is_taken(workspace):
    _add(workspace, "low", SPLIT, quality="c40")
    assert len(_choose(workspace).train) == 2
    _add(workspace, "high", SPLIT, first=10, quality="c23")
    with pytest.raises(UsageError, match=r"c23, c40.*--quality"):
        _choose(workspace, ["low", "high"])
    media = _choose(workspace, ["low", "high"], quality="c23")
    assert {int(name, 16) for name in media.train} == {10, 11}
    with pytest.raises(UsageError, match="c0"):
        _choose(workspace, ["low"], quality="c0")


def test_without_a_validation_split_whole_groups_are_held_out_and_it_says_so(workspace):
    clips = [(f"g{i // 2}", Label(i % 2), Split.TRAIN) for i in range(20)]
    _add(workspace, "made", clips)
    media = _choose(workspace, seed=3)
    groups = [{labelled.group for labelled in part.values()} for part in (media.train, media.validation)]
    assert groups[1]
    assert not groups[0] & groups[1]
    assert len(media.train) + len(media.validation) == 20
    assert any("held out of train, seed 3" in note for note in media.notes)
    assert _choose(workspace, seed=3).validation == media.validation
    assert any(_choose(workspace, seed=s).validation != media.validation for s in range(4, 9))


def test_a_single_group_leaves_no_validation_and_it_says_so(workspace):
    _add(workspace, "made", [("g", REAL, None), ("g", FAKE, None)])
    media = _choose(workspace)
    assert not media.validation
    assert any("unvalidated" in note for note in media.notes)


def _write_conflict(workspace):
    """A medium that one path calls real and another fake, beside two that are clear."""
    shards = _add(
        workspace, "made", [("a", REAL, Split.TRAIN), ("b", FAKE, Split.TRAIN), ("c", REAL, Split.TRAIN)]
    )
    copy = media_record(0, "d", FAKE, Split.TRAIN, "made", faces=4)
    tables = {"media": to_table("media", [copy]), "faces": to_table("faces", [])}
    shards.commit("f" * 20, "a", tables, [])


def test_a_medium_with_both_labels_is_left_out_and_it_says_so(workspace):
    _write_conflict(workspace)
    media = _choose(workspace)
    assert f"{0:032x}" not in {**media.train, **media.validation}
    assert any("both real and fake" in note for note in media.notes)


def test_methods_outside_the_protocol_are_left_out_unless_there_are_no_others(workspace):
    clips = [
        ("a", REAL, Split.TRAIN),
        ("a", FAKE, Split.TRAIN),
        ("b", REAL, Split.VAL),
        ("b", FAKE, Split.VAL),
    ]
    _add(workspace, "made", clips)
    _add(workspace, "shifted", [("a", FAKE, Split.TRAIN)], first=20, method="FaceShifter")
    media = _choose(workspace, ["made", "shifted"], left_out=["FaceShifter"])
    assert f"{20:032x}" not in media.train
    assert any("FaceShifter" in note for note in media.notes)
    assert len(_choose(workspace, ["made"], left_out=["warp"]).train) == 2


def test_one_class_alone_is_refused(workspace):
    _add(workspace, "made", [("a", FAKE, None), ("b", FAKE, None)])
    with pytest.raises(UsageError, match="no real media"):
        _choose(workspace)


REALS = [(f"g{i}", REAL, Split.TRAIN) for i in range(6)]


def _pseudo(workspace, share=0.5, data=()):
    return choose_media(workspace, data, None, (), 0, PseudoFakes(share))


def test_real_media_alone_are_enough_with_pseudo_fakes_and_are_all_trained_on(workspace):
    _add(workspace, "made", REALS)
    with pytest.raises(UsageError, match="no fake media"):
        _choose(workspace)
    media = _pseudo(workspace)
    assert len(media.train) == 6
    assert not media.validation
    assert any("pseudo-fakes never validate" in note and "unvalidated" in note for note in media.notes)


def test_real_media_held_out_by_their_dataset_stay_held_out(workspace):
    _add(workspace, "made", [*REALS, ("v", REAL, Split.VAL), ("t", REAL, Split.TEST)])
    media = _pseudo(workspace)
    assert len(media.train) == 6
    assert not media.validation
    assert any("1 medium held out as validation stay unused" in note for note in media.notes)


def test_labelled_fakes_validate_and_a_share_of_one_leaves_them_out_of_training_alone(workspace):
    _add(workspace, "made", SPLIT)
    mixed, alone = _pseudo(workspace), _pseudo(workspace, share=1)
    assert mixed.train.keys() == _choose(workspace).train.keys()
    assert [m.label for m in alone.train.values()] == [0]
    assert sorted(m.label for m in alone.validation.values()) == [0, 1]
    assert any("1 medium labelled fake is not trained on" in note for note in alone.notes)


def test_pseudo_fakes_need_real_media(workspace):
    _add(workspace, "made", [("a", FAKE, None), ("b", FAKE, None)])
    with pytest.raises(UsageError, match=r"no real media.*made of real faces"):
        _pseudo(workspace)


def test_pseudo_fakes_of_whole_images_are_refused(workspace):
    shards = _add(workspace, "made", SPLIT)
    configuration = {"store_size": 512, "whole": True}
    _change_job(shards.root, crop=CropSettings(kind="whole").fingerprint(), configuration=configuration)
    assert _choose(workspace).train
    with pytest.raises(UsageError, match=r"selfblend.*whole images"):
        _pseudo(workspace)


def test_what_the_settings_ask_for_in_pseudo_fakes():
    def asked(**settings):
        return pseudo_fakes(TrainConfig.build({"model": "meso4", **settings}))

    assert asked() is None
    assert asked(pseudo_fakes="selfblend") == PseudoFakes(0.5)
    assert asked(pseudo_fakes="selfblend", pseudo_share=1) == PseudoFakes(1)
    with pytest.raises(UsageError, match=r"--pseudo-share 0\.2 needs --pseudo-fakes"):
        asked(pseudo_share=0.2)


def test_methods_go_with_the_media(workspace):
    _add(workspace, "made", SPLIT, method="swap")
    assert {m.method for m in _choose(workspace).train.values()} == {"swap"}


def test_datasets_cut_differently_are_not_mixed(workspace):
    _add(workspace, "one", SPLIT)
    shards = _add(workspace, "two", SPLIT, first=10)
    _change_job(shards.root, crop=CropSettings(store_size=256).fingerprint())
    with pytest.raises(UsageError, match="different crop settings"):
        _choose(workspace, ["one", "two"])


def _change_job(root: Path, **changes):
    path = root / "job.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_digest_follows_the_content_of_the_shards(workspace):
    _add(workspace, "made", SPLIT)
    before = _choose(workspace).data_digest
    assert _choose(workspace).data_digest == before
    _add(workspace, "made", [("z", REAL, Split.TEST)], first=30)
    assert _choose(workspace).data_digest != before


def test_the_command_for_more_frames_is_whole_and_keeps_what_the_dataset_was_made_with(
    workspace, monkeypatch
):
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(workspace.root))
    _add(workspace, "made", SPLIT)
    assert _command(workspace, source="/films/made", frames=16) == (
        "ffpipe extract /films/made --frames 50 --overwrite"
    )
    assert _command(workspace, source="/my films", cropped=True, store_size=256) == (
        "ffpipe extract '/my films' --frames 50 --store-size 256 --cropped --name made --overwrite"
    )
    assert _command(workspace, source="/films/made", only=["train/*/car", "test"], whole=True) == (
        "ffpipe extract /films/made --frames 50 --only 'train/*/car' --only test --whole --overwrite"
    )
    assert _command(workspace, source="/films/made", frames="all") is None
    monkeypatch.delenv("FFPIPE_WORKSPACE")
    assert f"--workspace {workspace.root} --overwrite" in _command(workspace, source="/films/made")


def test_no_more_frames_are_advised_where_every_one_was_taken(workspace, monkeypatch):
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(workspace.root))
    for name, counts, advised in (
        ("whole", (4, 4), False),
        ("some", (4, 9), True),
        ("untold", (4, None), True),
    ):
        root = workspace.root / "datasets" / name
        shards = ShardGroup(root, "media", ["faces"])
        shards.create()
        media = [
            media_record(k, "b", FAKE, Split.TRAIN, name, 4, frame_count=c) for k, c in enumerate(counts)
        ]
        shards.commit("1" * 20, "a", {"media": to_table("media", media), "faces": to_table("faces", [])}, [])
        (root / "job.json").write_text(json.dumps({"configuration": {"frames": 16}}))
        assert bool(more_frames(workspace, [name], 50)) is advised


def _command(workspace, **configuration):
    job = workspace.dataset("made").root / "job.json"
    job.write_text(json.dumps({"configuration": configuration}))
    return next(iter(more_frames(workspace, ["made"], 50)), None)
