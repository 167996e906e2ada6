"""Verify: an untouched report is equal in every format, and whatever is changed of it or its inputs is found."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from calibrations import calibrated
from media import make_face_clip, make_noise_clip
from small_weights import LOW_BARS, make_linear_weights, make_weights
from tiny_scoring import picture, run

from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.pipeline import chain, cli, log, provenance, tables
from ffpipe.pipeline.config import VerifyConfig
from ffpipe.pipeline.score import ScoreResult
from ffpipe.pipeline.table_reading import content_digest
from ffpipe.pipeline.verification.inputs import find_inputs
from ffpipe.pipeline.verification.job import Verification, verify
from ffpipe.pipeline.verification.rescoring import again, rescore
from ffpipe.pipeline.verification.text import lines
from ffpipe.pipeline.workspace import Workspace

SUFFIXES = (".parquet", ".csv", ".json", ".jsonl")
INLINE: dict[str, Any] = {"engine": "local", "workers": 0}
#: The one input that is scored again where that is what a test is about: it is the quickest.
QUICK = "*portrait.png"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with weights, and inputs: a clip, its copy, noise, a picture, frames, a torn file, a FIFO."""
    home = tmp_path_factory.mktemp("verify")
    make_weights(home / "ws" / "models" / "sfcl-hcmf" / "a", LOW_BARS)
    media = home / "videos"
    make_face_clip(media / "one.mp4", seconds=0.3, seed=1)
    shutil.copy(media / "one.mp4", media / "copy.mp4")
    make_noise_clip(media / "noise.mp4", frames=3)
    picture(media / "portrait.png")
    (media / "frames").mkdir()
    shutil.copy(media / "portrait.png", media / "frames" / "0001.png")
    (media / "torn =x'.mp4").write_bytes((media / "one.mp4").read_bytes()[:900])
    os.mkfifo(media / "pipe.mp4")
    return home


@pytest.fixture(scope="module")
def scored(place: Path) -> ScoreResult:
    weights = place / "ws" / "models" / "sfcl-hcmf" / "a"
    paths = [place / "videos", place / "missing.mp4"]
    return run(paths, place / "ws", weights, place / "report.parquet", frames=2)


def check(place: Path, report: Path, home: Path | None = None, **settings: Any) -> Verification:
    config = VerifyConfig.build({**INLINE, **settings})
    return verify(report, config, Workspace(home or place / "ws"), [].append)


Tables = dict[str, pa.Table]


def forged(scored: ScoreResult, folder: Path, change: Callable[[Tables], None], sealed: bool = True) -> Path:
    """The report with a change; `sealed` by one who knows how: with new hashes of the rows and a new id."""
    made = dict(scored.tables)
    change(made)
    origin = dict(tables.provenance_of(scored.report))
    if sealed:
        origin["content"] = {name: content_digest(table) for name, table in made.items()}
    carrying = {name: tables.with_provenance(table, origin) for name, table in made.items()}
    tables.write_report(folder / "forged.csv", carrying)
    return folder / "forged.csv"


def with_value(table: pa.Table, column: str, row: int, value: Any) -> pa.Table:
    values = table.column(column).to_pylist()
    values[row] = value
    at = table.schema.get_field_index(column)
    return table.set_column(at, table.schema.field(column), pa.array(values, table.schema.field(column).type))


def row_of(scored: ScoreResult, name: str) -> int:
    return next(k for k, path in enumerate(scored.report.column("path").to_pylist()) if path.endswith(name))


def differing(result: Verification) -> dict[str, list[str]]:
    return {
        Path(each.path).name: sorted({difference.name for difference in each.differences})
        for each in result.inputs
        if not each.equal
    }


def test_an_untouched_report_is_equal_and_nothing_is_left(
    place: Path, scored: ScoreResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "tmp"))
    (place / "tmp").mkdir()
    runs = sorted((place / "ws" / "scores").iterdir())
    options = ["--workspace", str(place / "ws"), "--engine", "local", "--workers", "0", "--json"]
    assert cli.run(["verify", str(place / "report.parquet"), *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["equal"]
    assert (told["problems"], told["notes"], told["environment"]) == ([], [], {})
    assert len(told["inputs"]) == scored.report.num_rows == 8
    assert all(each["equal"] and each["rescored"] for each in told["inputs"])
    assert not list((place / "tmp").iterdir())
    assert sorted((place / "ws" / "scores").iterdir()) == runs
    last = chain.check(log.log_path(Workspace(place / "ws"))).entries[-1]
    assert (last["event"], last["equal"], last["inputs"]) == ("verify", True, 8)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_says_the_same(place: Path, scored: ScoreResult, tmp_path: Path, suffix: str) -> None:
    tables.write_report(tmp_path / f"report{suffix}", scored.tables)
    result = check(place, tmp_path / f"report{suffix}", place / "no workspace", hashes_only=True)
    assert result.exit_code == 0, list(lines(result))
    assert not any(each.rescored for each in result.inputs)


def edit_score(made: Tables) -> None:
    row = next(
        k for k, path in enumerate(made["report"]["path"].to_pylist()) if path.endswith("portrait.png")
    )
    made["report"] = with_value(made["report"], "score", row, 0.001)


def edit_verdict(made: Tables) -> None:
    row = next(
        k for k, path in enumerate(made["report"]["path"].to_pylist()) if path.endswith("portrait.png")
    )
    made["report"] = with_value(made["report"], "verdict", row, "no_manipulation_found")


def edit_hash(made: Tables) -> None:
    row = next(
        k for k, path in enumerate(made["report"]["path"].to_pylist()) if path.endswith("portrait.png")
    )
    made["report"] = with_value(made["report"], "sha256", row, "0" * 64)


def edit_face(made: Tables) -> None:
    medium = next(
        row["media_id"] for row in made["report"].to_pylist() if row["path"].endswith("portrait.png")
    )
    row = made["scores"].column("media_id").to_pylist().index(medium)
    made["scores"] = with_value(made["scores"], "score", row, 0.001)


def test_changed_values_are_found_by_scoring_again_however_well_they_were_sealed(
    place: Path, scored: ScoreResult, tmp_path: Path
) -> None:
    def change(made: Tables) -> None:
        for edit in (edit_score, edit_verdict, edit_face):
            edit(made)

    result = check(place, forged(scored, tmp_path, change), only=(QUICK,), weights=scored.weights)
    assert result.exit_code == 4, "the one input that was looked at differs"
    (each,) = result.inputs
    named = {(difference.table, difference.name): difference for difference in each.differences}
    assert set(named) == {("report", "score"), ("report", "verdict"), ("scores", "score")}
    assert named["report", "score"].then == 0.001
    assert named["report", "score"].now == pytest.approx(0.5, abs=0.4)
    hashed = check(place, forged(scored, tmp_path, edit_hash), hashes_only=True, only=(QUICK,))
    assert differing(hashed) == {"portrait.png": ["sha256"]}


def drop(made: Tables) -> None:
    made["report"] = made["report"].slice(1)


def turn(made: Tables) -> None:
    made["report"] = made["report"].take(list(reversed(range(made["report"].num_rows))))


def double(made: Tables) -> None:
    made["report"] = pa.concat_tables([made["report"], made["report"].slice(0, 1)])


@pytest.mark.parametrize("change", [edit_score, edit_verdict, edit_hash, edit_face, drop, turn, double])
def test_rows_that_are_not_those_that_were_written_are_found_without_scoring(
    place: Path, scored: ScoreResult, tmp_path: Path, change: Callable[[Tables], None]
) -> None:
    report = forged(scored, tmp_path, change, sealed=False)
    result = check(place, report, hashes_only=True, weights=scored.weights)
    assert result.exit_code == 3
    assert any("not those that were written" in problem for problem in result.problems)


def test_a_sealed_forgery_is_another_file_than_the_log_has(
    place: Path, scored: ScoreResult, tmp_path: Path
) -> None:
    """A row that was deleted with all that belonged to it can be told by the log alone."""
    gone = scored.report.to_pylist()[row_of(scored, "noise.mp4")]["media_id"]

    def change(made: Tables) -> None:
        kept = [k for k, medium in enumerate(made["report"]["media_id"].to_pylist()) if medium != gone]
        made["report"] = made["report"].take(kept)

    forged(scored, tmp_path, change)
    moved = tmp_path / "report.csv"
    home = tmp_path / "ws"
    origin = tables.read_provenance(tmp_path / "forged.csv")
    moved.write_text("what was written then")
    log.note(Workspace(home), "score", origin, [moved])
    moved.write_bytes((tmp_path / "forged.csv").read_bytes())
    for name in ("tracks.csv", "scores.csv"):
        shutil.copy(tmp_path / f"forged.{name}", tmp_path / f"report.{name}")
        shutil.copy(tmp_path / f"forged.{name}.provenance.json", tmp_path / f"report.{name}.provenance.json")
    shutil.copy(tmp_path / "forged.csv.provenance.json", tmp_path / "report.csv.provenance.json")
    unseen = check(
        place, tmp_path / "forged.csv", tmp_path / "none", hashes_only=True, weights=scored.weights
    )
    assert unseen.exit_code == 0, "without a log nothing tells"
    result = check(place, moved, home, hashes_only=True, weights=scored.weights)
    assert result.exit_code == 3
    assert result.problems == ["report.csv: not the file that entry 1 of the log has"]


def test_a_log_that_was_changed_is_a_problem_of_its_own(
    place: Path, scored: ScoreResult, tmp_path: Path
) -> None:
    report, home = forged(scored, tmp_path, lambda made: None), Workspace(tmp_path / "ws")
    origin = tables.read_provenance(report)
    for _ in range(2):
        log.note(home, "score", origin, [report])
    told = check(place, report, home.root, hashes_only=True, weights=scored.weights)
    assert (told.exit_code, told.problems) == (0, [])
    place_of = log.log_path(home)
    place_of.write_text(place_of.read_text().replace('"score"', '"Score"', 1))
    told = check(place, report, home.root, hashes_only=True, weights=scored.weights)
    assert told.exit_code == 3
    assert told.problems == [f"{place_of} is not whole itself; `ffpipe log --check` says where"]


def test_files_that_do_not_belong_together_are_found(
    place: Path, scored: ScoreResult, tmp_path: Path
) -> None:
    report = forged(scored, tmp_path, lambda made: None)
    origin = tables.read_provenance(report)
    (tmp_path / "forged.tracks.csv").unlink()
    other = {**origin, "started": "2001-01-01T00:00:00+00:00"}
    tables.write_table(tmp_path / "forged.scores.csv", tables.with_provenance(scored.scores, other))
    tables.write_table(
        report,
        tables.with_provenance(scored.report, {**origin, "arithmetic": "bfloat16", "id": origin["id"]}),
    )
    problems = check(place, report, hashes_only=True).problems
    assert any("forged.tracks.csv is not there" in problem for problem in problems)
    assert any("of different runs" in problem for problem in problems)
    assert any("another id" in problem for problem in problems)


def test_inputs_that_changed_are_named_with_then_and_now(
    place: Path, scored: ScoreResult, tmp_path: Path
) -> None:
    """Beside moved ones, which are found by the ends of their paths."""
    moved = tmp_path / "moved"
    shutil.copytree(place / "videos", moved, ignore=shutil.ignore_patterns("pipe.mp4"))
    (moved / "pipe.mp4").write_bytes(b"a file by now")
    with (moved / "one.mp4").open("ab") as file:
        file.write(b"\0")
    (moved / "noise.mp4").unlink()
    result = check(place, place / "report.parquet", root=moved, hashes_only=True)
    found = {name: names for name, names in differing(result).items()}
    assert found == {"one.mp4": ["bytes", "sha256"], "noise.mp4": ["input"], "pipe.mp4": ["status"]}
    assert result.exit_code == 3
    text = list(lines(result))
    assert any(line.strip().startswith("sha256 ") and " then, " in line for line in text)
    assert text[-1] == "NOT EQUAL: 3 of 8 inputs differ"


@pytest.mark.slow
def test_moved_inputs_are_scored_again(place: Path, scored: ScoreResult, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    picture(tmp_path / "frames" / "0001.png")
    result = check(place, place / "report.parquet", root=tmp_path, only=("*/frames/*",))
    assert result.exit_code == 0, list(lines(result))
    assert [each.rescored for each in result.inputs] == [True]


def test_weights_are_found_by_their_hash(place: Path, scored: ScoreResult, tmp_path: Path) -> None:
    report = place / "report.parquet"
    moved = forged(scored, tmp_path, lambda made: None)
    origin = {**tables.read_provenance(moved), "weights": str(tmp_path / "gone")}
    for name, table in scored.tables.items():
        target = moved if name == "report" else tables.companion(moved, name)
        tables.write_table(target, tables.with_provenance(table, origin))
    assert check(place, moved, hashes_only=True).exit_code == 0, "they are in the workspace"
    with pytest.raises(UsageError, match="give --weights"):
        check(place, moved, tmp_path / "empty", hashes_only=True)
    other = make_weights(tmp_path / "other", LOW_BARS, seed=1)
    with pytest.raises(UsageError, match="the report was made with"):
        check(place, report, hashes_only=True, weights=other)
    damaged = Path(shutil.copytree(scored.weights, tmp_path / "damaged"))
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        check(place, report, hashes_only=True, weights=damaged)


def test_thresholds_that_were_changed_are_found(place: Path, scored: ScoreResult, tmp_path: Path) -> None:
    bars = make_weights(tmp_path / "bars")
    result = check(place, place / "report.parquet", hashes_only=True, weights=bars)
    assert result.problems == ["the weights have other thresholds than those of the report"]


def test_what_cannot_be_verified_is_refused(place: Path, scored: ScoreResult, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such report"):
        check(place, tmp_path / "nothing.csv")
    bare = tmp_path / "bare.csv"
    tables.write_table(bare, scored.report)
    (tmp_path / "bare.csv.provenance.json").unlink()
    with pytest.raises(UsageError, match="no provenance"):
        check(place, bare)
    tables.write_table(tmp_path / "page.html", scored.report)
    with pytest.raises(UsageError, match="a page is for people"):
        check(place, tmp_path / "page.html")
    scored.report.to_pandas().to_parquet(tmp_path / "saved.parquet")
    with pytest.raises(UsageError, match="cannot be verified"):
        check(place, tmp_path / "saved.parquet")
    for content in ([1], {"report": 5}):
        origin = {**tables.provenance_of(scored.report), "content": content}
        strange = tmp_path / "strange.json"
        tables.write_table(strange, tables.with_provenance(scored.report, origin))
        if isinstance(content, list):
            with pytest.raises(UsageError, match="lacks hashes of its rows"):
                check(place, strange)
        else:
            os.mkfifo(tables.companion(strange, "tracks"))
            tables.companion(strange, "scores").mkdir()
            problems = check(place, strange, hashes_only=True).problems
            assert sum("not a regular file" in problem for problem in problems) == 2
    with pytest.raises(UsageError, match="fits no input"):
        check(place, place / "report.parquet", only=("nowhere/*",))
    assert cli.run(["verify", str(bare), "--workspace", str(tmp_path)]) == 2


def test_another_environment_is_named(place: Path, scored: ScoreResult, tmp_path: Path) -> None:
    def older(origin: dict[str, Any]) -> dict[str, Any]:
        made = {**origin, "libraries": {**origin["libraries"], "torch": "1.0"}, "processor": "another"}
        return {**made, "id": provenance.identity(made)}

    origin = older(tables.provenance_of(scored.report))
    table = scored.report.drop_columns("provenance_id").append_column(
        scored.report.schema.field("provenance_id"), pa.array([origin["id"]] * scored.report.num_rows)
    )
    report = table.select(scored.report.column_names)
    origin["content"] = {**origin["content"], "report": content_digest(report)}
    for name, each in {**scored.tables, "report": report}.items():
        target = tmp_path / "r.json" if name == "report" else tables.companion(tmp_path / "r.json", name)
        tables.write_table(target, tables.with_provenance(each, origin))
    result = check(place, tmp_path / "r.json", hashes_only=True)
    assert result.exit_code == 0, result.problems
    assert set(result.environment) == {"torch", "processor"}
    assert any("torch 1.0 then" in line for line in lines(result))


@pytest.mark.slow
def test_ready_made_crops_a_limit_and_another_batch_size_are_verified_as_they_were_scored(
    place: Path, tmp_path: Path
) -> None:
    weights = place / "ws" / "models" / "sfcl-hcmf" / "a"
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    made = run(
        [tmp_path / "a.png", tmp_path / "b.png"],
        tmp_path / "ws",
        weights,
        tmp_path / "r.jsonl",
        cropped=True,
        accept_crops=True,
        limit=1,
        batch_size=2,
    )
    assert made.report.num_rows == 1
    result = check(place, tmp_path / "r.jsonl", tmp_path / "ws")
    assert result.exit_code == 0, list(lines(result))


@pytest.mark.slow
def test_scores_are_computed_again_with_the_recorded_arithmetic(place: Path, tmp_path: Path) -> None:
    weights = place / "ws" / "models" / "sfcl-hcmf" / "a"
    report = tmp_path / "r.parquet"
    made = run(place / "videos" / "portrait.png", tmp_path / "ws", weights, report, arithmetic="bfloat16")
    result = check(place, report)
    assert result.exit_code == 0, list(lines(result))
    plain = run(place / "videos" / "portrait.png", tmp_path / "ws", weights, arithmetic="float32")
    found, exact = (each.scores.column("logit").to_numpy() for each in (made, plain))
    assert np.abs(found - exact).max() > 0, "the two can be told apart"
    how = again(made.provenance, VerifyConfig.build(INLINE), Workspace(place / "ws"), [].append)
    (each,) = find_inputs(made.report.to_pylist(), made.provenance, None, tmp_path, how.config.max_bytes)
    now = rescore([each], how, tmp_path, [].append, None)
    np.testing.assert_array_equal(now.scores.column("logit").to_numpy(), found)


def test_a_medium_that_changed_while_it_was_scored_is_void_and_flagged(place: Path, tmp_path: Path) -> None:
    from ffpipe.pipeline.config import ScoreConfig
    from ffpipe.pipeline.score import run_shards, score

    path = picture(tmp_path / "changing.png")
    weights = place / "ws" / "models" / "sfcl-hcmf" / "a"
    config = ScoreConfig.build(
        {"engine": "local", "workers": 0, "weights": weights, "keep_faces": "all", "whole": False}
    )

    def advance(done: int, *_: Any) -> None:
        if done == 0:
            with path.open("ab") as file:
                file.write(b"\0")

    home = Workspace(tmp_path / "ws")
    changed = score([path], config, home, out=tmp_path / "r.json", say=[].append, advance=advance)
    (row,) = changed.report.to_pylist()
    assert (row["status"], row["verdict"], row["score"]) == ("changed", "not_assessable", None)
    assert (row["n_faces"], row["n_tracks"], row["sampled_frames"]) == (0, 0, [])
    assert changed.tracks.num_rows == changed.scores.num_rows == 0
    assert run_shards(changed.root).read("faces").num_rows == 0
    result = check(place, tmp_path / "r.json", tmp_path / "ws")
    assert result.exit_code == 4
    assert differing(result) == {"changing.png": ["bytes", "sha256"]}
    path.write_bytes(path.read_bytes()[:-1])
    restored = check(place, tmp_path / "r.json", tmp_path / "ws")
    assert restored.exit_code == 4
    assert {"status", "verdict", "score"} <= set(differing(restored)["changing.png"])


def test_what_was_too_large_to_be_read_is_not_read_now(place: Path, tmp_path: Path) -> None:
    weights = place / "ws" / "models" / "sfcl-hcmf" / "a"
    made = run(place / "videos" / "portrait.png", tmp_path / "ws", weights, tmp_path / "r.csv", max_bytes=99)
    assert made.report.column("status").to_pylist() == ["too_large"]
    assert made.report.column("sha256").to_pylist() == [""]
    result = check(place, tmp_path / "r.csv", tmp_path / "ws")
    assert result.exit_code == 0, list(lines(result))


def test_a_calibration_that_changed_or_came_later_is_told(tmp_path: Path) -> None:
    shown, weights = picture(tmp_path / "portrait.png"), make_linear_weights(tmp_path / "model")
    run(shown, tmp_path / "ws", weights, tmp_path / "plain.csv")
    first = calibrated(weights, temperature=0.5, level="image")
    run(shown, tmp_path / "ws", weights, tmp_path / "read.csv", prior=0.2)

    same = check(tmp_path, tmp_path / "read.csv")
    assert (same.exit_code, same.notes, same.provenance["calibration"]) == (0, [], first.id)
    later = check(tmp_path, tmp_path / "plain.csv")
    assert later.exit_code == 0 and later.provenance["calibration"] is None
    assert any(f"uncalibrated; the calibration {first.id}" in note for note in later.notes)

    second = calibrated(weights, temperature=0.6, level="image")
    changed = check(tmp_path, tmp_path / "read.csv")
    assert any(
        f"the calibration {second.id}, and the report was made with {first.id}" in p for p in changed.problems
    )
    assert differing(changed) == {"portrait.png": ["log10_likelihood_ratio", "posterior", "probability"]}
    (weights / "calibration.json").unlink()
    gone = check(tmp_path, tmp_path / "read.csv", hashes_only=True)
    assert gone.exit_code and any(
        "have no calibration, and the report" in problem for problem in gone.problems
    )
