"""What is no plain file, cannot be read or goes away: a row with the reason, never a wait, never the end of a job."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from media import make_face_clip, make_noise_clip
from small_weights import make_tiny_weights

from ffpipe.pipeline import cli
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.score import score
from ffpipe.pipeline.workspace import Workspace


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, a clip with a face and one without."""
    home = tmp_path_factory.mktemp("special")
    make_tiny_weights(home / "model")
    make_face_clip(home / "face.mp4", seconds=0.4)
    make_noise_clip(home / "noise.mp4", frames=3)
    return home


def scored(
    home: Path, workspace: Path, capsys: pytest.CaptureFixture[str], *paths: Path
) -> dict[str, dict[str, Any]]:
    """Report rows by the path below the first path given, or the whole path."""
    code = cli.run(["score", "--workspace", str(workspace), "--weights", str(home / "model"), "--engine", "local",
                    "--workers", "0", "--frames", "4", "--json", "--", *map(str, paths)])  # fmt: skip
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert code in (0, 3, 4)
    found = {str(row["path"]).removeprefix(f"{paths[0]}/"): row for row in rows}
    assert len(found) == len(rows)
    for row in rows:
        assert row["status"] == "ok" or row["reason"]
    return found


def make_special(folder: Path, home: Path) -> dict[str, tuple[str, str]]:
    """Special files in a folder, and the status and words of each one's row where the folder is given."""
    outside = folder.parent / "outside"
    outside.mkdir()
    shutil.copy(home / "noise.mp4", outside / "noise.mp4")
    (folder / "deep").mkdir(parents=True)
    shutil.copy(home / "face.mp4", folder / "face.mp4")
    (folder / "loop").symlink_to(folder)
    (folder / "deep" / "up.mp4").symlink_to(folder)
    (folder / "a.mp4").symlink_to("b.mp4")
    (folder / "b.mp4").symlink_to("a.mp4")
    (folder / "self.mp4").symlink_to("self.mp4")
    (folder / "dangling.mp4").symlink_to("nowhere.mp4")
    (folder / "outer.mp4").symlink_to(outside / "noise.mp4")
    (folder / "outer folder").symlink_to(outside)
    (folder / "empty folder.mp4").mkdir()
    (folder / "zero.mp4").symlink_to("/dev/zero")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "pipe link.mp4").symlink_to("pipe.mp4")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(folder / "socket.mp4"))
    again, loop = "already listed under another name", "Too many levels of symbolic links"
    return {
        "face.mp4": ("ok", "scored"),
        "loop": ("skipped", again),
        "deep/up.mp4": ("skipped", again),
        "a.mp4": ("skipped", loop),
        "b.mp4": ("skipped", loop),
        "self.mp4": ("skipped", loop),
        "dangling.mp4": ("skipped", "broken symbolic link"),
        "outer.mp4": ("no_face", "no face found"),
        "outer folder/noise.mp4": ("no_face", "no face found"),
        "zero.mp4": ("skipped", "character device"),
        "pipe.mp4": ("skipped", "named pipe"),
        "pipe link.mp4": ("skipped", "named pipe"),
        "socket.mp4": ("skipped", "socket"),
    }


@pytest.fixture
def special(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, dict[str, tuple[str, str]]]:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in", make_special(tmp_path / "in", home)


def test_a_folder_of_special_files_has_a_row_each(
    special: tuple[Path, dict[str, tuple[str, str]]],
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, expected = special
    rows = scored(home, tmp_path / "ws", capsys, folder)
    assert {name: row["status"] for name, row in rows.items()} == {
        n: status for n, (status, _) in expected.items()
    }
    for name, (_, words) in expected.items():
        assert words in rows[name]["reason"], name


def test_special_files_given_by_name_have_a_row_each(
    special: tuple[Path, dict[str, tuple[str, str]]],
    home: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is given by name is an input, so that a link to nowhere is missing and not passed over."""
    folder, expected = special
    wanted = {n: status for n, (status, _) in expected.items() if not (folder / n).is_dir()}
    wanted |= {"dangling.mp4": "missing", **dict.fromkeys(("a.mp4", "b.mp4", "self.mp4"), "unreadable")}
    rows = scored(
        home, tmp_path / "ws", capsys, *(folder / name for name in wanted), folder / "empty folder.mp4"
    )
    assert {name.removeprefix(f"{folder}/"): row["status"] for name, row in rows.items()} == wanted


@pytest.mark.slow
def test_extract_has_a_row_for_each_too(
    special: tuple[Path, dict[str, tuple[str, str]]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, expected = special
    code = cli.run(["extract", str(folder), "--dataset", "unlabelled", "--workspace", str(tmp_path / "ws"), "--engine",
                    "local", "--workers", "0", "--frames", "4", "--json"])  # fmt: skip
    statuses = json.loads(capsys.readouterr().out)["statuses"]
    assert code == 0, "what is skipped has not failed"
    wanted = [status for status, _ in expected.values()]
    assert statuses == {status: wanted.count(status) for status in set(wanted)}


# ---------------------------------------------------------------- no permission


#: Runs the command behind it without the two rights by which root reads what nobody may; others lack them anyway.
WITHOUT_OVERRIDE = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
os.execv(sys.executable, [sys.executable, "-m", "ffpipe", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_files_and_folders_without_permission_are_rows(home: Path, tmp_path: Path) -> None:
    folder, named = tmp_path / "in", tmp_path / "named"
    for name in ("secret.mp4", "closed/a.mp4", "names only/a.mp4", "open.mp4"):
        for place in (folder, named):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(home / "noise.mp4", place / name)
    modes = {"secret.mp4": 0, "closed": 0, "names only": 0o644}
    for name, mode in modes.items():
        (folder / name).chmod(mode)
        (named / name).chmod(mode)
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_OVERRIDE, "score", folder, named / "secret.mp4", named / "closed" / "a.mp4",
         "--json", "--workspace", tmp_path / "ws", "--weights", home / "model", "--engine", "local", "--workers", "0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    for name in ("closed", "names only"):
        (folder / name).chmod(0o755)
        (named / name).chmod(0o755)
    assert done.returncode == 3, done.stderr
    rows = {str(Path(row["path"]).relative_to(tmp_path)): (row["status"], row["reason"])
            for row in json.loads(done.stdout)["rows"]}  # fmt: skip
    assert rows == {
        "in/open.mp4": ("no_face", "no face found"),
        "in/secret.mp4": ("skipped", "no permission to read the file"),
        "in/closed": ("skipped", "the folder cannot be read: Permission denied"),
        "in/names only/a.mp4": ("skipped", "cannot be examined: Permission denied"),
        "named/secret.mp4": ("unreadable", "Permission denied"),
        "named/closed/a.mp4": ("unreadable", "Permission denied"),
    }


# ---------------------------------------------------------------- what changes between listing and decoding


@pytest.mark.parametrize(
    ("instead", "words"),
    [
        (lambda path: None, "gone since"),
        (os.mkfifo, "not a regular file"),
        (lambda path: path.mkdir(), "not a regular file"),
        (lambda path: path.symlink_to(path.name), "Too many levels"),
        (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ],
    ids=["nothing", "pipe", "folder", "loop", "device"],
)
def test_a_file_that_is_replaced_after_it_was_listed_costs_itself(
    home: Path, tmp_path: Path, instead: Callable[[Path], object], words: str
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("gone.mp4", "stays.mp4"):
        shutil.copy(home / "noise.mp4", folder / name)
    with (folder / "stays.mp4").open("ab") as file:
        file.write(b"another content")

    def advance(done: int, *_: object) -> None:
        if done == 0:
            (folder / "gone.mp4").unlink()
            instead(folder / "gone.mp4")

    config = ScoreConfig.build({"engine": "local", "workers": 0, "frames": 2, "weights": home / "model"})
    result = score([folder], config, Workspace(tmp_path / "ws"), say=[].append, advance=advance)
    rows = {Path(row["path"]).name: row for row in result.report.to_pylist()}
    assert rows["stays.mp4"]["status"] == "no_face"
    assert rows["gone.mp4"]["status"] == ("missing" if words == "gone since" else "changed")
    assert words in rows["gone.mp4"]["reason"]
    assert rows["gone.mp4"]["verdict"] == "not_assessable"
    assert result.exit_code == 3


# ---------------------------------------------------------------- one content, many names


def test_copies_hard_links_and_links_are_decoded_once_and_reported_each(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffpipe.stages.decode.sandbox import DecodeSandbox

    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(home / "face.mp4", folder / "one.mp4")
    shutil.copy(home / "face.mp4", folder / "copy.bin")
    (folder / "hard.mp4").hardlink_to(folder / "one.mp4")
    (folder / "soft.mp4").symlink_to("one.mp4")
    opened = []
    real = DecodeSandbox.open

    def counting(self: DecodeSandbox, medium: Any, *more: Any, **options: Any) -> Any:
        opened.append(medium)
        return real(self, medium, *more, **options)

    monkeypatch.setattr(DecodeSandbox, "open", counting)
    rows = scored(home, tmp_path / "ws", capsys, folder)
    assert len(opened) == 1
    assert list(rows) == ["copy.bin", "hard.mp4", "one.mp4", "soft.mp4"]
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert len({(row["score"], row["media_id"]) for row in rows.values()}) == 1
