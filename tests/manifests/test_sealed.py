"""Facts are read as they were written, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.manifests.sealed import SEAL, read_sealed, sealed

FACTS = {"rows": 8, "ratio": 0.1, "name": "ü\udc80", "none": None, "list": [1, {"b": 2, "a": 1}]}


def test_facts_come_back_and_a_changed_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_bytes(sealed(FACTS, indent=1))
    assert read_sealed(path) == FACTS
    whole = path.read_bytes()
    for before, after in ((b'"rows": 8', b'"rows": 0'), (SEAL.encode(), b"content_shi256")):
        path.write_bytes(whole.replace(before, after))
        with pytest.raises(IntegrityError, match=r"facts\.json: damaged: its content does not match"):
            read_sealed(path)


def test_a_file_without_a_hash_is_of_an_earlier_version(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text(json.dumps(FACTS))
    assert read_sealed(tmp_path / "facts.json") == FACTS
    assert SEAL not in FACTS


@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff", b"{" * 100_000, b'[{"a":' * 50_000])
def test_what_is_no_object_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "facts.json").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"facts\.json: damaged"):
        read_sealed(tmp_path / "facts.json")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"none\.json: cannot be read: No such file"):
        read_sealed(tmp_path / "none.json")
