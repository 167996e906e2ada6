"""Hashes are what is documented, so that another tool can compute them."""

from __future__ import annotations

import hashlib
import os

import pytest

from ffpipe.manifests.content import MAX_READ, read_file, sequence_hash, sha256_file


def test_a_file_s_hash_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"content" * 300_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"content" * 300_000).hexdigest()


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "endless").symlink_to("/dev/zero")
    for name in ("pipe", "endless", "."):
        with pytest.raises(OSError, match="not a regular file"):
            sha256_file(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        sha256_file(tmp_path / "absent")


def test_a_file_made_to_fill_the_memory_is_not_read(tmp_path):
    (tmp_path / "x").write_bytes(b"content")
    assert read_file(tmp_path / "x") == b"content"
    os.truncate(tmp_path / "x", MAX_READ + 1)
    with pytest.raises(OSError, match=f"more than {MAX_READ} bytes"):
        read_file(tmp_path / "x")


def test_the_sequence_hash_is_what_is_documented():
    data = [b"first", b"second"]
    lines = "ffpipe pictures 1\n" + "".join(hashlib.sha256(d).hexdigest() + "\n" for d in data)
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert sequence_hash(hashlib.sha256(d).hexdigest() for d in data) == expected
