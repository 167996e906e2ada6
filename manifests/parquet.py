"""The gate before pyarrow: the only place that opens a Parquet file, after its raw bytes have been checked.

A file is refused that names Arrow extension types, is encrypted, is damaged or contradicts itself, or would take more
memory than `parquet_pages.MAX_GROUP_BYTES` a row group. pyarrow then reads it without extension types of its own, with
page checksums verified; what pandas noted in it is dropped, since that too names types to be made.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import FileIO
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.content import file_facts, open_regular
from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet_footer import MAX_FOOTER, Footer, ParquetFault, read_footer
from ffpipe.manifests.parquet_pages import group_bytes

#: Bytes of the magic number at both ends, and of the footer's length.
_MAGIC, _TAIL = 4, 8
#: Files whose check is remembered: training opens the same shards over and over.
_REMEMBERED = 4096
#: Nanoseconds in which a file may be written twice and bear one time: so young, it is checked each time.
_YOUNG = 2_000_000_000
_PASSED: set[tuple[int, ...]] = set()
_PANDAS_KEY = b"pandas"

Rows = TypeVar("Rows", pa.Table, pa.RecordBatch)


@contextmanager
def open_parquet(path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file that passed the gate; what goes wrong while it is read is told with its name.

    Raises:
        IntegrityError: the file is refused (see the module), or cannot be read.
    """
    try:
        with (
            _passed(path) as file,
            # The file that was checked, whatever bears its name by now.
            pa.OSFile(f"/dev/fd/{file.fileno()}") as source,
            pq.ParquetFile(source, page_checksum_verification=True, arrow_extensions_enabled=False) as table,
        ):
            yield table
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from error


def read_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file with the file's metadata. Raises IntegrityError as `open_parquet`."""
    with open_parquet(path) as file:
        return file.schema_arrow


def read_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """Some columns of a Parquet file; meant for tables without pixels. Raises IntegrityError as `open_parquet`."""
    with open_parquet(path) as file:
        missing = sorted(set(columns) - set(file.schema_arrow.names))
        if missing:
            raise IntegrityError(f"{path}: has no column {', '.join(missing)}")
        return _sound(file.read(columns=list(columns)))


def read_batches(path: Path, columns: Sequence[str] | None, rows: int) -> Iterator[pa.RecordBatch]:
    """Those of the columns that are there, `rows` rows at a time. Raises IntegrityError as `open_parquet`."""
    with open_parquet(path) as file:
        there = set(file.schema_arrow.names)
        wanted = None if columns is None else [name for name in columns if name in there]
        for batch in file.iter_batches(batch_size=rows, columns=wanted):
            yield _sound(batch)


def _sound(rows: Rows) -> Rows:
    """The same, its text checked to be text, without pandas' notes: they name types that a data frame would make."""
    rows.validate(full=True)
    kept = {key: value for key, value in (rows.schema.metadata or {}).items() if key != _PANDAS_KEY}
    return rows.replace_schema_metadata(kept)


def check_parquet(path: Path) -> None:
    """Check a file's footer and page headers; no row is read, and pyarrow interprets nothing of it.

    Raises:
        IntegrityError: the file is refused (see the module), or cannot be read.
    """
    with _passed(path):
        pass


@contextmanager
def _passed(path: Path) -> Iterator[FileIO]:
    """The file, open, after its check. Raises IntegrityError as `check_parquet`."""
    with ExitStack() as opened:
        try:
            file = opened.enter_context(open_regular(path))
            _check(file)
        except ParquetFault as fault:
            raise IntegrityError(f"{path}: {fault}") from fault
        except OSError as error:
            raise IntegrityError(f"{path}: cannot be read: {error.strerror}") from error
        yield file


def _check(file: FileIO) -> None:
    facts = os.fstat(file.fileno())
    identity = file_facts(facts)
    young = time.time_ns() - facts.st_ctime_ns < _YOUNG
    if not young and identity in _PASSED:
        return
    footer = _footer(file.fileno(), facts.st_size)
    for _, pieces in footer.groups:
        group_bytes(file.fileno(), pieces)
    if not young:
        if len(_PASSED) >= _REMEMBERED:
            _PASSED.clear()
        _PASSED.add(identity)


def _footer(descriptor: int, size: int) -> Footer:
    if size < _MAGIC + _TAIL:
        raise ParquetFault(f"{size} bytes are too few for a Parquet file")
    tail = os.pread(descriptor, _TAIL, size - _TAIL)
    length = int.from_bytes(tail[:_MAGIC], "little")
    if tail[_MAGIC:] == b"PARE":
        raise ParquetFault("its footer is encrypted")
    if tail[_MAGIC:] != b"PAR1" or length > size - _TAIL - _MAGIC:
        raise ParquetFault("not a Parquet file, or cut short")
    if length > MAX_FOOTER:
        raise ParquetFault(f"a footer of {length} bytes; the limit is {MAX_FOOTER}")
    return read_footer(os.pread(descriptor, length, size - _TAIL - length), size - _TAIL - length)
