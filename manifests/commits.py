"""Commits of shards: what a finished chunk is, as a small JSON file that notices its own damage."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import IntegrityError, StorageError

#: The key of the hash over all the others.
_CHECK = "check"
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

    def to_json(self) -> str:
        """The commit as stored: `file`, `bytes`, `sha256`, `rows`, `inputs`, `companions`, and `check`, their hash."""
        others = {table: _fields(part) for table, part in self.companions.items()}
        return checked_json({**_fields(self.part), "inputs": self.inputs, "companions": others})


def _fields(part: Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in Part.__slots__}


def checked_json(content: dict[str, Any], indent: int | None = None) -> str:
    """JSON with sorted keys, among them `check`: the SHA-256 of the others as JSON of one line, hex."""
    # As it is read again: with lists for tuples, and text for all keys, by which they are sorted.
    plain = json.loads(json.dumps({name: value for name, value in content.items() if name != _CHECK}))
    return json.dumps({**plain, _CHECK: _hash_of(plain)}, indent=indent, sort_keys=True)


def read_checked(content: bytes, indent: int | None = None) -> dict[str, Any]:
    """What `checked_json` wrote, without `check`; older files have none and are taken as they are.

    Raises ValueError where a single bit differs from what was written.
    """
    stored = json.loads(content)
    if not isinstance(stored, dict):
        raise ValueError("no object")
    plain = {name: value for name, value in stored.items() if name != _CHECK}
    if _CHECK in stored and content != checked_json(plain, indent).encode():
        raise ValueError("its content differs from its own hash")
    return plain


def _hash_of(plain: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def read_commit(path: Path) -> Commit:
    """The commit in a file. Raises IntegrityError naming a damaged one, StorageError where it cannot be read."""
    try:
        stored = read_checked(path.read_bytes())
        if stored.keys() != _KEYS:
            raise ValueError("other keys than a commit's")
        part = Part(**{name: stored[name] for name in Part.__slots__})
        others = {t: Part(**{n: p[n] for n in Part.__slots__}) for t, p in stored["companions"].items()}
        return Commit(path.stem, part, stored["inputs"], others)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(
            f"{path}: damaged commit ({type(error).__name__}: {error}); delete it and run the command that made it "
            "again: what it holds is then done anew"
        ) from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
