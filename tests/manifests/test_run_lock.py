from __future__ import annotations

import os
from pathlib import Path

import pytest

from ffpipe.manifests import run_lock
from ffpipe.manifests.errors import LockedError, StorageError
from ffpipe.manifests.run_lock import RunLock


def test_a_lock_of_a_file_names_it_and_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    place = tmp_path / ".r.csv.lock"
    with (
        RunLock(place, of=file),
        pytest.raises(LockedError, match=r"r\.csv; wait for it or stop it"),
        RunLock(place, of=file),
    ):
        pass
    assert not list(tmp_path.iterdir())
    with RunLock(place, of=file):
        assert [path.name for path in tmp_path.iterdir()] == [".r.csv.lock"]


def test_a_lock_of_a_folder_keeps_its_file(tmp_path: Path) -> None:
    with RunLock(tmp_path / "_lock"):
        pass
    assert (tmp_path / "_lock").exists()


def test_a_lock_whose_file_went_between_opening_and_locking_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise two runs would hold locks of two files that had one name."""
    place = tmp_path / "lock"
    opened: list[int] = []

    def open_and_lose(*given: object) -> int:
        descriptor = os_open(*given)
        opened.append(os.fstat(descriptor).st_ino)
        if len(opened) == 1:
            place.unlink()
        return descriptor

    os_open = os.open
    monkeypatch.setattr(run_lock.os, "open", open_and_lose)
    with RunLock(place, of=tmp_path / "r"):
        assert len(opened) == 2
        with pytest.raises(LockedError), RunLock(place, of=tmp_path / "r"):
            pass


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match="cannot write to .*none: No such file"),
        RunLock(tmp_path / "none" / "lock"),
    ):
        pass
