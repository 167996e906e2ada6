"""Exactly resumable storage: Parquet parts that count only once a commit names them.

A group is a folder of tables (`media/`, `faces/`, …), each with its parts, `_commits/` and `_tmp/`. A chunk of
work writes one part into every table; the commit of the LEAD table is the single atomic point, and names the
parts of its companions. First commit wins, the loser deletes its parts. Whatever no commit names is swept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import IntegrityError, LockedError, StorageError
from ffpipe.manifests.parquet import read_batches
from ffpipe.manifests.schemas import SCHEMAS, check_file, completed
from ffpipe.manifests.sealed import read_sealed, sealed

#: Rows that are read together, and the bytes they should not exceed: whole pictures are far larger than face crops.
_ROW_GROUP, _ROW_GROUP_BYTES = 256, 128 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """A Parquet file as its commit records it."""

    file: str
    bytes: int
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Commit:
    """A finished chunk: the lead table's part, those of the companions, and what became of each input."""

    chunk: str
    part: Part
    inputs: list[dict[str, Any]] = field(default_factory=list)
    companions: dict[str, Part] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The commit as stored; keys `file`, `bytes`, `sha256`, `rows`, `inputs` and `companions`, and its own hash."""
        lead = {name: getattr(self.part, name) for name in Part.__slots__}
        others = {t: {name: getattr(p, name) for name in Part.__slots__} for t, p in self.companions.items()}
        return sealed({**lead, "inputs": self.inputs, "companions": others})


def _as_part(stored: Mapping[str, Any]) -> Part:
    """Raises KeyError or ValueError where a commit does not tell of a part in its own folder."""
    part = Part(**{name: stored[name] for name in Part.__slots__})
    kinds = (str, int, str, int)
    if not all(type(stored[name]) is kind for name, kind in zip(Part.__slots__, kinds, strict=True)):
        raise ValueError("a field of another type")
    if "/" in part.file or part.rows < 0:
        raise ValueError("a part in another folder, or of a negative number of rows")
    return part


def chunk_id(inputs: Sequence[str]) -> str:
    """Name of a chunk: hash of its inputs' identities, in order; 20 hex digits."""
    return hashlib.sha256("\n".join(inputs).encode("utf-8", "surrogateescape")).hexdigest()[:20]


def write_atomic(path: Path, content: bytes) -> None:
    """Replace a file so that a crash leaves the old content or the new, never a mixture.

    Raises StorageError naming the file; the old file is then intact.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _write_synced(temporary, content)
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class ShardGroup:
    """Tables that are committed together under one folder.

    `lead` is the table whose commit decides; `companions` are the others. Creating the object touches nothing.
    """

    def __init__(self, root: Path, lead: str, companions: Sequence[str] = ()) -> None:
        self.root = Path(root)
        self.lead = lead
        self.companions = tuple(companions)
        self._verified: set[str] = set()

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables, the lead first."""
        return (self.lead, *self.companions)

    def create(self) -> None:
        """Make the folders. Raises StorageError where that is not possible."""
        try:
            for table in self.tables:
                for inner in ("_tmp", "_commits"):
                    (self.root / table / inner).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot create {self.root}: {error.strerror or error}") from error

    def lock(self) -> RunLock:
        """The run lock of this folder, to be held by the driver while it writes."""
        return RunLock(self.root / "_lock")

    def commit(
        self, chunk: str, attempt: str, tables: Mapping[str, pa.Table], inputs: list[dict[str, Any]]
    ) -> bool:
        """Write one chunk and try to commit it; False when another attempt was first.

        `tables` holds one Arrow table for each of `self.tables`. Raises StorageError (disk full, read-only);
        then nothing of this attempt counts.
        """
        name = f"{chunk}.{attempt}"
        try:
            parts = {table: self._write_part(table, name, tables[table]) for table in reversed(self.tables)}
            record = Commit(chunk, parts[self.lead], inputs, {t: parts[t] for t in self.companions})
            if not self._link(self.lead, chunk, name, record.to_json()):
                self._discard(name)
                return False
            self._link_companions(record, name)
        except OSError as error:
            self._discard(name)
            raise StorageError(f"cannot write to {self.root}: {error.strerror or error}") from error
        return True

    def _write_part(self, table: str, name: str, rows: pa.Table) -> Part:
        folder = self.root / table
        temporary = folder / "_tmp" / f"{name}.parquet"
        final = folder / f"part-{name}.parquet"
        fitting = rows.num_rows * _ROW_GROUP_BYTES // max(1, rows.nbytes)
        size = max(1, min(_ROW_GROUP, fitting))
        with temporary.open("wb") as sink:
            pq.write_table(rows, sink, compression="zstd", write_page_checksum=True, row_group_size=size)
            sink.flush()
            os.fsync(sink.fileno())
        part = Part(final.name, temporary.stat().st_size, sha256_file(temporary), rows.num_rows)
        temporary.rename(final)
        _sync_folder(folder)
        return part

    def _link(self, table: str, chunk: str, name: str, content: bytes) -> bool:
        folder = self.root / table
        temporary = folder / "_tmp" / f"{name}.json"
        _write_synced(temporary, content)
        try:
            os.link(temporary, folder / "_commits" / f"{chunk}.json")
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(folder / "_commits")
        return True

    def _link_companions(self, record: Commit, name: str) -> None:
        for table, part in record.companions.items():
            self._link(table, record.chunk, name, Commit(record.chunk, part, record.inputs).to_json())

    def _discard(self, name: str) -> None:
        """Delete this attempt's files, unless it is the one that committed."""
        for table in self.tables:
            (self.root / table / "_tmp" / f"{name}.parquet").unlink(missing_ok=True)
            (self.root / table / "_tmp" / f"{name}.json").unlink(missing_ok=True)
        chunk = name.partition(".")[0]
        winner = self.root / self.lead / "_commits" / f"{chunk}.json"
        if winner.exists() and self._read_commit(winner).part.file == f"part-{name}.parquet":
            return
        for table in self.tables:
            (self.root / table / f"part-{name}.parquet").unlink(missing_ok=True)

    def has(self, chunk: str) -> bool:
        """Whether the chunk is committed."""
        return (self.root / self.lead / "_commits" / f"{chunk}.json").exists()

    def commits(self) -> list[Commit]:
        """Every committed chunk, ordered by chunk id. Raises IntegrityError naming a damaged commit."""
        folder = self.root / self.lead / "_commits"
        return [self._read_commit(path) for path in sorted(folder.glob("*.json"))]

    def _read_commit(self, path: Path) -> Commit:
        try:
            stored = read_sealed(path)
            others = {table: _as_part(part) for table, part in stored["companions"].items()}
            return Commit(path.stem, _as_part(stored), stored["inputs"], others)
        except (ValueError, KeyError, TypeError, AttributeError, IntegrityError) as error:
            raise IntegrityError(
                f"{path}: damaged commit ({type(error).__name__}); restore or delete it"
            ) from error

    def revoke(self, chunk: str) -> None:
        """Take a commit back, so that its inputs are planned again; the caller holds the lock and sweeps after."""
        (self.root / self.lead / "_commits" / f"{chunk}.json").unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete what no commit names and finish half-linked companions; the caller holds the lock.

        Returns the number of files deleted.
        """
        commits = self.commits()
        for record in commits:
            if any(not self._companion_commit(t, record.chunk).exists() for t in record.companions):
                self._link_companions(record, f"{record.chunk}.sweep")
        kept = {(t, self._part(record, t).file) for record in commits for t in self.tables}
        chunks = {record.chunk for record in commits}
        removed = 0
        for table in self.tables:
            folder = self.root / table
            parts = [p for p in folder.glob("part-*.parquet") if (table, p.name) not in kept]
            revoked = [p for p in (folder / "_commits").glob("*.json") if p.stem not in chunks]
            for path in [*parts, *revoked, *(folder / "_tmp").iterdir()]:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _companion_commit(self, table: str, chunk: str) -> Path:
        return self.root / table / "_commits" / f"{chunk}.json"

    def _part(self, record: Commit, table: str) -> Part:
        return record.part if table == self.lead else record.companions[table]

    def shards(self, table: str) -> list[tuple[Path, Part]]:
        """The committed parts of a table in order of chunk id; parts without a row are left out."""
        named = [
            (self.root / table / self._part(c, table).file, self._part(c, table)) for c in self.commits()
        ]
        return [(path, part) for path, part in named if part.rows]

    def verify(self, path: Path, part: Part, table: str) -> None:
        """Check a part against its commit, once per object. Raises IntegrityError naming the file."""
        if path.name in self._verified:
            return
        if not path.exists():
            raise IntegrityError(f"{path}: named by a commit but missing")
        size = path.stat().st_size
        if size != part.bytes or sha256_file(path) != part.sha256:
            raise IntegrityError(
                f"{path}: content differs from its commit ({size} bytes, {part.bytes} committed)"
            )
        rows = check_file(path, table)
        if rows != part.rows:
            raise IntegrityError(f"{path}: has {rows} rows, {part.rows} are committed")
        self._verified.add(path.name)

    def batches(
        self, table: str, columns: Sequence[str] | None = None, rows: int = 256
    ) -> Iterator[pa.RecordBatch]:
        """Verified rows of a table in order of chunk id, `rows` at a time, with bounded memory."""
        for path, part in self.shards(table):
            self.verify(path, part, table)
            yield from _batches_of(path, table, columns, rows)

    def read(self, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """All verified rows of a table; meant for tables without pixels."""
        found = [pa.Table.from_batches([batch]) for batch in self.batches(table, columns, rows=65536)]
        if found:
            return pa.concat_tables(found)
        empty = SCHEMAS[table].empty_table()
        return empty.select(list(columns)) if columns else empty

    def read_chunk(self, chunk: str, table: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of one committed chunk; the pages that are read are checked, not the whole file.

        Raises IntegrityError naming a damaged file.
        """
        record = self._read_commit(self.root / self.lead / "_commits" / f"{chunk}.json")
        path = self.root / table / self._part(record, table).file
        check_file(path, table)
        schema = pa.schema([f for f in SCHEMAS[table] if columns is None or f.name in columns])
        return pa.Table.from_batches(_batches_of(path, table, schema.names, 65536), schema)


def _batches_of(path: Path, table: str, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    """Rows of a part, `rows` at a time, with nulls in columns that its table got later."""
    for batch in read_batches(path, columns, rows):
        whole = completed(batch, table)
        yield whole if columns is None else whole.select(list(columns))


class RunLock:
    """An exclusive lock on a folder, held by one driver; gone with the process, however it ends.

    The descriptor is close-on-exec, so that no child keeps the lock alive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise StorageError(f"cannot write to {self.path.parent}: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise LockedError(
                f"another run is writing to {self.path.parent}; wait for it or stop it"
            ) from None
        self._descriptor = descriptor
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
