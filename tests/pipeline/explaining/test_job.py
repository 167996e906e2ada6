from __future__ import annotations

import json
import math
import os
from pathlib import Path

import av
import numpy as np
import pytest
from calibrations import calibrated
from media import make_clip, make_face_clip, make_text, make_variable_rate
from names import NAMES
from PIL import Image
from provenance_keys import assert_complete
from small_weights import make_linear_weights, make_tiny_weights
from tiny_scoring import picture, run

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import Status
from ffpipe.pipeline import cli, log
from ffpipe.pipeline.config import ExplainConfig
from ffpipe.pipeline.explaining import clip as second_look
from ffpipe.pipeline.explaining.job import explain
from ffpipe.pipeline.score import run_shards
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import decode_crop

FRAMES = 4


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("explaining")


@pytest.fixture(scope="module")
def weights(home):
    return make_tiny_weights(home / "model")


@pytest.fixture(scope="module")
def clip(home):
    """Two faces for half a second."""
    return make_face_clip(home / "two.mp4", seconds=0.48, size=(640, 320), faces=2)


def show(path, home, weights, out=None, said=None, **settings):
    config = ExplainConfig.build({"frames": FRAMES, "weights": weights, **settings})
    say = (said if said is not None else []).append
    return explain(path, config, Workspace(home / "ws"), out=out and home / out, say=say)


@pytest.fixture(scope="module")
def shown(clip, home, weights):
    """Every frame of the clip, every face in pictures of its own."""
    return show(clip.path, home, weights, "shown", every_frame=True, faces="all", table="parquet")


@pytest.fixture(scope="module")
def scored(clip, home, weights):
    return run(clip.path, home / "ws", weights, frames=FRAMES)


def frames_of(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert not container.streams.audio
        assert stream.width % 2 == stream.height % 2 == 0
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]


@pytest.fixture(scope="module")
def film(shown):
    return frames_of(shown.annotated)


def test_scores_tracks_boxes_and_verdict_are_those_of_score(shown, scored):
    columns = ["face_id", "track_id", "frame_index", "pts_seconds", "box", "crop_box", "logit", "score"]
    assert shown.faces.select(columns).to_pylist() == scored.scores.select(columns).to_pylist()
    (row,) = scored.report.to_pylist()
    assert (shown.row.score, shown.row.verdict, shown.row.reason) == (
        row["score"],
        row["verdict"],
        row["reason"],
    )
    assert shown.exit_code == 0


def test_a_sheet_for_each_track_and_three_pictures_for_each_face(shown):
    assert [sheet.name for sheet in shown.sheets] == ["track-000.png", "track-001.png"]
    rows = shown.faces.to_pylist()
    assert len(rows) == 2 * FRAMES
    for row in rows:
        crop = decode_crop_of(shown.out / row["crop"])
        heat = Image.open(shown.out / row["heat_map"])
        assert heat.mode == "L"
        assert heat.size == (crop.shape[1], crop.shape[0])
        assert np.asarray(heat).max() == (0 if row["map_empty"] else 255)
        assert Image.open(shown.out / row["picture"]).size[1] > 400
    assert {row["layer"] for row in rows} == {"blocks.3.2"}


def decode_crop_of(path):
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.slow
def test_a_crop_is_the_pixels_that_were_scored(shown, scored, home, weights, clip):
    root = run(clip.path, home / "ws", weights, frames=FRAMES, keep_faces="all").root
    faces = run_shards(root).read("faces").to_pylist()
    stored = {face["face_id"]: decode_crop(face["crop"]) for face in faces}
    for row in shown.faces.to_pylist():
        assert np.array_equal(decode_crop_of(shown.out / row["crop"]), stored[row["face_id"]])


def test_every_frame_is_shown_at_its_time(film, clip):
    assert [time for time, _ in film] == pytest.approx(clip.pts, abs=1e-3)


def test_boxes_are_drawn_where_the_faces_are(film, shown, clip):
    scale = film[0][1].shape[1] / clip.width
    for row in shown.faces.to_pylist():
        rgb = film[row["frame_index"]][1].astype(int)
        x0, y0, x1, y1 = (side * scale for side in row["box"])
        middle = slice(round((y0 + y1) / 2) - 20, round((y0 + y1) / 2) + 20)
        for x in (x0, x1):
            edge = rgb[middle, round(x) - 3 : round(x) + 4].min(axis=2).max(axis=1)
            assert (edge > 170).mean() > 0.9, row


def test_between_scored_frames_boxes_are_dashed_and_before_the_first_there_are_none(film, shown, clip):
    scale = film[0][1].shape[1] / clip.width
    rows = [row for row in shown.faces.to_pylist() if row["track_id"] == 0]
    first, second = rows[0], rows[1]
    between = (first["frame_index"] + second["frame_index"]) // 2
    assert first["frame_index"] < between < second["frame_index"]
    share = (between - first["frame_index"]) / (second["frame_index"] - first["frame_index"])
    x0, y0, _, y1 = (scale * (a + (b - a) * share) for a, b in zip(first["box"], second["box"], strict=True))
    edge = (
        film[between][1][round(y0) + 4 : round(y1) - 4, round(x0) - 3 : round(x0) + 4].min(axis=2).max(axis=1)
    )
    assert 0.3 < (edge > 170).mean() < 0.85
    assert first["frame_index"] > 0
    picture = round(clip.height * scale)
    original = frames_of(clip.path)[0][1]
    small = np.asarray(Image.fromarray(film[0][1][:picture]).resize((clip.width, clip.height)))
    assert np.abs(small.astype(int) - original).mean() < 6, "frame 0 was not looked at and shows no mark"


def test_every_picture_and_table_says_how_it_was_made(shown):
    for path in shown.out.rglob("*"):
        if path.suffix in (".png", ".parquet"):
            told = assert_complete(path, weights=True)
            assert told["medium"]["sha256"] == shown.row.sha256
    with av.open(str(shown.annotated)) as container:
        assert json.loads(container.metadata["comment"])["id"] == shown.provenance["id"]


def test_the_log_has_its_files(shown, home):
    entry = log.read_logs(Workspace(home / "ws")).log.entries
    written = [
        each for each in entry if each["event"] == "explain" and each["provenance"] == shown.provenance["id"]
    ]
    assert {Path(o["path"]).name for o in written[0]["outputs"]} == {
        "faces.parquet", "track-000.png", "track-001.png", "annotated.mp4",
    }  # fmt: skip


def test_a_second_run_does_not_touch_the_first(shown, home, weights, clip):
    before = {path: path.stat().st_mtime_ns for path in shown.out.rglob("*")}
    with pytest.raises(UsageError, match="is there already"):
        show(clip.path, home, weights, "shown")
    assert {path: path.stat().st_mtime_ns for path in shown.out.rglob("*")} == before


@pytest.mark.slow
def test_the_sampled_frames_alone_in_their_times_and_a_part_of_them(clip, home, weights, scored):
    (row,) = scored.report.to_pylist()
    begin = (row["sampled_seconds"][0] + row["sampled_seconds"][1]) / 2
    part = show(clip.path, home, weights, "part", seconds=f"{begin:.3f}-", max_frames=2, faces="none")
    expected = [second - float(f"{begin:.3f}") for second in row["sampled_seconds"][1:3]]
    assert [time for time, _ in frames_of(part.annotated)] == pytest.approx(expected, abs=1e-3)
    assert part.origin_seconds == pytest.approx(begin, abs=1e-3)
    assert {r["frame_index"] for r in part.faces.to_pylist()} == set(row["sampled_frames"][1:3])
    wanted = {r["face_id"]: r["score"] for r in scored.scores.to_pylist()}
    assert all(r["score"] == wanted[r["face_id"]] and r["crop"] is None for r in part.faces.to_pylist())
    assert any("--max-frames" in note for note in part.notes)
    assert not list(part.out.glob("track-*/"))


@pytest.mark.slow
def test_a_part_without_a_frame_has_no_video_and_says_so(clip, home, weights):
    nothing = show(clip.path, home, weights, "nothing", seconds="90-91")
    assert nothing.annotated is None and nothing.faces.num_rows == 0
    assert len(nothing.notes) == 2
    assert [path.name for path in sorted(nothing.out.iterdir())] == ["faces.csv", "faces.csv.provenance.json"]


def test_an_image_gets_a_picture_and_goes_into_the_workspace_by_itself(home, weights, tmp_path):
    shown = show(picture(tmp_path / "a photo.png"), home, weights, seconds="5-")
    assert shown.out == home / "ws" / "explained" / "a-photo-explained"
    assert shown.annotated.name == "annotated.png"
    drawn = np.asarray(Image.open(shown.annotated))
    (row,) = shown.faces.to_pylist()
    scale = drawn.shape[1] / 256
    x0, y0, _, y1 = (side * scale for side in row["box"])
    edge = drawn[round(y0) + 9 : round(y1) - 9, round(x0) - 3 : round(x0) + 4].min(axis=2).max(axis=1)
    assert (edge > 170).mean() > 0.9
    assert {path.name for path in tmp_path.iterdir()} == {"a photo.png"}, (
        "nothing is written beside the input"
    )


@pytest.mark.slow
def test_a_detector_without_maps_shows_boxes_and_scores_and_says_so(home, tmp_path):
    said: list[str] = []
    linear = make_linear_weights(tmp_path / "linear")
    shown = show(picture(tmp_path / "face.png"), tmp_path, linear, "plain", said)
    assert any("no map that Grad-CAM could weight" in line for line in said)
    (row,) = shown.faces.to_pylist()
    assert row["heat_map"] is row["layer"] is row["target"] is row["map_empty"] is None
    assert row["crop"] and 0 <= row["score"] <= 1
    with pytest.raises(UsageError, match="--layer net"):
        show(tmp_path / "face.png", tmp_path, linear, "other", layer="net")


@pytest.mark.parametrize(("settings", "words"), [
    ({"layer": "nope"}, "has no layer 'nope'; its maps are: blocks.3.2"),
    ({"layer": "classifier"}, "classifier"),
    ({"seconds": "5-2"}, "BEGIN-END"),
    ({"seconds": "-"}, "BEGIN-END"),
    ({"target": "nope"}, "'fake' or 'real'"),
    ({"max_frames": 0}, "greater than or equal to 1"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_decoded(
    home, weights, clip, settings, words, monkeypatch
):
    monkeypatch.setattr("ffpipe.pipeline.medium.DecodeSandbox.open", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(UsageError, match=words):
        show(clip.path, home, weights, "refused", **settings)
    assert not (home / "refused").exists()


def test_only_one_file_is_taken_and_no_folder_is_overwritten(home, weights, clip, tmp_path):
    with pytest.raises(UsageError, match="is a folder"):
        show(tmp_path, home, weights)
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="is no folder"):
        explain(clip.path, ExplainConfig(), Workspace(home), out=tmp_path / "out", say=print)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "status", "code"), [
    (lambda path: make_text(path), Status.UNSUPPORTED, 4),
    (lambda path: make_clip(path, frames=3), Status.NO_FACE, 0),
    (lambda path: None, Status.MISSING, 4),
])  # fmt: skip
def test_without_a_face_nothing_is_written(home, weights, tmp_path, make, status, code):
    make(tmp_path / "clip.mp4")
    found = show(tmp_path / "clip.mp4", home, weights, "none")
    assert (found.row.status, found.exit_code, found.out) == (status, code, None)
    assert not (home / "none").exists()
    assert found.to_json()["status"] == status


@pytest.mark.slow
@pytest.mark.parametrize("when", ["sandbox_for", "Canvas"])
def test_a_file_that_changes_before_or_during_the_second_look_is_not_explained(
    home, weights, tmp_path, monkeypatch, when
):
    path = picture(tmp_path / "face.png")
    real = getattr(second_look, when)

    def changing(*given):
        path.write_bytes(path.read_bytes() + b"more")
        return real(*given)

    monkeypatch.setattr(second_look, when, changing)
    found = show(path, home, weights, "changed")
    assert (found.row.status, found.exit_code, found.out) == (Status.CHANGED, 4, None)
    assert not list(home.glob("*changed*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, StorageError("cannot write it: No space left on device")]
)
def test_an_end_in_the_middle_leaves_nothing(home, weights, tmp_path, monkeypatch, error):
    def ends(*_):
        raise error

    monkeypatch.setattr(second_look.Canvas, "draw", ends)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        show(picture(tmp_path / "face.png"), home, weights, "ended")
    assert not list(home.glob("*ended*"))


@pytest.mark.slow
def test_the_command_prints_json_and_one_line_for_an_error(home, weights, tmp_path, capsys):
    path = picture(tmp_path / os.fsdecode(b"<b>\n\xff.png"))
    common = ["explain", str(path), "--weights", str(weights), "--workspace", str(home / "ws")]
    assert cli.run([*common, "--out", str(tmp_path / "o"), "--faces", "none", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["faces"] == 1 and told["annotated"].endswith("annotated.png") and told["provenance"]["id"]
    assert told["score"] is None or math.isfinite(told["score"])
    assert cli.run([*common, "--out", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[3::6])
def test_any_name_is_drawn_and_named_harmlessly(home, weights, tmp_path, name):
    path = tmp_path / "in" / os.fsdecode(name)
    path.parent.mkdir()
    picture(tmp_path / "face.png").replace(path)
    shown = show(path, tmp_path, weights)
    assert shown.out.parent == tmp_path / "ws" / "explained"
    assert shown.out.name.isascii() and shown.out.name.isprintable()
    assert shown.faces.to_pylist()[0]["path_bytes"] == os.fsencode(path)


@pytest.mark.slow
@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_video_is_shown_upright(home, weights, tmp_path, rotation):
    clip = make_face_clip(tmp_path / "turned.mp4", seconds=0.24, size=(320, 240), rotation=rotation)
    shown = show(clip.path, home, weights, f"turned-{rotation}", every_frame=True)
    first = frames_of(shown.annotated)[0][1]
    assert first.shape[1] == 720
    assert shown.faces.num_rows == FRAMES


@pytest.mark.slow
def test_a_variable_rate_is_kept(home, weights, tmp_path):
    still = make_face_clip(tmp_path / "face.mp4", seconds=0.04, size=(320, 240))
    face = frames_of(still.path)[0][1]
    clip = make_variable_rate(tmp_path / "variable.mp4", size=(320, 240), paint=lambda *_: face)
    shown = show(clip.path, home, weights, "variable", every_frame=True)
    assert [time for time, _ in frames_of(shown.annotated)] == pytest.approx(clip.pts, abs=1e-3)


@pytest.mark.slow
def test_whole_pictures_and_ready_crops_are_explained(home, tmp_path):
    tiny = make_tiny_weights(tmp_path / "tiny")
    face = picture(tmp_path / "face.png")
    for kind in ("cropped", "whole"):
        shown = show(face, tmp_path, tiny, kind, accept_crops=True, **{kind: True})
        (row,) = shown.faces.to_pylist()
        assert row["crop_box"] == [0, 0, 256, 256]
        assert Image.open(shown.out / row["heat_map"]).size == (256, 256)


@pytest.mark.slow
@pytest.mark.data
def test_a_real_clip_is_shown(clips, home, weights):
    source = clips / "real" / "liveportrait_d0.mp4"
    shown = show(source, home, weights, "real", frames=6, every_frame=True)
    assert shown.faces.num_rows == 6
    assert [time for time, _ in frames_of(shown.annotated)] == pytest.approx(
        [time for time, _ in _any_frames(source)], abs=1e-3
    )


def _any_frames(path):
    with av.open(str(path)) as container:
        return [(frame.time, None) for frame in container.decode(video=0)]


def test_scores_are_read_by_the_calibration_as_score_reads_them(home, clip, capsys):
    weights = make_tiny_weights(home / "calibrated")
    calibration = calibrated(weights)
    said = []
    shown = show(clip.path, home, weights, "read", said, prior=0.01, video=False, faces="none")
    assert shown.row.log10_likelihood_ratio == calibration.log10_likelihood_ratio(shown.row.score)
    assert shown.provenance["calibration"] == calibration.id
    assert any(line.startswith("calibrated (") and line.endswith("prior 0.01") for line in said)
    told = shown.to_json()
    assert told["posterior"] == calibration.posterior(shown.row.score, 0.01)
    given = ["explain", str(clip.path), "--weights", str(weights), "--workspace", str(home / "ws"),
             "--out", str(home / "console"), "--frames", "2", "--no-video", "--faces", "none"]  # fmt: skip
    assert cli.run(given) == 0
    assert "log10 LR" in capsys.readouterr().err
