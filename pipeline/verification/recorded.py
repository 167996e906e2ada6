"""A report and the tables beside it as they were written: read back, and looked at as files that belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.pipeline import chain, log, provenance, tables
from ffpipe.pipeline.score import BESIDE
from ffpipe.pipeline.table_reading import content_digest, read_table
from ffpipe.pipeline.workspace import Workspace

#: What the provenance of a report must say for its scores to be computed again.
_NEEDED = ("id", "configuration", "model", "arithmetic", "device")


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was written: the tables that are there, their provenance, and what is wrong with them as files.

    `notes` tell what could not be looked at, or is no fault of the report.
    """

    path: Path
    tables: dict[str, pa.Table]
    origin: dict[str, Any]
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_recorded(path: Path, workspace: Workspace) -> Recorded:
    """Read a report with the tables beside it, and compare them with each other and with the workspace's log.

    Raises UsageError where the report cannot be verified at all: it is not there, cannot be read, or says too little of
    how it was made.
    """
    origin, report = _report(path)
    found = Recorded(path, {"report": report}, origin)
    if provenance.identity(origin) != origin["id"]:
        found.problems.append("the report's provenance was changed: its content has another id")
    for name in BESIDE:
        file = tables.companion(path, name)
        try:
            beside = tables.read_provenance(file)
            found.tables[name] = read_table(file, name)
        except StorageError as error:
            found.problems.append(f"{name}: {_short(file, error)}")
            continue
        if beside != origin:
            found.problems.append(
                f"{file.name}: its provenance is not the report's, so they are of different runs"
            )
    found.problems.extend(_content(found))
    _compare_with_log(found, workspace)
    return found


def _short(file: Path, error: StorageError) -> str:
    return error.message if file.exists() else f"{file.name} is not there"


def _report(path: Path) -> tuple[dict[str, Any], pa.Table]:
    if not path.is_file():
        raise UsageError(f"{path}: no such report; give a file that `ffpipe score --out` wrote")
    if path.suffix.lower() == ".html":
        raise UsageError(
            f"{path} cannot be verified: a page is for people and rounds its numbers; score the same inputs with "
            f"--out {path.with_suffix('.parquet')}, and verify that"
        )
    try:
        origin, report = tables.read_provenance(path), read_table(path, "report")
    except StorageError as error:
        raise UsageError(f"{path} cannot be verified: {error.message}") from None
    missing = [name for name in _NEEDED if name not in origin]
    if not isinstance(origin.get("content") or {}, dict):
        missing.append("hashes of its rows")
    if missing or not isinstance(origin["model"], dict) or "sha256" not in origin["model"]:
        raise UsageError(
            f"{path} cannot be verified: its provenance lacks {', '.join(missing) or 'the weights'}"
        )
    if not report.num_rows:
        raise UsageError(f"{path} cannot be verified: it has no row")
    return origin, report


def _content(found: Recorded) -> Iterator[str]:
    """Rows that are not those that were written, in whichever way."""
    written: Mapping[str, Any] = found.origin.get("content") or {}
    for name, table in found.tables.items():
        now, then = content_digest(table), written.get(name)
        if not isinstance(then, dict):
            found.notes.append(f"{name}: an older version wrote it, and no hash of its rows")
        elif now != then:
            kind = (
                "their number, order or content"
                if now["rows"] == then.get("rows")
                else f"{then.get('rows')} then"
            )
            yield f"{name}: its {now['rows']} rows are not those that were written ({kind})"


def _compare_with_log(found: Recorded, workspace: Workspace) -> None:
    """Each file against the hashes that the workspace's log has of it."""
    place = log.log_path(workspace)
    if not place.exists():
        found.notes.append(f"no log in {workspace.root} says how the files were written")
        return
    checked = chain.check(place)
    if not checked.whole:
        found.problems.append(f"{place} is not whole itself; `ffpipe log --check` says where")
    for file in _files(found.path):
        written = log.written_as(checked.entries, file, found.origin["id"])
        if not written:
            found.notes.append(f"{file.name}: not in the log")
        elif sha256_file(file) not in {entry.sha256 for entry in written}:
            found.problems.append(
                f"{file.name}: not the file that entry {written[-1].sequence} of the log has"
            )


def _files(path: Path) -> list[Path]:
    return [file for file in tables.output_files(path, BESIDE) if file.is_file()]
