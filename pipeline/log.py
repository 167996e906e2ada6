"""The workspace's log of what commands wrote and which test splits they opened, chained so that changes show."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
#: The log, in a run's folder, of which test splits its weights were shown.
OPENINGS = "openings.jsonl"
#: Problems and notes of a log that are printed.
_SHOWN = 100


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
        Written(entry["sequence"], digest)
        for entry in entries
        if entry.get("provenance") == provenance_id
        for name, digest in _outputs(entry)
        if Path(name).name == Path(shown(path)).name
    ]


def _outputs(entry: chain.Entry) -> list[tuple[str, str]]:
    """Path and SHA-256 of what an entry says was written; anyone may have edited it, so that nothing is sure of it."""
    listed = entry.get("outputs")
    outputs = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return [(str(each.get("path")), str(each.get("sha256"))) for each in outputs]


@dataclass(frozen=True, slots=True)
class Logs:
    """The workspace's log and, by run, the logs of openings beside the weights that they are of, each checked."""

    path: Path
    log: chain.Checked
    openings: dict[str, chain.Checked]

    @property
    def whole(self) -> bool:
        """Whether no chain is broken."""
        return self.log.whole and all(each.whole for each in self.openings.values())

    def lines(self) -> Iterator[str]:
        """What was found, for people."""
        yield from _told(str(self.path), self.log)
        for run, each in self.openings.items():
            yield from _told(f"openings of test splits by {run}", each)
        if self.log.head:
            yield f"head: {self.log.head}; noted elsewhere, `ffpipe log --head` finds what is cut off or made anew"

    def to_json(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "path": str(self.path),
            "head": self.log.head,
            "whole": self.whole,
            **_found(self.log),
            "openings": {run: {"head": each.head, **_found(each)} for run, each in self.openings.items()},
        }


def _told(what: str, found: chain.Checked) -> Iterator[str]:
    entries = f"{len(found.entries)} {'entry' if len(found.entries) == 1 else 'entries'}"
    yield f"{what}: {entries}, {'the chain is whole' if found.whole else 'BROKEN'}"
    told = [*found.problems, *found.notes]
    yield from (f"    {line}" for line in told[:_SHOWN])
    if len(told) > _SHOWN:
        yield f"    … and {len(told) - _SHOWN} more; --json has each"


def _found(checked: chain.Checked) -> dict[str, Any]:
    return {"problems": checked.problems, "notes": checked.notes, "entries": checked.entries}


def read_logs(workspace: Workspace, head: str | None = None) -> Logs:
    """Read and check the logs of a workspace; `head` is one of the workspace's own log. Raises StorageError."""
    runs = sorted((workspace.root / "models").glob(f"*/*/{OPENINGS}"))
    openings = {f"{path.parent.parent.name}/{path.parent.name}": chain.check(path) for path in runs}
    return Logs(log_path(workspace), chain.check(log_path(workspace), head), openings)


def entry_line(entry: chain.Entry) -> str:
    """An entry on one line: number, time, event, what was written, and the start of its hash."""
    outputs = ", ".join(path for path, _ in _outputs(entry))
    about = outputs or str(entry.get("report") or entry.get("data") or entry.get("removed") or "")
    facts = (entry.get("time", "-"), entry.get("event", "-"), str(entry["hash"])[:12], about)
    return display_path(f"{entry['sequence']:5}  {'  '.join(map(str, facts))}")
