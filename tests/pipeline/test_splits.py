"""Splits made and checked on trees and stored datasets, and followed by extract, train and evaluate."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media import make_face_clip
from training_faces import write_dataset

import ffpipe
from ffpipe.manifests.errors import ConfigMismatch, UsageError
from ffpipe.manifests.records import Label, MediaRecord, Split
from ffpipe.manifests.schemas import from_table
from ffpipe.pipeline import cli, tables
from ffpipe.pipeline.config import EvaluateConfig, ExtractConfig, SplitsConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.evaluation.openings import read_openings
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.splits import Checked, Made, check_splits, make_splits
from ffpipe.pipeline.train import train
from ffpipe.pipeline.training_data import choose_media
from ffpipe.pipeline.workspace import Workspace

REAL, FAKE = Label.REAL, Label.FAKE


def quiet(_: str) -> None:
    """Nobody listens."""


def make(
    target: object, out: Path, workspace: Workspace, said: list[str] | None = None, **settings: Any
) -> Made:
    say = quiet if said is None else said.append
    return make_splits(str(target), out, SplitsConfig(**settings), workspace, say)


def check(target: object, workspace: Workspace, of: object = None, **settings: Any) -> Checked:
    return check_splits(
        str(target), SplitsConfig(**settings), workspace, quiet, None if of is None else str(of)
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Ten clips a class that share names, so that each real and its fake are a group."""
    for label in ("real", "fake"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "set" / label / f"{number}.mp4").write_bytes(f"{label}{number}".encode())
    return tmp_path / "set"


def edit(path: Path, name: str, **cells: Any) -> Path:
    """Change cells of a row of a split file: a planted leak."""
    frame = pd.read_csv(path, dtype=str)
    frame.loc[frame["path"] == name, list(cells)] = list(cells.values())
    frame.to_csv(path, index=False)
    return path


def test_a_tree_is_divided_into_a_file_that_says_who_made_it(
    tree: Path, tmp_path: Path, workspace: Workspace
) -> None:
    said: list[str] = []
    made = make(tree, tmp_path / "s.csv", workspace, said, ratios="6:2:2", seed=3)
    assert made.checked.clean
    assert made.checked.looked_at == ("group",)
    assert made.checked.counts[Split.TRAIN] == {"real": 6, "fake": 6, "groups": 6}
    assert any("not hashed" in line for line in said)
    frame = pd.read_csv(made.path)
    assert set(frame["path"]) == {f"{label}/{n}.mp4" for label in ("real", "fake") for n in range(10)}
    told = tables.read_provenance(made.path)
    assert (told["configuration"]["seed"], told["layout"]) == (3, "folder")
    parquet = make(tree, tmp_path / "s.parquet", workspace, ratios="6:2:2", seed=3)
    assert pd.read_parquet(parquet.path)["split"].tolist() == frame["split"].tolist()


def test_planted_leaks_of_each_kind_are_named(tree: Path, tmp_path: Path, workspace: Workspace) -> None:
    made = make(tree, tmp_path / "s.csv", workspace, hash=True)
    assert check(made.path, workspace).looked_at == ("group", "content")
    frame = pd.read_csv(made.path, dtype=str).set_index("path")
    split = frame.loc["real/0.mp4", "split"]
    other = next(name for name in frame.index if frame.loc[name, "split"] != split)
    edit(made.path, "real/0.mp4", source_id="x", pair_id="c")
    edit(made.path, other, target_id="x", pair_id="c", media_id=frame.loc["real/0.mp4", "media_id"])
    found = {leak.kind: leak for leak in check(made.path, workspace).leaks}
    assert found.keys() == {"identity", "clip", "content"}
    assert {*found["content"].paths} == {"real/0.mp4", other}
    moved = {"train": "test"}.get(str(split), "train")
    edit(made.path, "fake/0.mp4", split=moved)
    assert {leak.kind for leak in check(made.path, workspace).leaks} == {
        "group",
        "identity",
        "clip",
        "content",
    }


def test_equal_files_stay_together_only_where_they_were_hashed(
    tree: Path, tmp_path: Path, workspace: Workspace
) -> None:
    for number in range(1, 10):
        shutil.copy(tree / "real/0.mp4", tree / f"real/{number}.mp4")
    blind = make(tree, tmp_path / "blind.csv", workspace)
    assert blind.checked.clean
    seen = check(blind.path, workspace, of=tree, hash=True)
    assert [leak.kind for leak in seen.leaks] == ["content"]
    assert make(tree, tmp_path / "seen.csv", workspace, hash=True).checked.counts.keys() == {Split.TRAIN}


def test_a_bare_file_is_checked_by_what_the_source_knows(
    tree: Path, tmp_path: Path, workspace: Workspace
) -> None:
    bare = tmp_path / "bare.csv"
    bare.write_text("path,split\nreal/1.mp4,train\nfake/1.mp4,test\n")
    alone = check(bare, workspace)
    assert alone.clean
    assert alone.looked_at == ()
    (leak,) = check(bare, workspace, of=tree).leaks
    assert leak.kind == "group"
    with pytest.raises(UsageError, match="--of goes with a split file"):
        check(tree, workspace, of=bare)
    bare.write_text("path,split\nreal/1.mp4,\n")
    with pytest.raises(UsageError, match="no medium in any split"):
        check(bare, workspace)


@settings(max_examples=15)
@given(
    st.lists(st.sampled_from(["a", "b", "ab", "bc", "cd", "e", "fg"]), min_size=2, max_size=20),
    st.integers(0, 9),
)
def test_what_make_calls_disjoint_check_finds_disjoint(tmp_path_factory, people, seed) -> None:
    folder = tmp_path_factory.mktemp("m")
    rows = [f"{n}.mp4,{len(shown) - 1},{shown[0]},{shown[1:]}" for n, shown in enumerate(people)]
    (folder / "manifest.csv").write_text("path,label,source_id,target_id\n" + "\n".join(rows) + "\n")
    made = make(folder, folder / "s.csv", Workspace(folder / "ws"), seed=seed)
    assert made.checked.clean
    assert check(made.path, Workspace(folder / "ws")).clean
    assert check(made.path, Workspace(folder / "ws"), of=folder / "manifest.csv").clean


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ratios": "6:1"}, "--ratios '6:1': three shares"),
        ({"ratios": "0:1:1"}, "train not 0"),
        ({"ratios": "1:-1:1"}, "three shares"),
        ({"protocol": "none"}, "--protocol 'none': known are seeded"),
        ({"protocol": "official"}, "no official split here"),
        ({"splits": Path("/nowhere")}, "--splits"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(
    tree: Path, tmp_path: Path, workspace: Workspace, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        make(tree, tmp_path / "s.csv", workspace, **settings)
    assert not (tmp_path / "s.csv").exists()


def test_targets_and_outputs_that_are_not_there_are_named(
    tree: Path, tmp_path: Path, workspace: Workspace
) -> None:
    with pytest.raises(UsageError, match="nothing: no such file or folder, and no such dataset"):
        make("nothing", tmp_path / "s.csv", workspace)
    with pytest.raises(UsageError, match=".csv or .parquet"):
        make(tree, tmp_path / "s.json", workspace)


# ---------------------------------------------------------------- stored datasets

METHODS = ("warp", "blend")


def stored(workspace: Workspace, groups: int = 8) -> None:
    """A dataset of a real and a fake of each method a group, all in the train split."""
    clips = [(f"g{n // 2}", Label(n % 2), Split.TRAIN) for n in range(2 * groups)]
    write_dataset(workspace.root / "datasets/made", clips, 2)
    fakes: list[tuple[str, Label | None, Split | None]] = [
        (f"g{n}", FAKE, Split.TRAIN) for n in range(groups)
    ]
    write_dataset(workspace.root / "datasets/made", fakes, 2, first=100, method="blend")


def rows(workspace: Workspace) -> dict[str, MediaRecord]:
    return {m.media_id: m for m in from_table(workspace.dataset("made").read("media"), MediaRecord)}


@pytest.fixture
def left_out(workspace: Workspace, tmp_path: Path) -> Path:
    stored(workspace)
    asked = {"protocol": "leave-one-method-out", "method": "blend"}
    with pytest.raises(
        UsageError, match="based on the split that is given.*--ratios 72:14:14 divides groups anew"
    ):
        make("made", tmp_path / "lomo.csv", workspace, **asked)
    return make("made", tmp_path / "lomo.csv", workspace, ratios="4:2:2", **asked).path


def test_a_stored_dataset_is_divided_with_its_contents(workspace: Workspace, left_out: Path) -> None:
    checked = check(left_out, workspace)
    assert checked.clean
    assert checked.looked_at == ("group", "content")
    assert check(workspace.dataset("made").root, workspace).counts == check("made", workspace).counts
    frame = pd.read_csv(left_out)
    assert set(frame[frame["method"] == "blend"]["split"]) == {"test"}
    assert set(frame["media_id"]) <= rows(workspace).keys()


def test_train_follows_the_file_and_leaves_the_rest_alone(workspace: Workspace, left_out: Path) -> None:
    media = choose_media(workspace, (), None, (), 0, splits=left_out)
    known = rows(workspace)
    assert {known[m].method for m in {**media.train, **media.validation}} == {"warp", None}
    placed = pd.read_csv(left_out).set_index("media_id")["split"]
    assert {*media.train} == {name for name, split in placed.items() if split == "train"}
    assert {*media.validation} == {name for name, split in placed.items() if split == "val"}
    assert media.split.startswith(f"given by {left_out} (")
    assert media.splits_digest is not None
    assert not any("leak" in note for note in media.notes)


def test_a_file_that_leaks_or_trains_on_the_stored_test_split_is_said(
    workspace: Workspace, tmp_path: Path
) -> None:
    clips = [("a", REAL, Split.TEST), ("a", FAKE, Split.TEST), ("b", REAL, Split.VAL), ("b", FAKE, Split.VAL)]
    write_dataset(workspace.root / "datasets/made", clips, 2)
    splits = tmp_path / "s.csv"
    splits.write_text(
        "media_id,split\n" + "".join(f"{n:032x},{['train', 'train', 'train', 'val'][n]}\n" for n in range(4))
    )
    notes = choose_media(workspace, (), None, (), 0, splits=splits).notes
    assert "warning: it has 2 media of the stored test split in train or validation" in notes
    assert any(
        note.startswith("warning: the split file leaks: group b is in train and val") for note in notes
    )


def test_methods_keep_their_fakes_and_the_reals_of_their_subset(workspace: Workspace) -> None:
    stored(workspace)
    media = choose_media(workspace, (), None, ["blend"], 0, methods=["blend"])
    known = rows(workspace)
    chosen = [known[name] for name in {**media.train, **media.validation}]
    assert {m.method for m in chosen} == {"blend", None}
    assert sum(m.label is REAL for m in chosen) == 8
    with pytest.raises(UsageError, match="--methods swirl: the data have blend, warp"):
        choose_media(workspace, (), None, (), 0, methods=["warp", "swirl"])


def settings_of(splits: Path, **more: Any) -> TrainConfig:
    given = {"model": "sida-linear", "engine": "local", "recipe": "quick", "epochs": 1, "splits": splits}
    return TrainConfig.build({**given, **more})


def test_a_run_notes_the_split_and_refuses_another(
    workspace: Workspace, left_out: Path, tmp_path: Path
) -> None:
    run = train(settings_of(left_out, run="one"), workspace, quiet).directory
    told = json.loads((run / "config.json").read_text())["data"]
    assert told["split"].startswith("given by")
    digest = told["splits_digest"]
    elsewhere = shutil.copy(left_out, tmp_path / "moved.csv")
    again = train(settings_of(Path(elsewhere)), workspace, quiet).directory
    assert json.loads((again / "config.json").read_text())["data"]["splits_digest"] == digest
    (run / "hashes.json").unlink()
    edit(left_out, pd.read_csv(left_out)["path"][0], split="")
    with pytest.raises(ConfigMismatch, match="splits: "):
        train(settings_of(left_out, run="one"), workspace, quiet)
    with pytest.raises(ConfigMismatch, match="methods: "):
        train(settings_of(Path(elsewhere), run="one", methods="warp"), workspace, quiet)


@pytest.mark.slow
def test_evaluate_follows_the_file_and_still_refuses_what_was_trained_on(
    workspace: Workspace, left_out: Path, tmp_path: Path
) -> None:
    run = train(settings_of(left_out), workspace, quiet).directory

    def judge(**given: Any) -> Any:
        said: list[str] = []
        config = EvaluateConfig.build({"data": "made", "replicates": 100, **given})
        return evaluate(str(run), config, workspace, said.append), said

    result, said = judge(splits=left_out)
    names = {row.name for row in result.rows if row.level == "video"}
    assert "blend" in names
    assert "warp" not in names
    assert result.facts["split_source"].startswith("given by")
    assert not [line for line in said if "share a group" in line]
    assert read_openings(run)[0]["split_source"] == result.facts["split_source"]
    with pytest.raises(UsageError, match="the run was trained on"):
        judge(split="all")
    trained = {*json.loads((run / "config.json").read_text())["train_media"]}
    fresh = tmp_path / "fresh.csv"
    lines = [f"{m.media_id},test" for m in rows(workspace).values() if m.method == "blend"]
    fresh.write_text("media_id,split\n" + "\n".join(lines) + "\n")
    _, said = judge(splits=fresh)
    assert any("share a group or a person with what the run was trained on" in line for line in said), trained
    chosen, _ = judge(splits=left_out, methods="blend")
    assert chosen.facts["methods"] == ["blend"]
    with pytest.raises(UsageError, match="--methods swirl"):
        judge(splits=left_out, methods=("swirl",))
    fresh.write_text("path,split\nnothing.mp4,test\n")
    with pytest.raises(UsageError, match="line 2: nothing.mp4 is no medium of these data"):
        judge(splits=fresh)


def test_renaming_a_stored_test_split_does_not_hide_its_opening(workspace: Workspace, tmp_path: Path) -> None:
    parts = [Split.TRAIN] * 4 + [Split.TEST] * 4
    clips = [(f"g{n // 2}", Label(n % 2), part) for n, part in enumerate(parts)]
    write_dataset(workspace.root / "datasets/made", clips, 2)
    run = train(settings_of(None), workspace, quiet).directory  # type: ignore[arg-type]
    renamed = tmp_path / "s.csv"
    renamed.write_text("media_id,split\n" + "".join(f"{n:032x},val\n" for n in range(4, 8)))
    config = EvaluateConfig(data="made", split="val", splits=renamed, replicates=100)
    evaluate(str(run), config, workspace, quiet)
    assert len(read_openings(run)) == 1


# ---------------------------------------------------------------- extract, command line, Python


@pytest.fixture(scope="module")
def clips_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clips") / "set"
    for label, seed in (("real", 0), ("real", 1), ("fake", 2), ("fake", 3)):
        make_face_clip(root / label / f"{label}{seed}.mp4", seconds=0.2, seed=seed)
    return root


def test_extract_stores_the_split_of_a_file_and_is_bound_to_it(
    clips_tree: Path, tmp_path: Path, workspace: Workspace
) -> None:
    splits = tmp_path / "s.csv"
    splits.write_text("path,split,group\nreal/real0.mp4,test,\nfake/fake2.mp4,train,mine\n")
    said: list[str] = []

    def run() -> Path:
        config = ExtractConfig.build({"engine": "local", "workers": 0, "frames": 1, "splits": splits})
        return extract(clips_tree, config, workspace, said.append).root

    root = run()
    media = {Path(m.path).name: m for m in from_table(workspace.dataset("set").read("media"), MediaRecord)}
    assert {name: m.split for name, m in media.items()} == {
        "real0.mp4": Split.TEST, "real1.mp4": None, "fake2.mp4": Split.TRAIN, "fake3.mp4": None,
    }  # fmt: skip
    assert media["fake2.mp4"].group == "mine"
    assert json.loads((root / "job.json").read_text())["split_source"].startswith("given by")
    assert f"2 media are in no split of {splits}" in said
    run()
    splits.write_text("path,split\nreal/real0.mp4,train\n")
    with pytest.raises(ConfigMismatch, match="given by"):
        run()
    splits.write_text("path,split\nreal/gone.mp4,train\n")
    with pytest.raises(UsageError, match="line 2: real/gone.mp4 is no medium"):
        run()


def test_the_commands_print_counts_and_end_with_three_where_something_leaks(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--workspace", str(tmp_path / "ws")]
    out = tmp_path / "s.csv"
    assert (
        cli.run(["splits", "make", str(tree), "--out", str(out), "--ratios", "8:1:1", *place, "--json"]) == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert told["disjoint"] is True
    assert told["splits"]["train"] == {"real": 8, "fake": 8, "groups": 8}
    assert cli.run(["splits", "check", str(out), *place]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "train: 8 fake, 8 real, 8 groups"
    frame = pd.read_csv(out)
    frame.loc[frame["path"] == "real/0.mp4", "split"] = "test" if frame["split"][0] != "test" else "train"
    frame.to_csv(out, index=False)
    assert cli.run(["splits", "check", str(out), *place]) == 3
    assert "leak: group " in capsys.readouterr().out
    assert cli.run(["splits", "check", str(out), *place, "--json"]) == 3
    (leak,) = json.loads(capsys.readouterr().out)["leaks"]
    assert leak["kind"] == "group"
    assert cli.run(["splits", "protocols"]) == 0
    assert "leave-one-method-out (--method, --splits, --ratios, --seed)" in capsys.readouterr().out


def test_python_has_both(tree: Path, tmp_path: Path) -> None:
    made = ffpipe.make_splits(tree, tmp_path / "s.csv", workspace=tmp_path / "ws", ratios="6:2:2")
    assert made.checked.clean
    assert ffpipe.check_splits(tmp_path / "s.csv", workspace=tmp_path / "ws").clean


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.skipif("FFPIPE_TEST_DATA" not in os.environ, reason="needs the clips at $FFPIPE_TEST_DATA")
def test_real_clips_with_one_method_left_out(tmp_path: Path, workspace: Workspace) -> None:
    data = Path(os.environ["FFPIPE_TEST_DATA"])
    real, fake = data / "ffpp-sample/original_sequences", data / "ffpp-sample/manipulated_sequences"
    lines = [
        *(f"{real}/youtube/c23/videos/{n}.mp4,0,,{n}" for n in ("519", "634")),
        f"{fake}/Deepfakes/c23/videos/519_515.mp4,1,Deepfakes,519",
        f"{fake}/FaceSwap/c23/videos/634_660.mp4,1,FaceSwap,634",
        *(f"{path},0,,{path.stem}" for path in sorted((data / "real").glob("*.mp4"))[:3]),
    ]
    (tmp_path / "manifest.csv").write_text("path,label,method,group\n" + "\n".join(lines) + "\n")
    config = ExtractConfig.build({"engine": "local", "workers": 0, "frames": 2, "name": "clips"})
    extract(tmp_path / "manifest.csv", config, workspace, quiet)
    splits = make(
        "clips", tmp_path / "s.parquet", workspace, protocol="leave-one-method-out", method="FaceSwap"
    ).path
    assert check(splits, workspace, of="clips").clean
    run = train(settings_of(splits, data=("clips",)), workspace, quiet).directory
    judged = evaluate(str(run), EvaluateConfig(data="clips", splits=splits, replicates=100), workspace, quiet)
    names = {row.name for row in judged.rows if row.level == "frame"}
    assert "FaceSwap" in names
    assert "Deepfakes" not in names
