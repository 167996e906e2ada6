"""Content hashes of the inputs, cached by path, size and modification time."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.durable import writing
from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.pictures import hash_of
from ffpipe.manifests.records import Entry, Pictures, Status

_THREADS = 2  # enough to overlap reading with hashing; hashing releases the interpreter lock
#: Seconds that a run waits for another one of this workspace to finish its write.
_PATIENCE = 30.0

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Hashed:
    """An input's content hash and size, or why there is none."""

    path: str
    sha256: str = ""
    bytes: int = 0
    status: Status | None = None
    reason: str | None = None


class HashCache:
    """Remembered hashes in a SQLite file; a cache, so damage to it is repaired by starting anew.

    SQLite does not see a changed byte in a row: each row carries a hash of itself, and one that does not fit is
    forgotten, so that no input is ever taken for another.
    """

    def __init__(self, path: Path) -> None:
        """Raises StorageError where the file cannot be made: a full disk, a folder that is read-only."""
        self._path = path
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._mending(self._prepare)

    def _mending(self, action: Callable[[sqlite3.Connection], _Found]) -> _Found:
        """What an action on the base gives; a damaged one is deleted first. Raises StorageError."""
        try:
            return self._tried(action)
        except sqlite3.DatabaseError:
            with writing(self._path):
                self._path.unlink(missing_ok=True)
        self._tried(self._prepare)
        return self._tried(action)

    def _tried(self, action: Callable[[sqlite3.Connection], _Found]) -> _Found:
        """Raises StorageError for what the system refuses: it says nothing against a file that other runs rely on."""
        try:
            with closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as base, base:
                base.text_factory = _text
                return action(base)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF == sqlite3.SQLITE_ERROR:
                raise sqlite3.DatabaseError(str(error)) from error
            raise StorageError(f"cannot use {self._path}: {error}") from error
        except UnicodeDecodeError as error:  # a name in a damaged schema
            raise sqlite3.DatabaseError(str(error)) from error

    @staticmethod
    def _prepare(base: sqlite3.Connection) -> None:
        base.execute(
            "CREATE TABLE IF NOT EXISTS sealed_hashes"
            " (path BLOB PRIMARY KEY, bytes INT, mtime INT, inode INT, sha256 TEXT, seal TEXT)"
        )

    def load(self) -> dict[bytes, tuple[int, int, int, str]]:
        """Everything remembered: absolute path to size, modification time in ns, inode and hash."""

        def read(base: sqlite3.Connection) -> dict[bytes, tuple[int, int, int, str]]:
            rows = base.execute("SELECT path, bytes, mtime, inode, sha256, seal FROM sealed_hashes")
            return {row[0]: row[1:5] for row in rows if row[5] == _seal(*row[:5])}

        return self._mending(read)

    def store(self, rows: Iterable[tuple[bytes, int, int, int, str]]) -> None:
        """Remember hashes. Raises StorageError where the file cannot be written; the hashes themselves are valid."""
        kept = [(*row, _seal(*row)) for row in rows]
        self._mending(
            lambda base: base.executemany(
                "INSERT OR REPLACE INTO sealed_hashes VALUES (?, ?, ?, ?, ?, ?)", kept
            )
        )


def _text(value: bytes) -> str:
    """Text of the base, whatever became of its bytes; a row with other text than was written is not used."""
    return value.decode(errors="replace")


def _seal(*row: Any) -> str:
    return sha256(repr(row).encode()).hexdigest()[:16]


def hash_inputs(
    paths: Iterable[str],
    cache: HashCache,
    rehash: bool = False,
    done: Callable[[], None] | None = None,
    pictures: Mapping[str, Pictures] | None = None,
    max_bytes: int | None = None,
) -> Iterator[Hashed]:
    """The hash of each path, in order; what cannot be hashed has a status and a reason instead.

    A path that names a sequence of `pictures` gets the hash of their content. Nothing but regular files is opened: a
    FIFO or a device would block or never end. What is new and larger than max_bytes is not read: a file can claim more
    than any disk holds.
    """
    sequences = pictures or {}
    known = {} if rehash else cache.load()
    fresh: list[tuple[bytes, int, int, int, str]] = []

    def one(path: str) -> Hashed:
        try:
            listed = sequences.get(path)
            if listed and (listed.packed or not listed.names):
                return _as_listed(path, listed)
            facts = _folder_facts(listed) if listed else _file_facts(path)
            if isinstance(facts, Hashed):
                return facts
            key = os.fsencode(os.path.abspath(path))  # noqa: PTH100
            if key in known and known[key][:3] == facts:
                return Hashed(path, known[key][3], facts[0])
            if max_bytes is not None and facts[0] > max_bytes:
                reason = f"{facts[0]} bytes, not read; the limit is {max_bytes}"
                return Hashed(path, status=Status.TOO_LARGE, reason=reason)
            digest = hash_of(listed) if listed else sha256_file(path)
            fresh.append((key, *facts, digest))
            return Hashed(path, digest, facts[0])
        except FileNotFoundError as error:
            lost = f": {display_path(os.fsdecode(error.filename))}" if path in sequences else ""
            return Hashed(path, status=Status.MISSING, reason=f"no such file{lost}")
        except (OSError, ValueError) as error:
            return Hashed(
                path, status=Status.UNREADABLE, reason=getattr(error, "strerror", None) or str(error)
            )

    pool = ThreadPoolExecutor(_THREADS)
    try:
        for hashed in pool.map(one, paths):
            if done:
                done()
            yield hashed
    finally:
        # After an interrupt nobody waits until the largest file is hashed; what is hashed is not hashed again.
        pool.shutdown(wait=False, cancel_futures=True)
        if fresh:
            cache.store(fresh)


def _file_facts(path: str) -> tuple[int, int, int] | Hashed:
    """Size, modification time in ns and inode of a regular file; anything else is skipped."""
    facts = os.stat(path)  # noqa: PTH116 - a name of undecodable bytes, as given
    if not stat.S_ISREG(facts.st_mode):
        return Hashed(path, status=Status.SKIPPED, reason=f"not a regular file ({_kind(facts.st_mode)})")
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


def _folder_facts(pictures: Pictures) -> tuple[int, int, int]:
    """The same of a sequence of files: sizes summed, the latest time, and a number that stands for all of them."""
    size = latest = 0
    digest = sha256()
    for name in pictures.names:
        facts = _file_facts(os.path.join(pictures.place, name))  # noqa: PTH118
        if isinstance(facts, Hashed):
            raise OSError(f"{display_path(name)}: {facts.reason}")
        size, latest = size + facts[0], max(latest, facts[1])
        digest.update(f"{name}\0{facts}\0".encode("utf-8", "surrogateescape"))
    return size, latest, int.from_bytes(digest.digest()[:7], "big")


def size_of(entry: Entry) -> int:
    """Bytes of a file, or of a sequence's pictures; 0 where they cannot be examined."""
    listed = entry.pictures
    if listed and (listed.packed or not listed.names):
        return listed.bytes
    try:
        facts = _folder_facts(listed) if listed else _file_facts(entry.path)
    except (OSError, ValueError):
        return 0
    return 0 if isinstance(facts, Hashed) else facts[0]


def _as_listed(path: str, pictures: Pictures) -> Hashed:
    """A sequence whose content was hashed when its archive was listed, or of which nothing is left."""
    if not pictures.names:
        return Hashed(path, status=pictures.lost, reason=pictures.fault)
    return Hashed(path, pictures.sha256, pictures.bytes)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")
