"""The workspace's log and the command that shows it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline import chain, cli, log
from ffpipe.pipeline.evaluation.openings import log_opening
from ffpipe.pipeline.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "report <b>\n.csv").write_text("rows")
    made = Workspace(tmp_path / "ws")
    log.note(made, "score", {"id": "abc"}, [tmp_path / "report <b>\n.csv"])
    run = made.root / "models" / "tiny" / "a"
    run.mkdir(parents=True)
    log_opening(run, "FF", {"split": "test"})
    return made


def test_an_entry_names_event_command_provenance_and_outputs(workspace: Workspace, tmp_path: Path) -> None:
    (entry,) = chain.check(log.log_path(workspace)).entries
    assert (entry["event"], entry["provenance"], entry["time"][-6:]) == ("score", "abc", "+00:00")
    assert entry["command"]
    file = tmp_path / "report <b>\n.csv"
    (output,) = entry["outputs"]
    assert output == {"path": log.shown(file), "sha256": sha256_file(file), "bytes": 4}
    moved = file.rename(tmp_path / "ws" / file.name)
    (found,) = log.written_as([entry], moved, "abc")
    assert found == log.Written(1, output["sha256"])
    assert not log.written_as([entry], moved, "another run")
    assert not log.written_as([{**entry, "outputs": [1, {"path": None}]}], moved, "abc")


def test_the_command_shows_and_checks_it(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--workspace", str(workspace.root)]
    assert cli.run(["log", *options]) == 0
    shown = capsys.readouterr()
    assert "score" in shown.out and "\\n" in shown.out
    assert (
        "head: " in shown.err
        and "openings of test splits by tiny/a: 1 entry, the chain is whole" in shown.err
    )
    assert cli.run(["log", "--check", "--json", *options]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["whole"] and told["head"] == told["entries"][-1]["hash"]
    assert cli.run(["log", "--head", told["head"], *options]) == 0
    assert cli.run(["log", "--head", "0" * 64, *options]) == 3
    openings = workspace.root / "models" / "tiny" / "a" / log.OPENINGS
    openings.write_text(openings.read_text().replace("test", "val"))
    assert cli.run(["log", "--check", *options]) == 3
    assert "entry 1 was changed" in capsys.readouterr().err
    assert cli.run(["log", *options]) == 0, "shown without being checked"


def test_a_log_that_cannot_be_written_is_an_error_that_leaves_the_outputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "made.csv"
    made.write_text("rows")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"No space left.*is whole, only its entry"):
        log.note(Workspace(tmp_path / "ws"), "score", {}, [made])
    assert made.read_text() == "rows"
    assert log.log_path(Workspace(tmp_path / "ws")).read_bytes() == b""


def test_purge_is_logged(workspace: Workspace) -> None:
    workspace.scores("run-1").create()
    assert cli.run(["purge", "run-1", "--yes", "--workspace", str(workspace.root)]) == 0
    last = chain.check(log.log_path(workspace)).entries[-1]
    assert (last["event"], last["removed"]) == ("purge", [str(workspace.root / "scores" / "run-1")])
