from __future__ import annotations

import os
from pathlib import Path

import pytest

from ffpipe.manifests.errors import ConfigMismatch, LockedError, StorageError, UsageError
from ffpipe.pipeline.workspace import Workspace, bind_job, checked_name, name_for


def test_the_workspace_is_the_given_one_then_the_environments_then_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FFPIPE_WORKSPACE", raising=False)
    assert Workspace.find().root == tmp_path / "ffpipe-workspace"
    monkeypatch.setenv("FFPIPE_WORKSPACE", str(tmp_path / "env"))
    assert Workspace.find().root == tmp_path / "env"
    assert Workspace.find(tmp_path / "given").root == tmp_path / "given"
    assert not (tmp_path / "env").exists()


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 101, "a\nb", "-x"])
def test_names_that_are_no_plain_folder_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="allowed"):
        checked_name(name)


@pytest.mark.parametrize(
    ("folder", "name"), [("FF++", "FF++"), ("my videos", "my-videos"), ("..", "dataset"), ("ärger", "rger")]
)
def test_a_folder_gives_a_usable_name(folder: str, name: str) -> None:
    assert name_for(folder) == name
    assert checked_name(name_for(folder)) == name


def test_the_newest_finished_model_is_taken(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    with pytest.raises(UsageError, match="ffpipe train --model sfcl-hcmf"):
        workspace.newest_model()
    for age, run in enumerate(["b", "a"]):
        folder = workspace.model_run("sfcl-hcmf", run)
        folder.mkdir(parents=True)
        (folder / "hashes.json").write_text("{}")
        os.utime(folder / "hashes.json", (age, age))
    workspace.model_run("sfcl-hcmf", "unfinished").mkdir()
    assert workspace.newest_model().name == "a"


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    facts = {"bound": {"frames": 32, "seed": 0}}
    bind_job(tmp_path, "d1", facts, "use --name")
    assert bind_job(tmp_path, "d1", {"bound": {}}, "use --name")["bound"] == facts["bound"]
    with pytest.raises(ConfigMismatch, match=r"frames: 32 there, 8 now\); use --name"):
        bind_job(tmp_path, "d2", {"bound": {"frames": 8, "seed": 0}}, "use --name")
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(StorageError, match=r"job\.json"):
        bind_job(tmp_path, "d1", facts, "use --name")


def test_purge_deletes_what_it_names_and_nothing_that_is_in_use(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    run, other = workspace.scores("run"), workspace.scores("other")
    run.create()
    other.create()
    with run.lock(), pytest.raises(LockedError):
        workspace.purge("run")
    assert workspace.purge("run") == [run.root]
    assert not run.root.exists()
    assert other.root.exists()
    with pytest.raises(UsageError, match="no scoring run and no dataset called 'run'"):
        workspace.purge("run")
