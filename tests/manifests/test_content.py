"""Hashes are what is documented, so that another tool can compute them."""

from __future__ import annotations

import hashlib

from ffpipe.manifests.content import sequence_hash, sha256_file


def test_a_file_s_hash_is_that_of_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"content" * 300_000)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(b"content" * 300_000).hexdigest()


def test_the_sequence_hash_is_what_is_documented():
    data = [b"first", b"second"]
    lines = "ffpipe pictures 1\n" + "".join(hashlib.sha256(d).hexdigest() + "\n" for d in data)
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert sequence_hash(hashlib.sha256(d).hexdigest() for d in data) == expected
