"""Content hashes of the inputs, cached by path, size and modification time."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import Status
from ffpipe.manifests.shards import sha256_file

_THREADS = 2  # enough to overlap reading with hashing; hashing releases the interpreter lock


@dataclass(frozen=True, slots=True)
class Hashed:
    """An input's content hash and size, or why there is none."""

    path: str
    sha256: str = ""
    bytes: int = 0
    status: Status | None = None
    reason: str | None = None


class HashCache:
    """Remembered hashes in a SQLite file; a cache, so damage to it is repaired by starting anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            path.unlink(missing_ok=True)
            self._prepare()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=30)

    def _prepare(self) -> None:
        with closing(self._connect()) as base, base:
            base.execute(
                "CREATE TABLE IF NOT EXISTS hashes"
                " (path BLOB PRIMARY KEY, bytes INT, mtime INT, inode INT, sha256 TEXT)"
            )

    def load(self) -> dict[bytes, tuple[int, int, int, str]]:
        """Everything remembered: absolute path to size, modification time in ns, inode and hash."""
        with closing(self._connect()) as base:
            rows = base.execute("SELECT path, bytes, mtime, inode, sha256 FROM hashes")
            return {path: (size, mtime, inode, digest) for path, size, mtime, inode, digest in rows}

    def store(self, rows: Iterable[tuple[bytes, int, int, int, str]]) -> None:
        """Remember hashes; a full disk costs the cache, not the job."""
        try:
            with closing(self._connect()) as base, base:
                base.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?)", rows)
        except sqlite3.OperationalError as error:
            raise StorageError(f"cannot write {self._path}: {error}") from error


def hash_inputs(
    paths: Iterable[str], cache: HashCache, rehash: bool = False, done: Callable[[], None] | None = None
) -> Iterator[Hashed]:
    """The hash of each path, in order; what cannot be hashed has a status and a reason instead.

    Nothing but regular files is opened: a FIFO or a device would block or never end.
    """
    known = {} if rehash else cache.load()
    fresh: list[tuple[bytes, int, int, int, str]] = []

    def one(path: str) -> Hashed:
        try:
            facts = os.stat(path)  # noqa: PTH116 - a name of undecodable bytes, as given
            if not stat.S_ISREG(facts.st_mode):
                return Hashed(
                    path, status=Status.SKIPPED, reason=f"not a regular file ({_kind(facts.st_mode)})"
                )
            key = os.fsencode(os.path.abspath(path))  # noqa: PTH100
            identity = (facts.st_size, facts.st_mtime_ns, facts.st_ino)
            if key in known and known[key][:3] == identity:
                return Hashed(path, known[key][3], facts.st_size)
            digest = sha256_file(path)
            fresh.append((key, *identity, digest))
            return Hashed(path, digest, facts.st_size)
        except FileNotFoundError:
            return Hashed(path, status=Status.MISSING, reason="no such file")
        except (OSError, ValueError) as error:
            return Hashed(
                path, status=Status.UNREADABLE, reason=getattr(error, "strerror", None) or str(error)
            )

    with ThreadPoolExecutor(_THREADS) as pool:
        for hashed in pool.map(one, paths):
            if done:
                done()
            yield hashed
    if fresh:
        cache.store(fresh)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
