from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from ffpipe.manifests.records import Status
from ffpipe.pipeline.hashing import HashCache, Hashed, hash_inputs


@pytest.fixture
def cache(tmp_path: Path) -> HashCache:
    return HashCache(tmp_path / "w" / "hashes.sqlite")


def one(path: Path, cache: HashCache, rehash: bool = False) -> Hashed:
    (found,) = hash_inputs([str(path)], cache, rehash)
    return found


def test_hashes_follow_the_content_and_are_remembered(tmp_path: Path, cache: HashCache) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    assert one(path, cache).sha256 == hashlib.sha256(b"one").hexdigest()
    facts = path.stat()
    # Same size, time and inode: only --rehash sees this change.
    path.write_bytes(b"two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert one(path, cache).sha256 == hashlib.sha256(b"one").hexdigest()
    assert one(path, cache, rehash=True).sha256 == hashlib.sha256(b"two").hexdigest()
    path.write_bytes(b"three")
    assert one(path, cache).sha256 == hashlib.sha256(b"three").hexdigest()


def test_what_cannot_be_hashed_says_why(tmp_path: Path, cache: HashCache) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert one(tmp_path / "absent", cache).status is Status.MISSING
    assert one(tmp_path / "pipe", cache) == Hashed(
        str(tmp_path / "pipe"), status=Status.SKIPPED, reason="not a regular file (FIFO)"
    )
    assert one(tmp_path / "loop", cache).status is Status.UNREADABLE


def test_order_is_kept_and_odd_names_pass(tmp_path: Path, cache: HashCache) -> None:
    names = ["b", "a", os.fsdecode(b"\xff\xfe"), "new\nline", "-x"]
    for name in names:
        (tmp_path / name).write_text(name.encode("utf-8", "replace").decode())
    found = list(hash_inputs([str(tmp_path / name) for name in names], cache))
    assert [Path(h.path).name for h in found] == names
    assert all(h.sha256 for h in found)


def test_a_damaged_cache_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "hashes.sqlite"
    path.write_bytes(b"no database at all" * 100)
    (tmp_path / "a").write_bytes(b"x")
    assert one(tmp_path / "a", HashCache(path)).sha256
