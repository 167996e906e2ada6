"""The label files of the DeepFake Detection Challenge: `metadata.json`, `labels.csv` and `testing_metadata.json`."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.datasets.json_file import read_json
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Label

METADATA, LABELS_CSV, TESTING = "metadata.json", "labels.csv", "testing_metadata.json"
#: Label files of a set to be tested on, the first that is there.
TEST_FILES = (LABELS_CSV, TESTING, METADATA)

_LABELS = {"REAL": Label.REAL, "FAKE": Label.FAKE, "0": Label.REAL, "1": Label.FAKE}
#: How the owner names every video.
_NAME = re.compile(r"[a-z]{10}\.mp4")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a label file says of a video; `original` is the file name of the real video that a fake was made of."""

    label: Label
    original: str | None = None


def read_labels(path: Path) -> dict[str, Listed]:
    """File name -> what is known of it.

    Raises:
        UsageError: the file cannot be read, names nothing, or a label is not one of those allowed.
    """
    listed = _read_csv(path) if path.suffix.lower() == ".csv" else _read_json(path)
    if not listed:
        raise UsageError(f"{display_path(path)} lists no video")
    return listed


def is_of_dfdc(path: Path) -> bool:
    """Whether a file of so common a name is the owner's: it can be read, and names a video as the owner does."""
    try:
        return any(_NAME.fullmatch(name) for name in read_labels(path))
    except UsageError:
        return False


def _read_json(path: Path) -> dict[str, Listed]:
    content = read_object(path)
    return {
        name: Listed(
            _label(facts.get("label", facts.get("is_fake")), path, name), facts.get("original") or None
        )
        for name, facts in content.items()
    }


def read_object(path: Path) -> dict[str, dict[str, Any]]:
    """A JSON file that maps names to tables of facts.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    shown = display_path(path)
    content = read_json(path)
    if not isinstance(content, Mapping) or not all(isinstance(v, Mapping) for v in content.values()):
        raise UsageError(f'{shown} must map file names to tables, such as {{"a.mp4": {{"label": "FAKE"}}}}')
    return {str(name): dict(facts) for name, facts in content.items()}


def _read_csv(path: Path) -> dict[str, Listed]:
    shown = display_path(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file, restval="")
            if not {"filename", "label"} <= set(reader.fieldnames or ()):
                raise UsageError(f"{shown} needs the columns filename and label, and has {reader.fieldnames}")
            return {row["filename"]: Listed(_label(row["label"], path, row["filename"])) for row in reader}
    except (OSError, csv.Error) as error:
        raise UsageError(f"{shown} cannot be read as CSV: {error}") from error


def _label(value: Any, path: Path, name: str) -> Label:
    text = str(int(value) if isinstance(value, bool | float) else value).strip().upper()
    if text not in _LABELS:
        raise UsageError(
            f"{display_path(path)}: the label of {display_path(name)} is {display_path(repr(value))}; allowed are "
            "REAL and FAKE, or 0 and 1"
        )
    return _LABELS[text]
