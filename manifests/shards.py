"""Exactly resumable storage: Parquet parts that count only once a commit names them.

A group is a folder of tables (`media/`, `faces/`, …), each with its parts, `_commits/` and `_tmp/`. A chunk of
work writes one part into every table; the commit of the LEAD table is the single atomic point, and names the
parts of its companions. First commit wins, the loser deletes its parts. Whatever no commit names is swept.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.commits import Commit, Part, read_commit
from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.durable import clear_temporaries, sync_folder, write_atomic, write_synced, writing
from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.manifests.parquet import read_batches
from ffpipe.manifests.run_lock import RunLock
from ffpipe.manifests.schemas import SCHEMAS, check_file, completed

__all__ = ["ShardGroup", "chunk_id", "write_atomic"]

#: Rows that are read together, and the bytes they should not exceed: whole pictures are far larger than face crops.
_ROW_GROUP, _ROW_GROUP_BYTES = 256, 128 << 20


def chunk_id(inputs: Sequence[str]) -> str:
    """Name of a chunk: hash of its inputs' identities, in order; 20 hex digits."""
    return hashlib.sha256("\n".join(inputs).encode("utf-8", "surrogateescape")).hexdigest()[:20]


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
        except StorageError:
            # On a disk that cannot be written nothing can be deleted either; the next run sweeps.
            with suppress(OSError, StorageError):
                self._discard(name)
            raise
        return True

    def _write_part(self, table: str, name: str, rows: pa.Table) -> Part:
        folder = self.root / table
        temporary = folder / "_tmp" / f"{name}.parquet"
        final = folder / f"part-{name}.parquet"
        fitting = rows.num_rows * _ROW_GROUP_BYTES // max(1, rows.nbytes)
        size = max(1, min(_ROW_GROUP, fitting))
        with writing(final):
            with temporary.open("wb") as sink:
                pq.write_table(rows, sink, compression="zstd", write_page_checksum=True, row_group_size=size)
                sink.flush()
                os.fsync(sink.fileno())
            part = Part(final.name, temporary.stat().st_size, sha256_file(temporary), rows.num_rows)
            temporary.rename(final)
            sync_folder(folder)
        return part

    def _link(self, table: str, chunk: str, name: str, content: bytes) -> bool:
        folder = self.root / table
        temporary = folder / "_tmp" / f"{name}.json"
        commit = self._commit_path(table, chunk)
        with writing(commit):
            write_synced(temporary, content)
            try:
                os.link(temporary, commit)
            except FileExistsError:
                return False
            finally:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
            sync_folder(folder / "_commits")
        return True

    def _commit_path(self, table: str, chunk: str) -> Path:
        return self.root / table / "_commits" / f"{chunk}.json"

    def _link_companions(self, record: Commit, name: str) -> None:
        for table in record.companions:
            self._link(table, record.chunk, name, _companion(record, table))

    def _discard(self, name: str) -> None:
        """Delete this attempt's files, unless it is the one that committed."""
        for table in self.tables:
            (self.root / table / "_tmp" / f"{name}.parquet").unlink(missing_ok=True)
            (self.root / table / "_tmp" / f"{name}.json").unlink(missing_ok=True)
        chunk = name.partition(".")[0]
        winner = self._commit_path(self.lead, chunk)
        if winner.exists() and read_commit(winner).part.file == f"part-{name}.parquet":
            return
        for table in self.tables:
            (self.root / table / f"part-{name}.parquet").unlink(missing_ok=True)

    def has(self, chunk: str) -> bool:
        """Whether the chunk is committed."""
        return self._commit_path(self.lead, chunk).exists()

    def commits(self) -> list[Commit]:
        """Every committed chunk, ordered by chunk id. Raises IntegrityError naming a damaged commit."""
        folder = self.root / self.lead / "_commits"
        return [read_commit(path) for path in sorted(folder.glob("*.json"))]

    def revoke(self, chunk: str) -> None:
        """Take a commit back, so that its inputs are planned again; the caller holds the lock and sweeps after."""
        path = self._commit_path(self.lead, chunk)
        with writing(path):
            path.unlink(missing_ok=True)

    def sweep(self) -> int:
        """Delete what no commit names and mend the companions' commits; the caller holds the lock.

        Returns the number of files deleted. Raises StorageError.
        """
        commits = self.commits()
        for record in commits:
            self._mend_companions(record)
        kept = {(t, self._part(record, t).file) for record in commits for t in self.tables}
        chunks = {record.chunk for record in commits}
        with writing(self.root):
            removed = clear_temporaries(self.root)
            for table in self.tables:
                folder = self.root / table
                parts = [p for p in folder.glob("part-*.parquet") if (table, p.name) not in kept]
                revoked = [p for p in (folder / "_commits").glob("*.json") if p.stem not in chunks]
                for path in [*parts, *revoked, *(folder / "_tmp").iterdir()]:
                    path.unlink(missing_ok=True)
                    removed += 1
        return removed

    def _mend_companions(self, record: Commit) -> None:
        """Link what a kill left out, and replace what was damaged since."""
        for table in record.companions:
            path, content = self._commit_path(table, record.chunk), _companion(record, table)
            if not path.exists():
                self._link(table, record.chunk, f"{record.chunk}.sweep", content)
            elif path.read_bytes() != content:
                write_atomic(path, content)

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
        chunk = path.name.removeprefix("part-").partition(".")[0]
        mend = (
            f"delete {self._commit_path(self.lead, chunk)} and run the command that made it again: "
            "what it holds is then done anew"
        )
        if not path.exists():
            raise IntegrityError(f"{path}: named by a commit but missing; {mend}")
        size = path.stat().st_size
        if size != part.bytes or sha256_file(path) != part.sha256:
            raise IntegrityError(
                f"{path}: content differs from its commit ({size} bytes, {part.bytes} committed); {mend}"
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
        schema = pa.schema([f for f in SCHEMAS[table] if columns is None or f.name in columns])
        return pa.Table.from_batches(self.chunk_batches(chunk, table, schema.names, rows=65536), schema)

    def chunk_batches(
        self, chunk: str, table: str, columns: Sequence[str] | None = None, rows: int = 256
    ) -> Iterator[pa.RecordBatch]:
        """What `read_chunk` reads, `rows` at a time, with bounded memory."""
        record = read_commit(self._commit_path(self.lead, chunk))
        path = self.root / table / self._part(record, table).file
        check_file(path, table)
        yield from _batches_of(path, table, columns, rows)


def _companion(record: Commit, table: str) -> bytes:
    """The commit that stands beside a companion's part, for readers of that table alone."""
    return Commit(record.chunk, record.companions[table], record.inputs).to_json()


def _batches_of(path: Path, table: str, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    """Rows of a part, `rows` at a time, with nulls in columns that its table got later."""
    for batch in read_batches(path, columns, rows):
        whole = completed(batch, table)
        yield whole if columns is None else whole.select(list(columns))
