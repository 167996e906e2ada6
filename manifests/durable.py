"""Files written so that a crash, a kill or a full disk leaves the old content or the new, never a mixture."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from ffpipe.manifests.errors import StorageError

#: What a file is called until it is whole: `.<name>.<process>.tmp`.
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)\.tmp", re.DOTALL)


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new, never a mixture.

    Raises StorageError naming the file; the old file is then intact.
    """
    write_together({path: content})


def write_together(files: Mapping[Path, bytes]) -> None:
    """Replace several files, in their order, each as `write_atomic` does; none before all of them are on the disk.

    Raises StorageError naming the file that could not be written; where the disk was full, every old file is intact.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            staged[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with writing(path):
                write_synced(staged[path], content)
        for path, temporary in staged.items():
            with writing(path):
                temporary.replace(path)
                sync_folder(path.parent)
    finally:
        for temporary in staged.values():
            # A file system that turned read-only does not even say that there is nothing to delete.
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def clear_temporaries(folder: Path, names: Collection[str] | None = None) -> int:
    """Delete what `write_atomic` left in a folder when its process was killed; only of files of these names, if any.

    Returns how many there were. What a living process of this machine writes stays.
    """
    hidden = folder.glob(".*.tmp")
    found = [(path, match) for path in hidden if (match := _TEMPORARY.fullmatch(path.name))]
    left = [
        path
        for path, match in found
        if (names is None or match["name"] in names) and not Path("/proc", match["process"]).exists()
    ]
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to be filled, which takes the name `path` at the end, whole, or is removed where that is not reached.

    `path` is not there yet, or an empty folder. What a killed process left of the same name is removed first. Raises
    StorageError where the folder cannot be made, or meanwhile something else took its name.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(left.name)
        if match and match["name"] == path.name and not Path("/proc", match["process"]).exists():
            shutil.rmtree(left, ignore_errors=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            staged.mkdir()
        yield staged
        with writing(path):
            sync_folder(staged)
            staged.replace(path)
            sync_folder(path.parent)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Around whatever writes a file: raises StorageError naming it where the system refuses."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on the disk. Raises OSError."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until a folder's names are on the disk. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
