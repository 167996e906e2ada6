from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ffpipe.manifests.durable import clear_temporaries, write_atomic, write_together
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
