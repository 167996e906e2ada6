"""JSON files of ours that carry a hash of their content, so that damage is told instead of read as other facts.

The hash tells a damaged disk or a careless edit; whoever means to change the facts can make it anew. A file without
one is of an earlier version and is read as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import IntegrityError, StorageError

#: Where the hash stands in the file.
SEAL = "content_sha256"
#: Share of its letters that a damaged name has kept; `sha256` alone, which is another's name, has 0.6.
_NEARLY = 0.7


def sealed(facts: Mapping[str, Any], indent: int | None = None) -> bytes:
    """The facts, which JSON must know, as the content of a file."""
    plain = json.loads(json.dumps(facts))
    return json.dumps({**plain, SEAL: _digest(plain)}, indent=indent).encode()


def read_sealed(path: Path) -> dict[str, Any]:
    """The facts in a file.

    Raises:
        IntegrityError: it is no JSON object, or not what was written.
        StorageError: it cannot be read.
    """
    try:
        facts = json.loads(path.read_bytes())
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{path}: damaged: no JSON ({error})") from error
    if not isinstance(facts, dict):
        raise IntegrityError(f"{path}: damaged: no JSON object")
    seal = facts.pop(SEAL, None)
    if _damaged_name(facts) if seal is None else seal != _digest(facts):
        raise IntegrityError(f"{path}: damaged: its content does not match the hash in it")
    return facts


def _damaged_name(facts: Mapping[str, Any]) -> bool:
    """Whether the hash is there after all, under a name that is nearly its own."""
    return any(SequenceMatcher(None, name, SEAL).ratio() > _NEARLY for name in facts)


def _digest(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
