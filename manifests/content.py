"""Hashes of content: of a file, and of a sequence of pictures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_HASH_BLOCK = 1 << 20  # bytes read at a time while hashing


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a file's content, hex. Raises OSError."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - also takes undecodable names as str
        while block := file.read(_HASH_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def file_facts(status: os.stat_result) -> tuple[int, ...]:
    """What tells a file from another and from itself at another time: device, inode, bytes, mtime and ctime in ns.

    The last cannot be set back: content that was exchanged and put back leaves it changed.
    """
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def sequence_hash(hashes: Iterable[str]) -> str:
    """The content hash of a sequence from the SHA-256 of each picture's bytes, hex, in their order.

    It is the SHA-256 of the line `ffpipe pictures 1` and then, for each picture, of a line with its hash in 64
    lower-case hexadecimal digits; each line ends with a line feed. Names are not in it: a sequence has the same
    identity packed and extracted.
    """
    digest = hashlib.sha256(b"ffpipe pictures 1\n")
    for each in hashes:
        digest.update(each.encode() + b"\n")
    return digest.hexdigest()
