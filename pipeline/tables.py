r"""Result tables as files: Parquet, CSV, JSON, JSON lines or HTML by suffix, whole or not at all, with provenance.

Where the provenance is: in Parquet the schema metadata `ffpipe.provenance` (JSON), in JSON the object
`provenance` beside `rows`, in HTML its last block; a CSV or JSON lines file has `<name>.provenance.json` beside it.
Only a report is a page; the tables beside it are Parquet then, `<name>.html.tracks.parquet`.

Bytes (a path as the file system has it) are bytes in Parquet. In text they are printable ASCII with `\\` for a
backslash and `\xNN` for every other byte; a first character that a spreadsheet would take for a formula is
written as `\xNN` too. Other CSV text that begins like a formula, or with an apostrophe, gets a leading apostrophe.
In JSON `<`, `>` and `&` are written as \u escapes, so that a report pasted into a page stays text. Numbers that are
none are null. `table_reading` reads all of it back.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ffpipe.manifests.content import read_file
from ffpipe.manifests.durable import clear_temporaries, write_together, writing
from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.parquet import read_schema
from ffpipe.manifests.run_lock import RunLock

PROVENANCE_KEY = b"ffpipe.provenance"

_PAGE = ".html"
#: Columns of a report that list every frame.
_FRAME_LISTS = ("sampled_frames", "sampled_seconds")
#: What spreadsheets take for the start of a formula, ASCII and full width.
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
#: Marks CSV text that begins like a formula; text that begins with the mark itself gets it too, so that it comes off.
TEXT_MARK = "'"
_JSON_ESCAPES = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def check_output(path: Path) -> None:
    """Refuse, before any work, an output that cannot be written: wrong suffix, a folder, no such folder."""
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(
            f"--out {path}: unknown suffix {path.suffix!r}; allowed: {', '.join(sorted(_WRITERS))}"
        )
    if path.is_dir():
        raise UsageError(f"--out {path}: is a folder; give a file name in it")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"--out {path}: the folder {path.absolute().parent} does not exist")


@contextmanager
def sole_writer(path: Path | None) -> Iterator[None]:
    """While this lasts, another run that would write the same report is refused with LockedError."""
    if path is None:
        yield
        return
    with RunLock(path.parent.resolve() / f".{path.name}.lock", of=path):
        yield


def companion(path: Path, table: str) -> Path:
    """Where a report's other table goes: `report.csv` has `report.tracks.csv` beside it.

    Beside a page it is Parquet with a name of its own, `report.html.tracks.parquet`: the tables of `report.parquet`
    may lie there too.
    """
    if path.suffix.lower() == _PAGE:
        return path.with_name(f"{path.name}.{table}.parquet")
    return path.with_name(f"{path.stem}.{table}{path.suffix}")


def output_files(path: Path, companions: Sequence[str]) -> list[Path]:
    """Every file that writing a report to `path`, with companions of these names, may leave."""
    files = [path, *(companion(path, table) for table in companions)]
    return [*files, *(provenance_file(file) for file in files)]


def with_provenance(table: pa.Table, provenance: Mapping[str, Any]) -> pa.Table:
    """The table with its provenance in the schema metadata, where every writer here looks for it."""
    stored = {PROVENANCE_KEY: json.dumps(provenance, sort_keys=True, default=str).encode()}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), **stored})


def provenance_of(table: pa.Table) -> dict[str, Any]:
    """The provenance that a table carries; empty where it carries none."""
    stored = (table.schema.metadata or {}).get(PROVENANCE_KEY)
    return dict(json.loads(stored)) if stored else {}


def write_report(path: Path, tables: Mapping[str, pa.Table]) -> list[Path]:
    """Write `report` to `path` and the other tables beside it; the report last, so that it is never alone.

    Returns the files written, the report first. Raises StorageError naming the file that could not be written; where
    the disk was full, the old content of every one is intact.
    """
    contents: dict[Path, bytes] = {}
    for name in [*(n for n in tables if n != "report"), "report"]:
        contents |= _contents(path if name == "report" else companion(path, name), tables[name])
    with writing(path.parent):
        clear_temporaries(path.parent, {file.name for file in contents})
    write_together(contents)
    return list(reversed(contents))


def write_table(path: Path, table: pa.Table) -> list[Path]:
    """Write one table in the format of its suffix, the old file whole until the new one is.

    Returns the files written. Raises UsageError for the suffix (also for a page of what is no report), StorageError.
    """
    contents = _contents(path, table)
    write_together(contents)
    return list(reversed(contents))


def _contents(path: Path, table: pa.Table) -> dict[Path, bytes]:
    """What each file of a table is to hold, the table itself last. Raises UsageError for the suffix."""
    check_output(path)
    suffix = path.suffix.lower()
    beside = {}
    if suffix in _WITHOUT_ROOM:
        beside[provenance_file(path)] = (_dumps(provenance_of(table), indent=1) + "\n").encode()
    return {**beside, path: _WRITERS[suffix](table)}


def provenance_file(path: Path) -> Path:
    """Where the provenance of a table goes whose format has no room for it."""
    return path.with_name(f"{path.name}.provenance.json")


def to_json(table: pa.Table) -> str:
    """The JSON document of a table, `provenance` and `rows`, one line per row."""
    rows = ",\n".join(_dumps(row) for row in text_rows(table))
    return f'{{"provenance": {_dumps(provenance_of(table))},\n"rows": [\n{rows}\n]}}\n'


def text_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows ready for text formats: bytes escaped, numbers that are none null."""
    return [{name: _plain(value) for name, value in row.items()} for row in table.to_pylist()]


def page_rows(report: pa.Table) -> list[dict[str, Any]]:
    """Rows of a report as its page takes them: without the lists of frames, in a long run the most of it."""
    return text_rows(report.drop_columns([name for name in _FRAME_LISTS if name in report.column_names]))


def escape_bytes(value: bytes) -> str:
    r"""Bytes as printable ASCII, reversible: `\\` and `\xNN`; never begins like a formula, or with its mark."""
    shown = [_shown(byte) for byte in value]
    if shown and shown[0] in (*_FORMULA_STARTS, TEXT_MARK):
        shown[0] = f"\\x{value[0]:02x}"
    return "".join(shown)


def _shown(byte: int) -> str:
    if byte == ord("\\"):
        return "\\\\"
    return chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return escape_bytes(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _dumps(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, allow_nan=False, default=str).translate(_JSON_ESCAPES)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return sink.getvalue()


def _json(table: pa.Table) -> bytes:
    return to_json(table).encode()


def _json_lines(table: pa.Table) -> bytes:
    return "".join(f"{_dumps(row)}\n" for row in text_rows(table)).encode()


def _csv(table: pa.Table) -> bytes:
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows([_cell(value) for value in row.values()] for row in text_rows(table))
    return sink.getvalue().encode()


def _html(table: pa.Table) -> bytes:
    from ffpipe.pipeline.page.report import report_page

    if "verdict" not in table.column_names:
        raise UsageError("only a report is written as .html; give .parquet, .csv, .json or .jsonl")
    return report_page(page_rows(table), provenance_of(table)).encode()


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return f"{TEXT_MARK}{value}" if value.startswith((*_FORMULA_STARTS, TEXT_MARK)) else value
    if isinstance(value, list):
        return json.dumps(value)
    return str(value).lower() if isinstance(value, bool) else value


_WRITERS: dict[str, Callable[[pa.Table], bytes]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".json": _json,
    ".jsonl": _json_lines,
    _PAGE: _html,
}
_WITHOUT_ROOM = (".csv", ".jsonl")


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance of a table that `write_table` wrote. Raises StorageError where there is none."""
    try:
        if path.suffix.lower() == ".parquet":
            return dict(json.loads((read_schema(path).metadata or {})[PROVENANCE_KEY]))
        if path.suffix.lower() == ".json":
            return dict(json.loads(read_file(path))["provenance"])
        if path.suffix.lower() == _PAGE:
            from ffpipe.pipeline.page.report import provenance_in

            return provenance_in(read_file(path).decode())
        return dict(json.loads(read_file(provenance_file(path))))
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise StorageError(f"{path}: no provenance found in it: {error}") from error
