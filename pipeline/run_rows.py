"""The rows of a scoring run that grows: read once, then chunk by chunk, with the content that each path has now."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from ffpipe.manifests.records import ReportRow, Status
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan
from ffpipe.pipeline.plan import MediumItem
from ffpipe.pipeline.score import BESIDE, ScoreJob, ScoreResult, arranged, known_rows

#: What an input has that changed or went while it was worked on: that makes no row, since it may come to rest yet.
UNSETTLED = frozenset({Status.CHANGED, Status.MISSING})


class RunRows:
    """What a run's commits hold, for the driver that holds its lock.

    A path has one row: that of the content which was found at it last. A path that is gone keeps its row.
    `known` has the row of each content that other paths may take over.
    """

    def __init__(self, shards: ShardGroup) -> None:
        """Read what is committed. Raises StorageError."""
        self._shards = shards
        self._beside = {name: [shards.read(name)] for name in BESIDE}
        stored = from_table(shards.read("report"), ReportRow)
        self._rows = {(row.media_id, os.fsdecode(row.path_bytes)): row for row in stored}
        self.known = known_rows(stored, plan.made(shards))
        self._current: dict[str, str] = {}
        self._at: dict[str, int] = {}
        for at, commit in sorted(
            ((shards.committed_at(c.chunk), c) for c in shards.commits()), key=lambda p: p[0]
        ):
            self._current |= {account["path"]: account["media_id"] for account in commit.inputs}
            self._at |= {account["path"]: at for account in commit.inputs}

    def recall(self, written: Iterable[tuple[str, str]], at: int) -> None:
        """Take over which content a report of these (media_id, path), written `at` ns since 1970, had for a path."""
        for media_id, path in written:
            if (media_id, path) in self._rows and self._at[path] <= at:
                self._current[path] = media_id

    @property
    def done(self) -> Collection[tuple[str, str]]:
        """(media_id, path) of every input that has a row."""
        return self._rows.keys()

    def add(self, chunk: str) -> tuple[list[ReportRow], list[ReportRow]]:
        """Take up a committed chunk; returns its rows, and those that are none (UNSETTLED), which are taken back.

        Raises StorageError.
        """
        rows = from_table(self._shards.read_chunk(chunk, "report"), ReportRow)
        if any(row.status in UNSETTLED for row in rows):
            self._shards.revoke(chunk)
            return [], rows
        for name, parts in self._beside.items():
            parts.append(self._shards.read_chunk(chunk, name))
        for row in rows:
            path = os.fsdecode(row.path_bytes)
            self._rows[row.media_id, path] = row
            self._current[path] = row.media_id
        for media_id, row in known_rows(rows, {row.media_id for row in rows}).items():
            self.known.setdefault(media_id, row)
        return rows, []

    def found(self, items: Iterable[MediumItem]) -> list[ReportRow]:
        """Note which contents lie where by now; returns the rows of those that were scored before."""
        pairs = [(item.media_id, entry.path) for item in items for entry in item.entries]
        before = [pair for pair in pairs if pair in self._rows]
        self._current |= {path: media_id for media_id, path in before}
        return [self._rows[pair] for pair in before]

    def below(self, folder: str) -> list[ReportRow]:
        """The row of each path below a folder, in the order that one scoring of it would have."""
        prefix = os.path.join(folder, "")  # noqa: PTH118 - names need not be UTF-8
        rows = [
            self._rows[media_id, path] for path, media_id in self._current.items() if path.startswith(prefix)
        ]
        return sorted(rows, key=lambda row: (row.status is Status.SKIPPED, row.path_bytes))

    def result(self, job: ScoreJob, rows: Sequence[ReportRow], origin: Mapping[str, Any]) -> ScoreResult:
        """Some of the rows as the result of a scoring."""
        for parts in self._beside.values():
            parts[:] = [pa.concat_tables(parts)]
        return arranged(job, rows, {name: parts[0] for name, parts in self._beside.items()}, origin)
