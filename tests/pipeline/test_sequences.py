"""Sequences of pictures and ready-made crops through the main job: one row a sequence, statuses, resuming, scores."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from media import make_clip
from picture_sets import bomb, png, pngs, write_files, write_tar
from PIL import Image

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import extract as job
from ffpipe.pipeline.config import EvaluateConfig, ExtractConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.extract import ExtractResult, extract
from ffpipe.pipeline.score import score
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings, decode_crop

INLINE: dict[str, Any] = {"engine": "local", "workers": 0}


def run(source: Path, home: Path, said: list[str] | None = None, **settings: Any) -> ExtractResult:
    config = ExtractConfig.build({**INLINE, **settings})
    return extract(source, config, Workspace(home), (said if said is not None else []).append)


def table(result: ExtractResult, name: str = "media") -> pd.DataFrame:
    frame = ShardGroup(result.root, "media", ["faces"]).read(name).to_pandas()
    return frame.sort_values(["path"] if name == "media" else ["face_id"]).reset_index(drop=True)


def shard(category: str, number: int) -> dict[str, bytes]:
    """Two sequences of three pictures; no two of all shards are alike."""
    label = category.split("_")[0]
    first = 20 * number + 200 * ["real_train", "real_test", "fake_train", "fake_test"].index(category)
    files = {}
    for sequence in (1, 2):
        files |= pngs(f"{number}/{label}/{sequence}", [10, 9, 8], first=first + 4 * sequence)
    return files


def make_wild(root: Path, packed: bool = True, shards: int = 2) -> Path:
    for category in ("real_train", "real_test", "fake_train", "fake_test"):
        for number in range(shards):
            files = shard(category, number)
            if packed:
                write_tar(root / category / f"{number}.tar.gz", files)
            else:
                write_files(root / category, files)
    return root


@pytest.fixture(scope="module")
def wild(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wild(tmp_path_factory.mktemp("wild") / "Wild")


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def extracted(wild: Path, said: list[str], tmp_path_factory: pytest.TempPathFactory) -> ExtractResult:
    return run(wild, tmp_path_factory.mktemp("ws"), said)


def test_a_sequence_is_one_medium_with_a_face_a_picture(extracted: ExtractResult, said: list[str]) -> None:
    media, faces = table(extracted), table(extracted, "faces")
    assert (len(media), len(faces)) == (16, 48)
    assert (media["status"] == "ok").all()
    assert media["media_id"].nunique() == 16
    assert set(media["container"]) == {"pictures"}
    assert set(media["frame_count"]) == set(media["frames_decoded"]) == {3}
    assert media["fps"].isna().all()
    assert media["duration"].isna().all()
    assert (media["tracks"] == 1).all()
    assert set(faces["detector"]) == {"cropped"}
    assert faces.groupby("media_id")["frame_index"].apply(list).map(sorted).tolist() == [[0, 1, 2]] * 16
    np.testing.assert_allclose(faces["pts_seconds"], faces["frame_index"] / 25)
    assert any("ready-made face crops" in line for line in said)
    assert any(line.startswith("found 16 sequences: 8 real, 8 fake") for line in said)
    stored = json.loads((extracted.root / "job.json").read_text())
    assert stored["crop"] == CropSettings(kind="crop").fingerprint()


def test_the_pixels_are_those_of_the_members_in_the_order_of_their_numbers(
    wild: Path, extracted: ExtractResult
) -> None:
    media, faces = table(extracted), table(extracted, "faces")
    row = media[media["path"].str.endswith("fake_test/1.tar.gz/1/fake/2")].iloc[0]
    assert (row["path"], row["label"], row["split"]) == (str(wild / "fake_test/1.tar.gz/1/fake/2"), 1, "test")
    assert row["group"] == "wilddeepfake/fake_test/1"
    own = faces[faces["media_id"] == row["media_id"]].sort_values("frame_index")
    files = shard("fake_test", 1)
    for number, crop in zip((8, 9, 10), own["crop"], strict=True):
        expected = files[f"1/fake/2/{number}.png"]
        with Image.open(io.BytesIO(expected)) as image:
            np.testing.assert_array_equal(decode_crop(crop), np.array(image))


def test_packed_and_extracted_give_equal_rows(extracted: ExtractResult, tmp_path: Path) -> None:
    other = run(make_wild(tmp_path / "Wild", packed=False), tmp_path / "ws")
    pd.testing.assert_frame_equal(table(extracted, "faces"), table(other, "faces"))
    columns = [c for c in table(other).columns if c not in ("path", "path_bytes")]
    keyed = [table(r)[columns].sort_values("media_id").reset_index(drop=True) for r in (extracted, other)]
    pd.testing.assert_frame_equal(*keyed)


def test_it_goes_on_where_it_was_and_takes_what_was_added(tmp_path: Path, extracted: ExtractResult) -> None:
    source = make_wild(tmp_path / "Wild")
    run(source, tmp_path / "ws", limit=5)
    again: list[str] = []
    result = run(source, tmp_path / "ws", again)
    assert any("5 done before; 11 to do" in line for line in again)
    pd.testing.assert_frame_equal(table(result, "faces"), table(extracted, "faces"))
    write_tar(source / "fake_test" / "7.tar.gz", pngs("7/fake/1", [900, 901]))
    added = run(source, tmp_path / "ws")
    assert (sum(added.statuses.values()), added.faces) == (17, 50)


def test_a_few_frames_are_spread_over_a_sequence(wild: Path, tmp_path: Path) -> None:
    result = run(wild, tmp_path, frames=1)
    assert set(table(result, "faces")["frame_index"]) == {1}
    assert (table(result)["frames_decoded"] == 1).all()


def test_only_some_categories_or_shards(wild: Path, tmp_path: Path) -> None:
    result = run(wild, tmp_path, only=("fake_test", "real_test/1.tar.gz"))
    assert len(table(result)) == 4 + 2


def test_damaged_and_hostile_archives_have_their_rows_and_cost_nothing_else(tmp_path: Path) -> None:
    source = make_wild(tmp_path / "Wild")
    cut = source / "fake_train" / "0.tar.gz"
    write_tar(
        cut, {f"0/fake/{s}/{n}.png": png(s * 4 + n) + os.urandom(9000) for s in (1, 2, 3) for n in range(4)}
    )
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (source / "fake_train" / "1.tar.gz").write_bytes(b"no archive" * 99)
    bomb(source / "real_test" / "9.tar.gz", 300)
    write_tar(
        source / "real_test" / "8.tar.gz", {"../../escape.png": png(1), "8/real/1/0.png": b"no picture"}
    )
    before = {p: p.stat().st_mtime_ns for p in source.rglob("*")}
    result = run(source, tmp_path / "ws")
    media = table(result).set_index("path")
    media.index = [str(Path(path).relative_to(source)) for path in media.index]
    odd = media[media["status"] != "ok"]["status"].to_dict()
    assert odd == {
        "fake_train/0.tar.gz": "unreadable",
        "fake_train/0.tar.gz/0/fake/2": "partial",
        "fake_train/1.tar.gz": "unreadable",
        "real_test/9.tar.gz": "unreadable",
        "real_test/9.tar.gz/1/fake/1": "unreadable",
        "real_test/8.tar.gz/../../escape.png": "skipped",
        "real_test/8.tar.gz/8/real/1": "unsupported",
    }
    assert (
        media.loc["fake_train/0.tar.gz/0/fake/2", "reason"]
        == "the archive is cut short; it may lack pictures"
    )
    assert "given up" in media.loc["real_test/9.tar.gz", "reason"]
    assert media.loc["fake_train/0.tar.gz/0/fake/1", "faces"] == 4
    assert result.exit_code == 3
    assert {p: p.stat().st_mtime_ns for p in source.rglob("*")} == before
    assert not (tmp_path / "escape.png").exists()
    assert run(source, tmp_path / "ws").faces == result.faces, "the same again, with nothing done twice"


@pytest.mark.parametrize("packed", [True, False])
def test_a_sequence_that_changes_after_it_was_hashed_has_no_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool
) -> None:
    source = make_wild(tmp_path / "Wild", packed=packed)
    drive = job.drive

    def change_first(*arguments: Any) -> None:
        files = {**shard("fake_test", 1), "1/fake/2/9.png": png(999)}
        if packed:
            write_tar(source / "fake_test" / "1.tar.gz", files)
        else:
            write_files(source / "fake_test", files)
        drive(*arguments)

    monkeypatch.setattr(job, "drive", change_first)
    media = table(run(source, tmp_path / "ws")).set_index("path")
    assert media["status"].value_counts().to_dict() == {"ok": 15, "changed": 1}
    (changed,) = media.index[media["status"] == "changed"]
    assert changed.endswith("1/fake/2")
    monkeypatch.undo()
    again = table(run(source, tmp_path / "ws", retry_failed=True))
    assert (again["status"] == "ok").all()


def test_missing_frames_of_a_list_are_named_in_the_row(tmp_path: Path) -> None:
    listed: dict[str, Any] = {"U": {"U_Real": {"train": {}, "test": {}}, "U_Fake": {"train": {}, "test": {}}}}
    for label, splits in listed["U"].items():
        for number, split in enumerate(splits):
            files = pngs(
                f"U/{label}/frames/{number}", [10, 9, 8], first=100 * number + 40 * (label == "U_Fake")
            )
            write_files(tmp_path / "rgb", files)
            splits[split] = {str(number): {"label": label, "frames": [f.replace("/", "\\") for f in files]}}
    (tmp_path / "U.json").write_text(json.dumps(listed))
    (tmp_path / "rgb/U/U_Fake/frames/0/9.png").unlink()
    shutil.rmtree(tmp_path / "rgb/U/U_Real/frames/1")
    result = run(tmp_path / "U.json", tmp_path / "ws", name="bench")
    media = table(result)
    assert media["status"].tolist() == ["partial", "ok", "ok", "missing"]
    assert media["reason"][0] == "1 of 3 listed pictures are missing: 9.png"
    assert media["reason"][3] == "3 of 3 listed pictures are missing: 10.png, 9.png, 8.png"
    assert media["faces"].tolist() == [2, 3, 3, 0]
    assert run(tmp_path / "U.json", tmp_path / "ws", name="bench", only=("*/frames/0",)).exit_code == 0


def test_a_manifest_may_name_folders_of_frames_and_class_folders_stay_single_images(tmp_path: Path) -> None:
    for kind in ("real", "fake"):
        write_files(tmp_path / "in", pngs(f"{kind}/clip", [2, 10, 1], first=50 * (kind == "fake")))
    (tmp_path / "in/bare").mkdir()
    single = run(tmp_path / "in", tmp_path / "a", cropped=True)
    assert (len(table(single)), set(table(single)["container"])) == (6, {"png"})
    (tmp_path / "in/manifest.csv").write_text(
        "path,label,split\nreal/clip,0,train\nfake/clip,1,train\nbare,1,train\n"
    )
    whole = table(run(tmp_path / "in", tmp_path / "b", cropped=True)).set_index("path")
    whole.index = [Path(path).parent.name for path in whole.index]
    assert whole["status"].to_dict() == {"real": "ok", "fake": "ok", "in": "missing"}
    assert whole.loc["in", "reason"] == "no picture in this folder"
    assert whole.loc["real", "frame_count"] == 3


def make_crops(folder: Path) -> Path:
    """Face crops as people have them: odd sizes, grey, 16 bits, transparency, a thin one, and a video."""
    folder.mkdir(parents=True)
    odd = {"odd.png": ((97, 75), "RGB"), "grey.jpg": ((64, 64), "L"), "alpha.png": ((40, 56), "RGBA")}
    for number, (name, (size, mode)) in enumerate(odd.items()):
        kind = "JPEG" if name.endswith("jpg") else "PNG"
        (folder / name).write_bytes(png(number, size, mode, kind))
    Image.fromarray(np.full((33, 47), 40_000, np.uint16)).save(folder / "deep.png")
    (folder / "thin.png").write_bytes(png(5, (15, 90)))
    make_clip(folder / "crops.mp4", size=(64, 64), frames=12)
    return folder


def test_ready_made_crops_of_any_size_and_kind_are_taken_whole(tmp_path: Path) -> None:
    result = run(make_crops(tmp_path / "in"), tmp_path / "ws", cropped=True, frames=4)
    media = table(result).set_index("path")
    media.index = [Path(path).name for path in media.index]
    sound = ["alpha.png", "crops.mp4", "deep.png", "grey.jpg", "odd.png"]
    assert media["status"].to_dict() == {**dict.fromkeys(sound, "ok"), "thin.png": "no_face"}
    faces = (
        table(result, "faces")
        .groupby("media_id")
        .agg({"crop": "first", "face_id": "count", "track_id": "max"})
    )
    shapes = {
        name: decode_crop(faces.loc[m, "crop"]).shape
        for name, m in media["media_id"].items()
        if name != "thin.png"
    }
    assert shapes == {
        "alpha.png": (56, 40, 3), "crops.mp4": (64, 64, 3), "deep.png": (33, 47, 3), "grey.jpg": (64, 64, 3),
        "odd.png": (75, 97, 3),
    }  # fmt: skip
    assert faces.loc[media.loc["crops.mp4", "media_id"], "face_id"] == 4
    assert (faces["track_id"] == 0).all()


@pytest.fixture(scope="module")
def mini(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """WildDeepfake in small, of genuine faces: shards of two sequences of three faces each."""
    root = tmp_path_factory.mktemp("mini") / "Wild"
    with (clips / "dfdc-faces" / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    for label, name in (("0", "real"), ("1", "fake")):
        faces = iter([clips / "dfdc-faces" / row["path"] for row in rows if row["label"] == label])
        for part, shards in (("train", 6), ("test", 3)):
            for number in range(shards):
                files = {}
                for place in (f"{s}/{n}" for s in (1, 2) for n in (10, 9, 8)):
                    Image.open(next(faces)).save(root.parent / "x.png")
                    files[f"./{number}/{name}/{place}.png"] = (root.parent / "x.png").read_bytes()
                write_tar(root / "deepfake in the wild" / f"{name}_{part}" / f"{number}.tar.gz", files)
    return root


@pytest.mark.data
def test_extract_train_evaluate_and_score_on_genuine_faces(mini: Path, clips: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "ws")
    extracted = run(mini, workspace.root)
    assert extracted.statuses == {"ok": 36}
    lines: list[str] = []
    config = TrainConfig(model="sida-linear", recipe="quick", engine="local", epochs=2, data=("Wild",))
    trained = train(config, workspace, lines.append).directory
    assert not any("for more frames" in line for line in lines), "a sequence has no more pictures than it has"
    result = evaluate(str(trained), EvaluateConfig(data="Wild", replicates=100), workspace, [].append)
    levels = {row.level: row for row in result.rows if row.name == "all"}
    assert (levels["video"].n_real, levels["video"].n_fake) == (6, 6)
    assert (levels["frame"].n_real, levels["frame"].n_fake) == (18, 18)
    scores = pd.read_parquet(result.directory / "scores.parquet")
    assert (scores["track_id"] == 0).all()

    faces = sorted((clips / "dfdc-faces" / "val" / "fake").iterdir())[:3]
    clip = make_clip(tmp_path / "crops.mp4", size=(64, 64), frames=8).path
    asked = {**INLINE, "weights": trained, "arithmetic": "float32"}
    with pytest.raises(UsageError, match="--cropped"):
        score(faces, ScoreConfig.build(asked), workspace, say=[].append)
    rows = score(
        [*faces, clip], ScoreConfig.build({**asked, "cropped": True}), workspace, say=[].append
    ).report
    assert rows.column("status").to_pylist() == ["ok"] * 4
    assert rows.column("n_tracks").to_pylist() == [1] * 4
    assert set(rows.column("crops_accepted").to_pylist()) == {False}, "the weights were trained on such crops"
