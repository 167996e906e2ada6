"""Hashes of content: of a file, and of a sequence of pictures."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable
from io import FileIO
from pathlib import Path

#: Bytes of a file that is read whole: a table of millions of rows as text, and no file made to fill the memory.
MAX_READ = 4 << 30


def sha256_file(path: Path | str) -> str:
    """SHA-256 of a regular file's content, hex. Raises OSError, also where the file has become anything else."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_file(path: Path | str, limit: int = MAX_READ) -> bytes:
    """A regular file's content of at most `limit` bytes.

    Raises OSError, also for a larger file, and for anything that is no regular file, which is not waited for.
    """
    with open_regular(path) as file:
        if os.fstat(file.fileno()).st_size > limit:
            raise OSError(errno.EFBIG, f"has more than {limit} bytes", os.fspath(path))
        return file.readall()


def open_regular(path: Path | str) -> FileIO:
    """A regular file, open for reading; raises OSError for anything else.

    A pipe would keep its reader waiting, and a device might never end: neither is opened, or not for long.
    """
    _check_regular(os.stat(path), path)  # noqa: PTH116 - also takes undecodable names as str
    file = FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    try:
        _check_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def _check_regular(facts: os.stat_result, path: Path | str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


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
