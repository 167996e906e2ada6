from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffpipe.manifests.commits import Commit, Part, read_commit
from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.manifests.sealed import SEAL

COMMIT = Commit(
    "c",
    Part("part-c.a.parquet", 7, "0" * 64, 1),
    [{"media_id": "m", "path": "\udcffé", "status": "ok", "seconds": 0.25}],
    {"faces": Part("part-c.a.parquet", 9, "1" * 64, 2)},
)


def test_a_commit_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(COMMIT.to_json())
    assert read_commit(path) == COMMIT


def test_a_commit_from_before_the_hash_is_read_and_one_with_foreign_keys_is_not(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    stored = json.loads(COMMIT.to_json())
    del stored[SEAL]
    path.write_text(json.dumps(stored, sort_keys=True))
    assert read_commit(path) == COMMIT
    path.write_text(json.dumps({**stored, "content_shi256": "0" * 64}, sort_keys=True))
    with pytest.raises(IntegrityError, match=r"c\.json: damaged commit .*delete it and run"):
        read_commit(path)
    with pytest.raises(StorageError, match="no such|No such"):
        read_commit(tmp_path / "absent.json")
