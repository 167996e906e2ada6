"""Commits of shards: what a finished chunk is, as a small JSON file that notices its own damage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.sealed import read_sealed, sealed

_KEYS = frozenset({"file", "bytes", "sha256", "rows", "inputs", "companions"})


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file as its commit records it."""

    file: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A finished chunk: the lead table's part, those of the companions, and what became of each input."""

    chunk: str
    part: Part
    inputs: list[dict[str, Any]] = field(default_factory=list)
    companions: dict[str, Part] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The commit as stored: `file`, `bytes`, `sha256`, `rows`, `inputs`, `companions`, and its own hash."""
        others = {table: _fields(part) for table, part in self.companions.items()}
        return sealed({**_fields(self.part), "inputs": self.inputs, "companions": others})


def _fields(part: Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in Part.__slots__}


def _as_part(stored: Mapping[str, Any]) -> Part:
    """Raises KeyError or ValueError where a commit does not tell of a part in its own folder."""
    part = Part(**{name: stored[name] for name in Part.__slots__})
    kinds = (str, int, str, int)
    if not all(type(stored[name]) is kind for name, kind in zip(Part.__slots__, kinds, strict=True)):
        raise ValueError("a field of another type")
    if "/" in part.file or part.rows < 0:
        raise ValueError("a part in another folder, or of a negative number of rows")
    return part


def read_commit(path: Path) -> Commit:
    """The commit in a file. Raises IntegrityError naming a damaged one, StorageError where it cannot be read."""
    try:
        stored = read_sealed(path)
        if stored.keys() != _KEYS:
            raise ValueError("other keys than a commit's")
        others = {table: _as_part(part) for table, part in stored["companions"].items()}
        return Commit(path.stem, _as_part(stored), stored["inputs"], others)
    except (ValueError, KeyError, TypeError, AttributeError, IntegrityError) as error:
        raise IntegrityError(
            f"{path}: damaged commit ({type(error).__name__}); delete it and run the command that made it again: "
            "what it holds is then done anew"
        ) from error
