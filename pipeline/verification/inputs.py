"""The inputs of a report as they are now: where each lies, and what of its content differs from what was scored."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status
from ffpipe.pipeline.hashing import HashCache, Hashed, hash_inputs
from ffpipe.pipeline.verification.differences import Difference

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Input:
    """A row of the report, the path at which its input is looked for, and what the file there is now."""

    row: Row
    path: str
    now: Hashed

    @property
    def name(self) -> str:
        """The recorded path, for people."""
        return display_path(os.fsdecode(self.row["path_bytes"]))

    @property
    def same(self) -> bool:
        """Whether scoring it once more can be compared: the content is the one that was scored, or there was none."""
        return bool(self.now.sha256 == self.row["sha256"])

    @property
    def scored_as(self) -> str:
        """The path that it is scored under: without content that is the recorded one, which is its identity then."""
        return self.path if self.now.status is None else os.fsdecode(self.row["path_bytes"])

    def differences(self) -> Iterator[Difference]:
        """In what the file differs from the one that was scored."""
        if self.row["status"] == Status.SKIPPED and self.now.status is not Status.SKIPPED:
            yield Difference("report", "status", Status.SKIPPED.value, "a file that can be opened")
        elif self.same:
            return
        elif self.now.status is not None:
            yield Difference("report", "input", "there", f"{self.now.status.value}: {self.now.reason}")
        else:
            yield Difference("report", "sha256", self.row["sha256"] or None, self.now.sha256)
            if self.now.bytes != self.row["bytes"]:
                yield Difference("report", "bytes", self.row["bytes"], self.now.bytes)


def find_inputs(
    rows: Sequence[Row], origin: Mapping[str, Any], root: Path | None, scratch: Path, max_bytes: int
) -> list[Input]:
    """Each row with its file, hashed anew; what was skipped is not opened.

    `scratch` is a folder that may be written to, `max_bytes` the limit of what was read. No hash of before is believed.
    """
    places = [_locate(os.fsdecode(row["path_bytes"]), origin, root) for row in rows]
    cache = HashCache(scratch / "hashes.sqlite")
    hashed: dict[str, Hashed] = {}
    # What was too large to be read then, and has no hash, is not read now.
    for known, most in ((True, None), (False, max_bytes)):
        pairs = zip(places, rows, strict=True)
        opened = [p for p, row in pairs if bool(row["sha256"]) is known and not _skipped(p, row)]
        found = hash_inputs(dict.fromkeys(opened), cache, rehash=True, max_bytes=most)
        hashed |= {each.path: each for each in found}
    return [
        Input(row, path, hashed.get(path) or Hashed(path, status=Status.SKIPPED, reason=row["reason"]))
        for path, row in zip(places, rows, strict=True)
    ]


def _skipped(path: str, row: Row) -> bool:
    """Whether an input was passed over and still is none that could be opened."""
    skipped: bool = row["status"] == Status.SKIPPED
    return skipped and not (Path(path).is_file() and os.access(path, os.R_OK))


def _locate(path: str, origin: Mapping[str, Any], root: Path | None) -> str:
    """Where an input is: as it was named, from the folder that was current then; or below `root`."""
    if root is None:
        then = os.path.join(str(origin.get("directory") or ""), path)  # noqa: PTH118 - undecodable names
        return then if os.path.lexists(then) or not os.path.lexists(path) else path
    parts = PurePosixPath(path).parts[1 if path.startswith("/") else 0 :]
    tails = [os.path.join(root, *parts[start:]) for start in range(len(parts))]  # noqa: PTH118
    return next((tail for tail in tails if os.path.lexists(tail)), tails[-1])


def chosen(rows: Sequence[Row], only: Sequence[str]) -> list[Row]:
    """The rows of some inputs: by name, by the folder that they lie in, or by glob; without `only` all.

    Raises UsageError for one that fits none.
    """
    if not only:
        return list(rows)
    names = [os.fsdecode(row["path_bytes"]) for row in rows]
    hits = {given: [_fits(name, given) for name in names] for given in only}
    idle = [given for given, found in hits.items() if not any(found)]
    if idle:
        raise UsageError(f"--only {display_path(idle[0])}: fits no input of the report")
    return [row for place, row in enumerate(rows) if any(found[place] for found in hits.values())]


def _fits(name: str, given: str) -> bool:
    return any(
        name == asked or name.startswith(asked.rstrip("/") + "/") or fnmatchcase(name, asked)
        for asked in (given, os.path.abspath(given))  # noqa: PTH100 - undecodable names
    )
