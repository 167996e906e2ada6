from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest
from picture_sets import write_files

from ffpipe.manifests.pictures import folder_pictures, hash_of
from ffpipe.manifests.records import Pictures, Status
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


def test_what_is_larger_than_the_limit_is_not_read(tmp_path: Path, cache: HashCache) -> None:
    """A sparse file claims what no disk holds; one that was hashed before keeps its hash, and so its place."""
    sparse, small = tmp_path / "sparse", tmp_path / "small"
    sparse.write_bytes(b"x")
    os.truncate(sparse, 1 << 40)
    small.write_bytes(b"12345")
    found = hash_inputs([str(sparse), str(small)], cache, max_bytes=4)
    reasons = [f"{size} bytes, not read; the limit is 4" for size in (1 << 40, 5)]
    assert [(one.status, one.reason) for one in found] == [(Status.TOO_LARGE, reason) for reason in reasons]
    (at_the_limit,) = hash_inputs([str(small)], cache, max_bytes=5)
    assert at_the_limit.sha256 == hashlib.sha256(b"12345").hexdigest()
    assert list(hash_inputs([str(small)], cache, max_bytes=4)) == [at_the_limit]


def test_order_is_kept_and_odd_names_pass(tmp_path: Path, cache: HashCache) -> None:
    names = ["b", "a", os.fsdecode(b"\xff\xfe"), "new\nline", "-x"]
    for name in names:
        (tmp_path / name).write_text(name.encode("utf-8", "replace").decode())
    found = list(hash_inputs([str(tmp_path / name) for name in names], cache))
    assert [Path(h.path).name for h in found] == names
    assert all(h.sha256 for h in found)


def test_a_sequence_is_hashed_by_its_pictures_and_remembered(tmp_path: Path, cache: HashCache) -> None:
    write_files(tmp_path, {"s/0.png": b"first", "s/1.png": b"second"})
    pictures = folder_pictures(str(tmp_path / "s"), ["1.png", "0.png"])

    def hashed(rehash: bool = False, given: Pictures = pictures) -> Hashed:
        (found,) = hash_inputs(["the sequence"], cache, rehash, pictures={"the sequence": given})
        return found

    assert hashed() == Hashed("the sequence", hash_of(pictures), 11)
    facts = (tmp_path / "s/1.png").stat()
    (tmp_path / "s/1.png").write_bytes(b"sECOND")
    os.utime(tmp_path / "s/1.png", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert hashed(rehash=True).sha256 != hashed(given=replace(pictures, names=("1.png", "0.png"))).sha256
    assert hashed().sha256 == hash_of(pictures)
    (tmp_path / "s/0.png").unlink()
    assert (hashed().status, hashed().reason) == (
        Status.MISSING,
        f"no such file: {tmp_path / 's/0.png'}",
    )
    os.mkfifo(tmp_path / "s/0.png")
    assert (hashed().status, hashed().reason) == (Status.UNREADABLE, "0.png: not a regular file (FIFO)")


def test_what_is_left_of_a_sequence_was_told_when_it_was_listed(cache: HashCache) -> None:
    listed = Pictures("x.tar", ("a", "b"), packed=True, bytes=7, sha256="1" * 64)
    lost = {
        "gone": Pictures("s", (), fault="all gone"),
        "cut": Pictures("x.tar", (), packed=True, fault="cut"),
    }
    found = list(hash_inputs(["x", "gone", "cut"], cache, pictures={"x": listed, **lost}))
    assert found == [
        Hashed("x", "1" * 64, 7),
        Hashed("gone", status=Status.MISSING, reason="all gone"),
        Hashed("cut", status=Status.UNREADABLE, reason="cut"),
    ]


def test_a_damaged_cache_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "hashes.sqlite"
    path.write_bytes(b"no database at all" * 100)
    (tmp_path / "a").write_bytes(b"x")
    assert one(tmp_path / "a", HashCache(path)).sha256
