from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ffpipe.manifests.durable import clear_temporaries, new_folder, write_atomic, write_together
from ffpipe.manifests.errors import StorageError


@pytest.fixture
def dead() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_only_what_dead_processes_left_of_the_named_files_is_cleared(tmp_path: Path, dead: int) -> None:
    stays = [
        f".r.csv.{os.getpid()}.tmp",
        ".r.csv.tmp",
        ".r.csv.x.tmp",
        "r.csv.1.tmp",
        f".other.csv.{dead}.tmp",
    ]
    for name in [*stays, f".r.csv.{dead}.tmp"]:
        (tmp_path / name).write_text("")
    assert clear_temporaries(tmp_path, {"r.csv"}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(stays)
    assert clear_temporaries(tmp_path) == 1


def test_several_files_are_replaced_in_their_order_and_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_together({first: b"1", second: b"2"})
    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"2")
    second.unlink()
    second.mkdir()
    with pytest.raises(StorageError, match=rf"cannot write {second}: Is a directory"):
        write_atomic(second, b"3")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "made") as folder:
        (folder / "file").write_text("x")
        assert not (tmp_path / "a" / "made").exists()
    assert [path.name for path in (tmp_path / "a").rglob("*")] == ["made", "file"]
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "b") as folder:
        (folder / "file").write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.glob("*b*"))


def test_a_folder_that_something_else_took_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="made"), new_folder(tmp_path / "made"):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "theirs").write_text("y")
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "theirs"]


def test_what_a_killed_process_left_goes_with_the_next_folder_of_that_name(tmp_path: Path, dead: int) -> None:
    for name in (f".made.{dead}.tmp", f".other.{dead}.tmp", f".made.{os.getppid()}.tmp"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part").write_text("x")
    with new_folder(tmp_path / "made"):
        pass
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"made", f".other.{dead}.tmp", f".made.{os.getppid()}.tmp"}
