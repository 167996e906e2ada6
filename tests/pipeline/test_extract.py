"""The extract job on real files: bad input, resume, equal engines, and what is stored."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from media import (
    damaged_files,
    make_clip,
    make_face_clip,
    make_noise_clip,
    make_variable_rate,
)

from ffpipe.manifests.errors import ConfigMismatch, LockedError, UsageError
from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.extract import ExtractResult, extract
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.statistics import face_sida

INLINE: dict[str, Any] = {"engine": "local", "workers": 0, "frames": 4}


def run(source: Path, home: Path, said: list[str] | None = None, **settings: Any) -> ExtractResult:
    config = ExtractConfig.build({**INLINE, **settings})
    return extract(source, config, Workspace(home), (said if said is not None else []).append)


def table(result: ExtractResult, name: str) -> pd.DataFrame:
    frame = ShardGroup(result.root, "media", ["faces"]).read(name).to_pandas()
    order = ["path"] if name == "media" else ["face_id"]
    return frame.sort_values(order).reset_index(drop=True)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two real and two fake clips, one of which is a copy, as class folders."""
    root = tmp_path_factory.mktemp("set") / "my set"
    for label, seed in (("real", 0), ("real", 1), ("fake", 2)):
        make_face_clip(root / label / f"{label}{seed}.mp4", seconds=0.4, seed=seed)
    shutil.copy(root / "fake" / "fake2.mp4", root / "fake" / "copy.mp4")
    return root


@pytest.fixture(scope="module")
def extracted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> ExtractResult:
    return run(tree, tmp_path_factory.mktemp("ws"))


def test_every_file_has_a_row_and_a_copy_shares_its_medium(extracted: ExtractResult) -> None:
    media = table(extracted, "media")
    assert [Path(p).name for p in media["path"]] == ["copy.mp4", "fake2.mp4", "real0.mp4", "real1.mp4"]
    assert media["label"].tolist() == [1, 1, 0, 0]
    assert media["media_id"].nunique() == 3
    assert (media["status"] == "ok").all()
    assert (media["dataset"] == "my-set").all()
    assert (media["frames_decoded"] == 4).all()
    assert extracted.exit_code == 0
    assert extracted.faces == len(table(extracted, "faces")) == 3 * 4, "a copy is decoded once"


def test_crops_and_statistics_belong_together(extracted: ExtractResult) -> None:
    for face in table(extracted, "faces").itertuples():
        crop = decode_crop(face.crop)
        x0, y0, x1, y1 = face.crop_box
        assert crop.shape == (y1 - y0, x1 - x0, 3) == (face.crop_side, face.crop_side, 3)
        assert x0 % 8 == y0 % 8 == face.crop_side % 8 == 0
        width, height = face.box[2] - face.box[0], face.box[3] - face.box[1]
        assert face.crop_side >= 1.3 * max(width, height)
        assert len(face.sida) == SIDA_LENGTH
        np.testing.assert_array_equal(face_sida([crop])[0], np.asarray(face.sida, np.float32))


def test_shards_are_plain_parquet_for_other_engines(extracted: ExtractResult) -> None:
    folder = extracted.root
    rows = duckdb.sql(
        f"SELECT m.label, count(*) FROM '{folder}/faces/part-*.parquet' f "
        f"JOIN (SELECT DISTINCT media_id, label FROM '{folder}/media/part-*.parquet') m USING (media_id) "
        "GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert rows == [(0, 8), (1, 4)]
    parts = sorted((folder / "faces").glob("part-*.parquet"))
    assert pd.concat([pd.read_parquet(part) for part in parts])["media_id"].nunique() == 3


def test_large_faces_are_stored_small_but_measured_at_original_resolution(tree: Path, tmp_path: Path) -> None:
    whole = table(run(tree, tmp_path / "a"), "faces")
    small = table(run(tree, tmp_path / "b", store_size=64), "faces")
    assert (small["stored_side"] == 64).all()
    assert small["crop_side"].tolist() == whole["crop_side"].tolist()
    np.testing.assert_array_equal(np.stack(small["sida"].to_list()), np.stack(whole["sida"].to_list()))
    assert decode_crop(small["crop"][0]).shape == (64, 64, 3)


@pytest.mark.ray
def test_ray_and_the_local_engines_give_equal_rows(tree: Path, tmp_path: Path, ray_cluster: None) -> None:
    inline = run(tree, tmp_path / "inline")
    for engine in ("local", "ray"):
        other = run(tree, tmp_path / engine, engine=engine, workers=2)
        for name in ("media", "faces"):
            pd.testing.assert_frame_equal(table(inline, name), table(other, name))


def test_bad_input_gets_its_status_and_costs_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    damaged = damaged_files(_made(folder))
    wanted = {clip.path.name: clip.status for clip in damaged.values()}
    make_face_clip(folder / "good.mp4", seconds=0.4)
    make_noise_clip(folder / "noface.mp4", frames=5)
    wanted |= {"good.mp4": "ok", "noface.mp4": "no_face"}
    # What can be decoded of the cut clip shows no face; that part is missing is what is said.
    said: list[str] = []
    result = run(folder, tmp_path / "ws", said, frames=16)
    media = table(result, "media")
    assert {Path(p).name: s for p, s in zip(media["path"], media["status"], strict=True)} == wanted
    failed = media[~media["status"].isin(["ok", "partial", "no_face", "skipped"])]
    assert failed["reason"].notna().all()
    assert len(result.failures) == len(failed)
    assert result.exit_code == 3
    cut = media[media["status"] == "partial"].iloc[0]
    assert 0 < cut["frames_decoded"] < cut["frames_expected"]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_faces_are_found_upright_whatever_the_rotation(tmp_path: Path, rotation: int) -> None:
    clip = make_face_clip(_made(tmp_path / "in") / "r.mp4", seconds=0.3, rotation=rotation)
    result = run(tmp_path / "in", tmp_path / "ws", frames=2)
    media = table(result, "media").iloc[0]
    assert (media["width"], media["height"]) == (clip.width, clip.height)
    assert result.faces == 2
    points = np.asarray(table(result, "faces")["landmarks"][0]).reshape(5, 2)
    assert points[:2, 1].max() < points[3:, 1].min(), "eyes above the mouth"


@pytest.mark.parametrize(
    ("make", "status", "frames"),
    [
        (lambda p: make_face_clip(p, seconds=0.04), "ok", 1),
        # Three of the four times fall into the pause, while one frame stands.
        (lambda p: make_variable_rate(p), "no_face", 2),
        (lambda p: make_clip(p, size=(97, 75), pixel_format="yuv444p", frames=8), "no_face", 4),
        (lambda p: make_clip(p, pixel_format="yuv420p10le", frames=8), "no_face", 4),
    ],
    ids=["one frame", "variable rate", "odd size", "10 bit"],
)
def test_unusual_but_sound_media_are_read(tmp_path: Path, make: Any, status: str, frames: int) -> None:
    make(_made(tmp_path / "in") / "v.mp4")
    media = table(run(tmp_path / "in", tmp_path / "ws"), "media").iloc[0]
    assert (media["status"], media["frames_decoded"]) == (status, frames)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_a_finished_job_is_not_done_again_and_more_inputs_are_added(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(tree, source)
    first = run(source, tmp_path / "ws")
    before = {p: p.stat().st_mtime_ns for p in first.root.rglob("part-*")}
    said: list[str] = []
    run(source, tmp_path / "ws", said)
    assert any("4 done before; 0 to do" in line for line in said)
    assert {p: p.stat().st_mtime_ns for p in first.root.rglob("part-*")} == before
    splits = dict(zip(table(first, "media")["path"], table(first, "media")["split"], strict=True))
    make_face_clip(source / "real" / "new.mp4", seconds=0.3, seed=9)
    shutil.copy(source / "real" / "real0.mp4", source / "real" / "another copy.mp4")
    again = run(source, tmp_path / "ws")
    media = table(again, "media")
    assert len(media) == 6
    assert again.faces == 3 * 4 + 4
    after = dict(zip(media["path"], media["split"], strict=True))
    assert {path: after[path] for path in splits} == splits, "what was stored keeps its split"


def test_another_configuration_stops_and_names_the_ways_out(tree: Path, tmp_path: Path) -> None:
    run(tree, tmp_path)
    with pytest.raises(ConfigMismatch, match=r"frames: 4 there, 5 now.*--name.*--overwrite"):
        run(tree, tmp_path, frames=5)
    assert run(tree, tmp_path, frames=5, name="other").faces == 15
    assert run(tree, tmp_path, frames=5, overwrite=True).faces == 15


def test_a_changed_input_is_not_mixed_with_what_was_extracted(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(tree, source)
    run(source, tmp_path / "ws")
    make_face_clip(source / "real" / "real0.mp4", seconds=0.3, seed=77)
    with pytest.raises(UsageError, match=r"1 inputs changed .*real0\.mp4"):
        run(source, tmp_path / "ws")


def test_a_changed_copy_is_noticed_too(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(tree, source)
    run(source, tmp_path / "ws")
    for name in ("copy.mp4", "fake2.mp4"):
        kept = (source / "fake" / name).read_bytes()
        make_face_clip(source / "fake" / name, seconds=0.3, seed=78)
        with pytest.raises(UsageError, match=f"1 inputs changed .*{name}"):
            run(source, tmp_path / "ws")
        (source / "fake" / name).write_bytes(kept)


def test_a_split_that_turns_up_later_is_not_mixed_with_the_stored_one(tmp_path: Path) -> None:
    source = tmp_path / "FF++"
    for name in ("000", "001", "002"):
        clip = source / "original_sequences/youtube/c23/videos" / f"{name}.mp4"
        make_face_clip(clip, seconds=0.2, seed=int(name))
    make_face_clip(source / "manipulated_sequences/Deepfakes/c23/videos/000_001.mp4", seconds=0.2, seed=3)
    run(source, tmp_path / "ws")
    for name, pairs in {"train": [["000", "001"]], "val": [["002", "003"]], "test": []}.items():
        (source / f"{name}.json").write_text(json.dumps(pairs))
    with pytest.raises(ConfigMismatch, match=r"split: 'seeded.*'official.*--overwrite"):
        run(source, tmp_path / "ws")
    run(source, tmp_path / "ws", overwrite=True)
    (source / "train.json").write_text(json.dumps([["002", "003"]]))
    (source / "val.json").write_text(json.dumps([["000", "001"]]))
    with pytest.raises(UsageError, match="label or split of 4 stored inputs changed"):
        run(source, tmp_path / "ws")


def test_failed_inputs_are_tried_again_only_when_asked(tree: Path, tmp_path: Path) -> None:
    first = run(tree, tmp_path, max_pixels=100)
    assert set(table(first, "media")["status"]) == {"too_large"}
    said: list[str] = []
    run(tree, tmp_path, said)
    assert any("4 done before; 0 to do" in line for line in said)
    again = run(tree, tmp_path, said, retry_failed=True)
    assert "4 inputs that failed before will be tried again" in said
    assert set(table(again, "media")["status"]) == {"ok"}
    assert again.faces == 12


def test_trying_again_keeps_what_was_stored_with_the_failed_input(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "CHUNKS_PER_SLOT", 1)
    source = tmp_path / "set"
    shutil.copytree(tree, source)
    (source / "fake" / "torn.mp4").write_bytes((source / "fake" / "fake2.mp4").read_bytes()[:900])
    first = run(source, tmp_path / "ws")
    assert len(ShardGroup(first.root, "media", ["faces"]).commits()) == 1
    shutil.copy(source / "real" / "real0.mp4", source / "real" / "later.mp4")
    first = run(source, tmp_path / "ws")
    again = run(source, tmp_path / "ws", retry_failed=True)
    for name in ("media", "faces"):
        pd.testing.assert_frame_equal(table(first, name), table(again, name))
    assert again.faces == 12


def test_an_input_that_changes_while_it_is_read_has_no_faces(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffpipe.pipeline import medium

    source = tmp_path / "set"
    shutil.copytree(tree, source)
    real = medium.find_faces

    def tampering(*arguments: Any, **more: Any) -> Any:
        found = real(*arguments, **more)
        with (source / "fake" / "fake2.mp4").open("ab") as file:
            file.write(b"more")
        return found

    monkeypatch.setattr(medium, "find_faces", tampering)
    (source / "fake" / "copy.mp4").unlink()
    result = run(source, tmp_path / "ws")
    media = table(result, "media").set_index("path")
    changed = media.loc[str(source / "fake" / "fake2.mp4")]
    assert (changed["status"], changed["faces"]) == ("changed", 0)


def test_a_second_run_on_the_same_dataset_is_refused(tree: Path, tmp_path: Path) -> None:
    shards = Workspace(tmp_path).dataset("my-set")
    shards.create()
    with shards.lock(), pytest.raises(LockedError):
        run(tree, tmp_path)


def test_what_cannot_be_opened_is_a_row(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "set"
    shutil.copytree(tree, source)
    os.mkfifo(source / "real" / "pipe.mp4")
    (source / "real" / "gone.mp4").symlink_to(source / "nowhere.mp4")
    media = table(run(source, tmp_path / "ws"), "media")
    statuses = {Path(p).name: s for p, s in zip(media["path"], media["status"], strict=True)}
    assert statuses["pipe.mp4"] == "skipped"
    assert statuses["gone.mp4"] in ("skipped", "missing")
    assert len(media) == 6


def test_provenance_is_stored_with_the_dataset(extracted: ExtractResult) -> None:
    job = json.loads((extracted.root / "job.json").read_text())
    assert job["configuration"]["frames"] == 4
    assert job["provenance"]["libraries"]["av"]
    assert job["split_source"].startswith("seeded")
    assert len(job["crop"]) == 16


def test_cropped_inputs_are_taken_whole(tmp_path: Path) -> None:
    import cv2

    folder = _made(tmp_path / "in" / "real")
    _made(tmp_path / "in" / "fake")
    picture = np.random.default_rng(0).integers(0, 255, (100, 90, 3), np.uint8)
    cv2.imwrite(str(folder / "a.png"), picture)
    cv2.imwrite(str(tmp_path / "in" / "fake" / "b.png"), picture[::-1])
    faces = table(run(tmp_path / "in", tmp_path / "ws", cropped=True), "faces")
    assert len(faces) == 2
    assert set(faces["detector"]) == {"cropped"}


def test_tables_keep_their_documented_types(extracted: ExtractResult) -> None:
    schema = ShardGroup(extracted.root, "media", ["faces"]).read("faces").schema
    assert schema.field("sida").type == pa.list_(pa.float32(), SIDA_LENGTH)
