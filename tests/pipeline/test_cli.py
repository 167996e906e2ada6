"""The command line as a user meets it: help, errors of one line, exit codes, data on stdout and words on stderr."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from media import make_face_clip

from ffpipe.models import list_detectors
from ffpipe.pipeline import cli

COMMANDS = (
    "extract",
    "train",
    "preview",
    "score",
    "explain",
    "export",
    "models",
    "datasets",
    "doctor",
    "demo",
    "purge",
    "reproduce",
    "serve",
)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.run([*arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_help_names_every_command_and_the_main_job(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(command in out for command in COMMANDS)
    assert "ffpipe score videos/ --out report.parquet" in " ".join(out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_every_option_a_text(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, command, "--help")
    assert code == 0
    options = [line for line in out.splitlines() if line.startswith("│ --")]
    assert all(len(line.strip("│ ").split()) > 2 for line in options)


def test_stars_of_a_glob_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'train/*/horse'" in run(capsys, "extract", "--help")[1]


@pytest.mark.parametrize("columns", ["80", "120"])
def test_models_and_datasets_list_what_is_registered(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    listed = run(capsys, "models")[1]
    assert all(name in listed for name in list_detectors())
    described = run(capsys, "models", "sfcl-hcmf")[1]
    assert all(option in described for option in ("sbcm", "sida", "faae", "hcma", "hcmf", "tokens"))
    assert all(words in described for words in ("(table 3)", "Recipe paper", "Recipe quick", "parameters"))
    assert max(len(line) for line in (listed + described).splitlines()) <= int(columns)
    listed = run(capsys, "datasets")[1]
    assert all(name in listed for name in ("ffpp", "folder", "unlabelled"))


def test_models_are_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert [entry["name"] for entry in json.loads(run(capsys, "models", "--json")[1])] == list_detectors()
    described = json.loads(run(capsys, "models", "sfcl-hcmf", "--json")[1])
    assert described["options"]["sida"]["allowed"] == ["on", "off"]
    assert described["recipes"]["paper"]["epochs"] == 20


def test_extract_prints_words_on_stderr_and_json_on_stdout(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    make_face_clip(tmp_path / "in" / "real" / "a.mp4", seconds=0.2)
    make_face_clip(tmp_path / "in" / "fake" / "c.mp4", seconds=0.2, seed=1)
    (tmp_path / "in" / "real" / "bad.mp4").write_bytes(b"")
    code, out, err = run(
        capsys, "extract", str(tmp_path / "in"), "--workspace", str(tmp_path / "ws"), "--frames", "2",
        "--engine", "local", "--workers", "0", "--json",
    )  # fmt: skip
    assert code == 3, "one input failed"
    found = json.loads(out)
    assert found["statuses"] == {"ok": 2, "unreadable": 1}
    assert found["faces"] == 4
    assert f"next: ffpipe train --model sfcl-hcmf --workspace {tmp_path / 'ws'}" in err


def test_a_bug_is_one_line_unless_debugging(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffpipe.manifests import datasets

    monkeypatch.setattr(datasets, "list_layouts", lambda: 1 / 0)
    code, _, err = run(capsys, "datasets")
    assert code == 1
    assert "Traceback" not in err
    assert "a bug in ffpipe: ZeroDivisionError" in err
    assert "Traceback" in run(capsys, "--debug", "datasets")[2]


def test_doctor_reports_each_topic_and_a_fix_for_each_problem(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "doctor", "--json", "--workspace", str(tmp_path))
    findings = json.loads(out)
    assert {
        "ffpipe",
        "library",
        "FFmpeg",
        "codecs",
        "faces",
        "isolation",
        "GPU",
        "machine",
        "disk",
        "Ray",
    } <= {f["topic"] for f in findings}
    assert any("h264" in f["text"] for f in findings if f["topic"] == "codecs")
    assert code == cli.scoring.PROBLEMS * any(
        f["fix"] and not f["fix"].startswith("optional") for f in findings
    )


def test_doctor_names_the_fix_for_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ffpipe.pipeline import doctor

    monkeypatch.setattr(doctor, "library_versions", lambda: {"av": None, "decord": None})
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1 << 62)
    problems = {f.text: f.fix for f in doctor.examine(tmp_path) if f.fix}
    assert problems["av is not installed"] == "pip install av"
    assert problems["decord is not installed"] == "optional; pip install decord"
    assert any("--workspace" in fix for fix in problems.values())
