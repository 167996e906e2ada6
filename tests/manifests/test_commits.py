from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffpipe.manifests.commits import Commit, Part, checked_json, read_checked, read_commit
from ffpipe.manifests.errors import IntegrityError, StorageError

COMMIT = Commit(
    "c",
    Part("part-c.a.parquet", 7, "0" * 64, 1),
    [{"media_id": "m", "path": "\udcffé", "status": "ok", "seconds": 0.25}],
    {"faces": Part("part-c.a.parquet", 9, "1" * 64, 2)},
)


def test_a_commit_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(COMMIT.to_json())
    assert read_commit(path) == COMMIT


def test_a_commit_from_before_the_check_is_read_and_one_with_foreign_keys_is_not(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    stored = json.loads(COMMIT.to_json())
    del stored["check"]
    path.write_text(json.dumps(stored, sort_keys=True))
    assert read_commit(path) == COMMIT
    path.write_text(json.dumps({**stored, "chesk": "0" * 64}, sort_keys=True))
    with pytest.raises(IntegrityError, match=r"c\.json: damaged commit .*delete it and run"):
        read_commit(path)
    with pytest.raises(StorageError, match="no such|No such"):
        read_commit(tmp_path / "absent.json")


def test_checked_json_takes_what_json_changes() -> None:
    given = {"tuple": (1, 2), "numbers": {10: "a", 9: "b"}, "none": None, "float": 1e22}
    text = checked_json(given, indent=1)
    assert read_checked(text.encode(), indent=1) == json.loads(json.dumps(given))
    assert checked_json(read_checked(text.encode(), indent=1), indent=1) == text
