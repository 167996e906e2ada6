"""The score job on real files: one row an input, scores that depend on pixels alone, resume, weights and crops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from media import damaged_files, make_face_clip, make_noise_clip
from small_weights import LOW_BARS, make_weights
from tiny_scoring import INLINE, picture, run

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import LockedError, UsageError, WeightsError
from ffpipe.manifests.records import FaceRecord, Status, Verdict
from ffpipe.manifests.schemas import from_table
from ffpipe.models import checkpoint
from ffpipe.pipeline import plan, tables
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.score import ScoreResult, run_shards, score
from ffpipe.pipeline.scoring import BEST_KEPT, WORST_KEPT
from ffpipe.pipeline.tables import sole_writer
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.infer import Scorer, probability


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_weights(tmp_path_factory.mktemp("weights") / "model", LOW_BARS)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of one face, its copy, one of two faces, one of none, a picture, and a companion."""
    folder = tmp_path_factory.mktemp("media") / "videos"
    make_face_clip(folder / "one.mp4", seconds=0.4, seed=1)
    shutil.copy(folder / "one.mp4", folder / "one copy.mp4")
    make_face_clip(folder / "two.mp4", seconds=0.4, seed=2, faces=2, size=(480, 240))
    make_noise_clip(folder / "noise.mp4")
    picture(folder / "portrait.png")
    (folder / "notes.txt").write_text("companion")
    return folder


def report(result: ScoreResult) -> pd.DataFrame:
    frame = result.report.to_pandas()
    frame.index = [Path(path).name for path in frame["path"]]
    return frame


@pytest.fixture(scope="module")
def scored(videos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> ScoreResult:
    home = tmp_path_factory.mktemp("ws")
    return run(videos, home, weights, home / "report.parquet", keep_faces="all")


def test_every_input_has_a_row_with_a_verdict_and_a_reason(scored: ScoreResult) -> None:
    rows = report(scored)
    assert list(rows.index) == ["noise.mp4", "one copy.mp4", "one.mp4", "portrait.png", "two.mp4"]
    assert rows["status"].tolist() == ["no_face", "ok", "ok", "ok", "ok"]
    assert rows["verdict"].tolist() == ["not_assessable"] + ["likely_manipulated"] * 4
    assert rows["n_tracks"].tolist() == [0, 1, 1, 1, 2]
    assert rows["n_faces"].tolist() == [0, 4, 4, 1, 8]
    assert rows["n_frames"].tolist() == [4, 4, 4, 1, 4]
    assert rows.loc["noise.mp4", "reason"] == "no face found"
    assert np.isnan(rows.loc["noise.mp4", "score"])
    assert "above the threshold 0.010" in rows.loc["one.mp4", "reason"]
    assert rows.loc["portrait.png", "reason"].startswith("The face scored")
    assert rows.loc["two.mp4", "reason"].endswith("(bars raised for the highest of 2 tracks)")
    assert scored.exit_code == 0


def test_a_copy_is_scored_once_and_reported_twice(scored: ScoreResult) -> None:
    rows = report(scored)
    differing = rows.loc[["one.mp4", "one copy.mp4"]].drop(columns=["path", "path_bytes"])
    assert differing.iloc[0].equals(differing.iloc[1])
    assert len(scored.scores) == 4 + 1 + 8
    assert scored.tracks.num_rows == 1 + 1 + 2


def test_scores_come_from_the_stored_crops(scored: ScoreResult, weights: Path) -> None:
    faces = from_table(run_shards(scored.root).read("faces"), FaceRecord)
    logits = Scorer(checkpoint.load(weights), batch_size=3).score(
        [decode_crop(face.crop) for face in faces], np.array([face.sida for face in faces], np.float32)
    )
    expected = {face.face_id: value for face, value in zip(faces, probability(logits), strict=True)}
    stored = scored.scores.to_pandas()
    assert set(stored["face_id"]) == set(expected)
    assert np.allclose(stored["score"], [expected[name] for name in stored["face_id"]], atol=1e-5)
    means = stored.groupby(["media_id", "track_id"])["score"].mean()
    tracks = scored.tracks.to_pandas().set_index(["media_id", "track_id"])
    assert np.allclose(tracks["score"], means.loc[tracks.index], atol=1e-6)
    worst = tracks["score"].groupby("media_id").max()
    rows = report(scored).dropna(subset=["score"])
    assert np.allclose(rows["score"], worst.loc[rows["media_id"]], atol=1e-6)
    assert rows["sha256"].tolist() == [sha256_file(path) for path in rows["path"]]


def test_tables_stand_beside_the_report_and_say_who_made_them(scored: ScoreResult) -> None:
    names = ["report.parquet", "report.scores.parquet", "report.tracks.parquet"]
    assert sorted(file.name for file in scored.files) == names
    for file in scored.files:
        origin = tables.read_provenance(file)
        assert origin["model"]["sha256"] == scored.report.column("model_id")[0].as_py()
        assert origin["configuration"]["frames"] == 4
        assert origin["arithmetic"] == "float32"
        assert origin["libraries"]["torch"]
    assert set(report(scored)["provenance_id"]) == {tables.read_provenance(scored.files[0])["id"]}
    path = str(scored.files[0])
    assert len(pd.read_parquet(path)) == len(pl.read_parquet(path)) == 5
    assert duckdb.sql(f"select count(*) from '{path}' where verdict = 'likely_manipulated'").fetchall() == [
        (4,)
    ]


def test_scores_depend_on_pixels_alone(
    scored: ScoreResult, videos: Path, weights: Path, tmp_path: Path
) -> None:
    """Other batches, workers, order, names and times; the same content."""
    other = tmp_path / "elsewhere"
    other.mkdir()
    for number, path in enumerate(sorted(videos.iterdir(), reverse=True)):
        target = other / f"{number} renamed{path.suffix}"
        shutil.copy(path, target)
        os.utime(target, (1e9 + number, 1e9 + number))
    again = run(other, tmp_path / "ws", weights, batch_size=3, workers=2)
    key = ["media_id", "frame_index", "track_id"]
    before, after = (r.scores.to_pandas().sort_values(key).reset_index(drop=True) for r in (scored, again))
    assert before[key].equals(after[key])
    assert np.abs(before["score"] - after["score"]).max() < 1e-4
    verdicts = [r.report.to_pandas().groupby("media_id")["verdict"].first() for r in (scored, again)]
    assert verdicts[0].equals(verdicts[1])


def test_identical_runs_give_identical_tables(
    scored: ScoreResult, videos: Path, weights: Path, tmp_path: Path
) -> None:
    again = run(videos, tmp_path, weights, tmp_path / "report.parquet", keep_faces="all")
    assert again.scores.equals(scored.scores)
    assert again.tracks.equals(scored.tracks)
    same = [name for name in scored.report.column_names if name != "provenance_id"]
    assert again.report.select(same).equals(scored.report.select(same))


@pytest.mark.ray
def test_ray_and_the_local_engine_give_equal_tables(
    videos: Path, weights: Path, tmp_path: Path, ray_cluster: None
) -> None:
    local = run(videos, tmp_path / "a", weights, tmp_path / "r.csv")
    remote = run(videos, tmp_path / "b", weights, tmp_path / "r.csv", engine="ray", workers=2)
    assert local.report.drop_columns("provenance_id").equals(remote.report.drop_columns("provenance_id"))
    assert local.scores.equals(remote.scores)


def test_a_finished_run_is_not_done_again(
    scored: ScoreResult, videos: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, out = scored.files[0].parent, scored.files[0]
    content = {file: file.read_bytes() for file in scored.files}

    def never(*_: Any) -> None:
        raise AssertionError("a finished input was read again")

    monkeypatch.setattr(MediumReader, "read", never)
    again = run(videos, home, weights, out, keep_faces="all")
    assert again.root == scored.root
    assert {file: file.read_bytes() for file in again.files} == content


def test_more_inputs_join_a_run_and_fewer_are_reported_alone(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.json"
    first = run(videos / "one.mp4", tmp_path, weights, out)
    both = run([videos / "portrait.png", videos / "one copy.mp4"], tmp_path, weights, out)
    assert both.root == first.root
    assert list(report(both).index) == ["portrait.png", "one copy.mp4"]
    assert report(both).loc["one copy.mp4", "score"] == report(first).loc["one.mp4", "score"]
    assert len(both.scores) == 1 + 4, "the copy's faces are those of the first run"
    assert [row["path"] for row in json.loads(out.read_text())["rows"]] == both.report.column(
        "path"
    ).to_pylist()


def test_trying_again_keeps_what_was_stored_with_a_failed_input(
    videos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "CHUNKS_PER_SLOT", 1)
    (tmp_path / "torn.mp4").write_bytes((videos / "one.mp4").read_bytes()[:900])
    paths, out = [videos / "one.mp4", tmp_path / "torn.mp4"], tmp_path / "r.json"
    first = run(paths, tmp_path, weights, out)
    run([videos / "one copy.mp4"], tmp_path, weights, out)
    again = run(paths, tmp_path, weights, out, retry_failed=True)
    assert again.root == first.root
    assert again.scores.equals(first.scores)
    assert len(again.scores) == 4


def test_what_fails_has_a_row_and_an_exit_code(videos: Path, weights: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    files = damaged_files(broken)
    os.mkfifo(broken / "pipe.mp4")
    missing = tmp_path / "missing.mp4"
    result = run([broken, missing, videos / "one.mp4"], tmp_path / "ws", weights, tmp_path / "r.csv")
    rows = report(result)
    assert len(rows) == len(files) + 3
    expected = {clip.path.name: clip.status for clip in files.values()}
    found = {name: rows.loc[name, "status"] for name in expected}
    # A sound beginning without a face is partial or no_face by what was decoded of it; failures are exact.
    assert {n: s for n, s in found.items() if Status(expected[n]).failed} == {
        n: s for n, s in expected.items() if Status(s).failed
    }
    assert rows.loc["missing.mp4", "status"] == "missing"
    assert rows.loc["pipe.mp4", "status"] == "skipped"
    failed = rows[[Status(s).failed for s in rows["status"]]]
    assert set(failed["verdict"]) == {"not_assessable"}
    assert failed["score"].isna().all()
    assert failed["reason"].str.len().min() > 5
    assert result.exit_code == 3
    alone = run([missing, broken / files["zero_bytes"].path.name], tmp_path / "ws", weights)
    assert alone.exit_code == 4


def test_a_file_that_changes_meanwhile_has_no_verdict(videos: Path, weights: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(videos / "one.mp4", tmp_path / "changing.mp4"))
    config = ScoreConfig.build({**INLINE, "weights": weights})

    def advance(done: int, *_: Any) -> None:
        if done == 0:
            with path.open("ab") as file:
                file.write(b"\0" * 8)

    changed = score([path], config, Workspace(tmp_path / "ws"), say=[].append, advance=advance)
    (row,) = changed.report.to_pylist()
    assert (row["status"], row["verdict"], row["score"]) == ("changed", "not_assessable", None)
    assert changed.exit_code == 4
    again = score([path], config, Workspace(tmp_path / "ws"), say=[].append)
    assert again.report.column("status").to_pylist() == ["ok"]


def test_the_newest_model_of_the_workspace_is_taken_and_named(videos: Path, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "ws")
    for number, run_name in enumerate(("old", "new")):
        folder = make_weights(space.model_run("sfcl-hcmf", run_name), seed=number)
        os.utime(folder / "hashes.json", (1e9 + number, 1e9 + number))
    said: list[str] = []
    config = ScoreConfig.build(INLINE)
    result = score([videos / "portrait.png"], config, space, say=said.append)
    assert result.weights == space.model_run("sfcl-hcmf", "new")
    assert f"weights: {result.weights}, the newest in the workspace" in said
    (row,) = result.report.to_pylist()
    assert row["verdict"] == Verdict.INCONCLUSIVE
    assert "no validation result" in row["reason"]
    assert any("verdicts stay inconclusive" in line for line in said)


def test_weights_that_cannot_be_used_are_refused(videos: Path, weights: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trained model"):
        score([videos], ScoreConfig(), Workspace(tmp_path), say=[].append)
    with pytest.raises(UsageError, match="no such folder"):
        run(videos, tmp_path, tmp_path / "nothing")
    damaged = Path(shutil.copytree(weights, tmp_path / "damaged"))
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        run(videos, tmp_path, damaged)
    with pytest.raises(WeightsError, match="crop_fingerprint"):
        run(videos, tmp_path, make_weights(tmp_path / "other", crop_fingerprint="0" * 16))
    with pytest.raises(WeightsError, match="how faces are cut"):
        run(videos, tmp_path, make_weights(tmp_path / "third", crop={"margin": 9}))
    assert not (tmp_path / "scores").exists()


def test_outputs_that_cannot_be_written_are_refused_before_any_work(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown suffix"):
        run(videos, tmp_path, tmp_path / "no weights are looked for", tmp_path / "r.xlsx")
    with pytest.raises(UsageError, match="does not exist"):
        run(videos, tmp_path, tmp_path / "no weights are looked for", tmp_path / "nowhere" / "r.csv")


def test_nothing_to_score_is_an_error(weights: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no input found"):
        run(tmp_path / "empty", tmp_path / "ws", weights)


def test_ready_made_crops_are_refused_unless_accepted_and_then_marked(weights: Path, tmp_path: Path) -> None:
    crop = picture(tmp_path / "crop.png")
    with pytest.raises(UsageError, match="--accept-crops"):
        run(crop, tmp_path, weights, cropped=True)
    result = run(crop, tmp_path, weights, tmp_path / "r.csv", cropped=True, accept_crops=True)
    (row,) = result.report.to_pylist()
    assert row["status"] == "ok"
    assert row["crops_accepted"]
    assert (row["n_faces"], row["n_tracks"]) == (1, 1)
    for table in ("r.csv", "r.tracks.csv", "r.scores.csv"):
        assert tables.read_provenance(tmp_path / table)["crops_accepted"] is True
    usual = run(crop, tmp_path, weights, accept_crops=True)
    assert not usual.report.column("crops_accepted")[0].as_py()


@pytest.mark.parametrize(("keep", "kept"), [("none", 0), ("worst", WORST_KEPT + BEST_KEPT), ("all", 14)])
def test_crops_are_kept_as_asked(
    weights: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, keep: str, kept: int
) -> None:
    clip = make_face_clip(tmp_path / "long.mp4", seconds=1.0, seed=5).path
    result = run(clip, tmp_path / "ws", weights, frames=14, keep_faces=keep)
    scores = result.scores.to_pandas().sort_values("logit")
    assert len(scores) == 14
    faces = set(run_shards(result.root).read("faces", ["face_id"]).column("face_id").to_pylist())
    assert len(faces) == kept
    if keep == "worst":
        assert faces == {*scores["face_id"][:BEST_KEPT], *scores["face_id"][-WORST_KEPT:]}


def test_nothing_is_written_beside_the_inputs(videos: Path, scored: ScoreResult) -> None:
    names = sorted(path.name for path in videos.iterdir())
    assert names == ["noise.mp4", "notes.txt", "one copy.mp4", "one.mp4", "portrait.png", "two.mp4"]


def test_a_report_among_the_inputs_is_no_input(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    folder.mkdir()
    picture(folder / "face.png")
    for _ in range(2):
        result = run(folder, tmp_path / "ws", weights, folder / "report.parquet")
        assert list(report(result).index) == ["face.png"]
        assert len(list(folder.iterdir())) == 4


def test_a_second_run_on_the_same_output_is_refused(videos: Path, weights: Path, tmp_path: Path) -> None:
    result = run(videos / "portrait.png", tmp_path, weights)
    with run_shards(result.root).lock(), pytest.raises(LockedError):
        run(videos / "portrait.png", tmp_path, weights)


def test_a_second_run_on_the_same_report_is_refused_from_any_workspace(
    videos: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "r.csv"
    with sole_writer(out), pytest.raises(LockedError, match=r"another run is writing to .*r\.csv;"):
        run(videos / "portrait.png", tmp_path / "other", weights, out)
    result = run(videos / "portrait.png", tmp_path / "other", weights, out)
    assert {path.name for path in tmp_path.iterdir()} == {"other", *(file.name for file in result.files)}


def test_a_limit_takes_the_first_inputs(videos: Path, weights: Path, tmp_path: Path) -> None:
    assert list(report(run(videos, tmp_path, weights, limit=2)).index) == ["noise.mp4", "one copy.mp4"]


@pytest.mark.slow  # test_kills kills extract by default, test_whole_jobs score at twenty points
def test_a_killed_driver_goes_on_and_ends_with_the_same_tables(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    for seed in range(4):
        make_face_clip(folder / f"{seed}.mp4", seconds=0.3, seed=seed)
    whole = run(folder, tmp_path / "whole", weights, tmp_path / "r.parquet")
    home = tmp_path / "killed"
    settings = ["--frames", "4", "--engine", "local", "--workers", "1", "--out", str(tmp_path / "r.parquet")]
    places = ["--weights", str(weights), "--workspace", str(home)]
    command = [sys.executable, "-m", "ffpipe", "score", str(folder), *places, *settings]
    driver = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while driver.poll() is None and not list(home.glob("scores/*/report/_commits/*.json")):
        time.sleep(0.02)
    driver.send_signal(signal.SIGKILL)
    assert driver.wait() == -signal.SIGKILL
    done = len(list(home.glob("scores/*/report/_commits/*.json")))
    assert 1 <= done < 4
    said: list[str] = []
    resumed = run(folder, home, weights, tmp_path / "r.parquet", said)
    assert any(f"{done} done before" in line for line in said)
    assert resumed.report.drop_columns("provenance_id").equals(whole.report.drop_columns("provenance_id"))
    assert resumed.scores.equals(whole.scores)


@pytest.mark.slow
@pytest.mark.data
def test_real_clips_have_a_verdict_each(clips: Path, weights: Path, tmp_path: Path) -> None:
    result = run(clips / "real", tmp_path, weights, tmp_path / "r.csv", engine="local", workers=2)
    rows = report(result)
    assert len(rows) == len({path for path in rows["path_bytes"]})
    assert not rows[rows["status"] == "ok"]["score"].isna().all()
