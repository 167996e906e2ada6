"""Which files count as arrived: not while they grow or are open, at once when renamed into place, each only once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from names import NAMES

from ffpipe.manifests.inputs import collect
from ffpipe.pipeline.arrivals import Arrivals, Look, is_partial, open_for_writing

SETTLE = 10.0


class Folder:
    """A folder, looked at by a clock of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.arrivals = Arrivals(SETTLE)
        self.now = 1000.0

    def look(self, later: float = 0.0) -> Look:
        self.now += later
        return self.arrivals.look(collect([self.root]), self.now)

    def whole(self, later: float = 0.0) -> list[str]:
        return [os.path.relpath(path, self.root) for path in self.look(later).whole]

    def write(self, name: str, content: bytes = b"x") -> Path:
        path = self.root / name
        path.write_bytes(content)
        return path


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    (tmp_path / "in").mkdir()
    return Folder(tmp_path / "in")


def test_a_file_that_grows_is_waited_for_and_given_once(folder: Folder) -> None:
    path = folder.write("a.mp4")
    for _ in range(3):
        assert folder.look(SETTLE - 1) == Look([], [], 1)
        with path.open("ab") as file:
            file.write(b"more")
    assert folder.look(1) == Look([], [], 1)
    assert folder.whole(SETTLE) == ["a.mp4"]
    assert folder.look(SETTLE) == Look([], [], 0)


def test_a_time_that_changes_without_the_size_is_a_change(folder: Folder) -> None:
    path = folder.write("a.mp4")
    folder.look()
    os.utime(path, (2e9, 2e9))
    assert folder.look(SETTLE).waiting == 1
    assert folder.whole(SETTLE) == ["a.mp4"]


@pytest.mark.parametrize(
    "name", ["a.mp4.part", "a.mp4.crdownload", "A.MP4.PART", "a.mp4~", ".a.mp4.Xy12", "a.tmp"]
)
def test_a_partial_name_waits_and_taken_at_once_when_renamed(folder: Folder, name: str) -> None:
    path = folder.write(name)
    waiting = 0 if name.startswith(".") else 1
    assert folder.look(100 * SETTLE) == Look([], [], waiting)
    assert folder.look(100 * SETTLE) == Look([], [], waiting)
    path.rename(folder.root / "a.mp4")
    assert folder.whole() == ["a.mp4"]


def test_a_link_to_what_is_still_partial_settles_like_any_other(folder: Folder) -> None:
    os.link(folder.write("a.mp4.part"), folder.root / "a.mp4")
    folder.look()
    assert folder.look().waiting == 2


def test_a_file_that_was_finished_long_before_it_was_moved_here_is_taken_at_once(folder: Folder) -> None:
    path = folder.write("../a.mp4")
    os.utime(path, (1e9, 1e9))
    path.rename(folder.root / "a.mp4")
    assert folder.whole() == ["a.mp4"]


@pytest.mark.parametrize("mode", ["ab", "r+b", "rb"])
def test_what_is_open_for_writing_waits_however_long(folder: Folder, mode: str) -> None:
    path = folder.write("a.mp4")
    with path.open(mode):
        folder.look()
        writes = mode != "rb"
        assert folder.whole(100 * SETTLE) == [] if writes else ["a.mp4"]
        assert open_for_writing({str(path): path.stat()}) == ({str(path)} if writes else set())
    assert folder.whole(1) == (["a.mp4"] if writes else [])


def test_a_writer_is_found_by_another_name_of_the_same_folder(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to("in")
    path = folder.write("a.mp4")
    with (tmp_path / "other" / "a.mp4").open("ab"):
        assert open_for_writing({str(path): path.stat()}) == {str(path)}


def test_what_changes_is_given_again_and_what_comes_back_too(folder: Folder) -> None:
    path = folder.write("a.mp4")
    folder.look()
    assert folder.whole(SETTLE) == ["a.mp4"]
    folder.write("a.mp4", b"another")
    assert folder.look().waiting == 1
    assert folder.whole(SETTLE) == ["a.mp4"]
    path.unlink()
    assert folder.look() == Look([], [], 0)
    folder.write("a.mp4", b"another")
    folder.look()
    assert folder.whole(SETTLE) == ["a.mp4"]


def test_what_is_taken_back_settles_anew(folder: Folder) -> None:
    path = folder.write("a.mp4")
    folder.look()
    assert folder.whole(SETTLE) == ["a.mp4"]
    folder.arrivals.take_back(str(path))
    assert folder.look().waiting == 1
    assert folder.whole(SETTLE) == ["a.mp4"]


def test_what_can_only_be_skipped_is_given_once_with_its_reason(folder: Folder) -> None:
    os.mkfifo(folder.root / "pipe.mp4")
    (folder.root / "broken.mp4").symlink_to("nowhere")
    assert folder.look().waiting == 2
    reasons = {Path(each.path).name: each.reason for each in folder.look(SETTLE).skipped}
    assert reasons["pipe.mp4"] == "not a regular file: named pipe"
    assert reasons["broken.mp4"].startswith("broken symbolic link")
    assert folder.look(SETTLE) == Look([], [], 0)
    folder.write("nowhere")
    folder.look()
    assert sorted(folder.whole(SETTLE)) == ["broken.mp4", "nowhere"]


def test_any_name_arrives(folder: Folder) -> None:
    names = {name for name in NAMES if b"/" not in name}
    for name in names:
        (folder.root / os.fsdecode(name)).touch()
    folder.look()
    found = {os.fsencode(Path(path).name) for path in folder.look(SETTLE).whole}
    assert found == names


def test_ordinary_names_are_not_partial() -> None:
    assert not any(
        is_partial(name) for name in ("a.mp4", "part", "a.partner.mp4", "tmp/a.mp4", "a.mp4.parts")
    )
