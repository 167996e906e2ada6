"""The workspace's log of what commands wrote and which test splits they opened, chained so that changes show."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import chain, provenance
from ffpipe.pipeline.stored_media import data_digest
from ffpipe.pipeline.workspace import Workspace

LOG = "log.jsonl"


def log_path(workspace: Workspace) -> Path:
    """Where a workspace's log is."""
    return workspace.root / LOG


def note(
    workspace: Workspace,
    event: str,
    origin: Mapping[str, Any],
    outputs: Iterable[Path] = (),
    shards: ShardGroup | None = None,
    **facts: Any,
) -> chain.Entry:
    """Log that a command wrote `outputs`, and what a folder of shards holds by now; `origin` is their provenance.

    Called once the outputs are finished, which a log that cannot be written does not change. Raises StorageError then.
    """
    held = {"shards": {"path": shown(shards.root), "digest": data_digest([shards])}} if shards else {}
    entry = {
        "time": provenance.now(),
        "event": event,
        "command": provenance.command_line(),
        "provenance": origin.get("id"),
        "outputs": [_output(path) for path in outputs],
        **held,
        **facts,
    }
    try:
        workspace.root.mkdir(parents=True, exist_ok=True)
        return chain.append(log_path(workspace), entry)
    except (OSError, StorageError) as error:
        raise StorageError(
            f"{error}; what the command made is whole, only its entry in the log is missing"
        ) from error


def shown(path: Path) -> str:
    """An absolute path as the log has it."""
    return display_path(os.path.abspath(path))  # noqa: PTH100 - symlinks stay as the user named them


def _output(path: Path) -> dict[str, Any]:
    return {"path": shown(path), "sha256": sha256_file(path), "bytes": path.stat().st_size}


@dataclass(frozen=True, slots=True)
class Written:
    """A file as the log says that it was written; `sequence` is the entry's."""

    sequence: int
    sha256: str


def written_as(entries: Sequence[chain.Entry], path: Path, provenance_id: str) -> list[Written]:
    """What the log says of a file of this name and provenance; it may have been moved since."""
    return [
        Written(entry["sequence"], output["sha256"])
        for entry in entries
        if entry.get("provenance") == provenance_id
        for output in entry.get("outputs", ())
        if Path(output["path"]).name == Path(shown(path)).name
    ]
