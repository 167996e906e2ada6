"""Celeb-DF's own list of test videos: found, checked and read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.datasets.layout import plain_name
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Label

LIST_NAME = "List_of_testing_videos.txt"
#: The owner's numbers are the opposite of ours.
LABELS = {"1": Label.REAL, "0": Label.FAKE}
_LINE = re.compile(r"(?P<label>[01])\s+(?P<folder>[^/]+)/(?:[^/]+/)*(?P<file>[^/]+?)")

#: The folder as `plain_name` writes it, and the file's name in lower case, without its suffix.
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class TestList:
    """The owner's test videos: key -> label, as the list says it, and key -> the name as it is written there."""

    file: Path
    labels: dict[Key, Label]
    names: dict[Key, str]


def key_of(folder: str, file: str) -> Key:
    """How a video is looked up, whichever way its folder is spelt."""
    return plain_name(folder), Path(file).stem.lower()


def find_list(splits_dir: Path | None, roots: Sequence[Path]) -> TestList | None:
    """The list from `splits_dir`, else from the first root that has it; None where none has.

    Raises:
        UsageError: `splits_dir` has no list, or the list found is not one.
    """
    for folder in [splits_dir] if splits_dir is not None else roots:
        if found := _list_in(folder):
            return read_list(found)
    if splits_dir is not None:
        raise UsageError(f"--splits {display_path(splits_dir)} must be a folder that holds {LIST_NAME}")
    return None


def _list_in(folder: Path) -> Path | None:
    if not folder.is_dir():
        return None
    found = [p for p in sorted(folder.iterdir()) if p.name.lower() == LIST_NAME.lower() and p.is_file()]
    return found[0] if found else None


def read_list(path: Path) -> TestList:
    """Read every line, the first one too: there is no header.

    Raises:
        UsageError: the file cannot be read, lists nothing, or a line is not `<0|1> <folder>/<file>`.
    """
    shown = display_path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(f"{shown} cannot be read: {error.strerror}") from error
    labels: dict[Key, Label] = {}
    names: dict[Key, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().replace("\\", "/")
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise UsageError(
                f"{shown}, line {number}: {display_path(line)!r} is not '<label> <folder>/<file>', "
                "where label is 1 for real or 0 for fake"
            )
        key = key_of(match["folder"], match["file"])
        labels[key], names[key] = LABELS[match["label"]], f"{match['folder']}/{match['file']}"
    if not labels:
        raise UsageError(f"{shown} lists no video")
    return TestList(path, labels, names)
