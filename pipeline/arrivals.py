"""Which files in a watched folder have arrived: whole, closed, and at rest since a while, as far as anybody can tell.

A file is whole once its size and modification time have stayed the same for the time to settle. Renaming into place
says so at once: the same file was there before under a name that is not looked at, or was changed in nothing but its
name for longer than the time to settle, both by the clock of the file system alone. What a process of this machine
has open for writing waits in either case; of another machine's processes, or those outside a container, nothing can
be known. Folders are looked at again and again, since notices of changes do not cross network shares.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ffpipe.manifests.inputs import Inputs, Skipped

#: Ends of names, in lower case, that programs give to what they are still writing.
PARTIAL_ENDS = (
    ".part", ".partial", ".crdownload", ".download", ".opdownload", ".filepart", ".aria2", ".!ut", ".!qb", ".tmp",
    ".temp", "~",
)  # fmt: skip
_NANOSECONDS = 1_000_000_000

#: What may not change while a file settles: size in bytes and modification time in ns; of what is skipped, the reason.
Facts = tuple[int, int] | str


@dataclass(frozen=True, slots=True)
class _Seen:
    """Facts of a path, and since when, in seconds of a steady clock, they are those."""

    facts: Facts
    since: float


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found: files that are whole, paths that can only be skipped, and how many still arrive."""

    whole: list[str]
    skipped: list[Skipped]
    waiting: int


def is_partial(path: str) -> bool:
    """Whether a name says that its file is still being written."""
    return path.lower().endswith(PARTIAL_ENDS)


class Arrivals:
    """Follows the files of a folder from look to look; each is given once, and again when it has changed."""

    def __init__(self, settle: float) -> None:
        self._settle = settle
        self._seen: dict[str, _Seen] = {}
        self._given: dict[str, Facts] = {}
        self._before: dict[tuple[int, int, int], str] = {}

    def look(self, found: Inputs, now: float) -> Look:
        """What has become whole since the last look; `now` is a steady clock's time in seconds."""
        partial = [path for path in found.entries if is_partial(path)]
        named = [path for path in found.entries if not is_partial(path)]
        new = [
            (path, status)
            for path in named
            if (status := _status(path)) and self._given.get(path) != _facts(status)
        ]
        at_rest = dict(
            one for one in new if self._rests(one[0], _facts(one[1]), now) or self._in_place(one[1])
        )
        written = open_for_writing(at_rest)
        whole = [path for path in at_rest if path not in written]
        refused = [skipped for skipped in found.skipped if self._given.get(skipped.path) != skipped.reason]
        skipped = [each for each in refused if self._rests(each.path, each.reason, now)]
        for path, facts in [
            *((p, _facts(at_rest[p])) for p in whole),
            *((s.path, s.reason) for s in skipped),
        ]:
            self._given[path] = facts
            self._seen.pop(path, None)
        self._forget_gone({*found.entries, *(each.path for each in found.skipped)})
        self._before = dict(_identities([*found.hidden_paths, *partial]))
        waiting = len(partial) + len(new) + len(refused) - len(whole) - len(skipped)
        return Look(whole, skipped, waiting)

    def take_back(self, path: str) -> None:
        """A path that was given is to arrive anew: it changed while it was worked on."""
        self._given.pop(path, None)
        self._seen.pop(path, None)

    def _rests(self, path: str, facts: Facts, now: float) -> bool:
        seen = self._seen.get(path)
        if seen is None or seen.facts != facts:
            seen = self._seen[path] = _Seen(facts, now)
        return now - seen.since >= self._settle

    def _in_place(self, status: os.stat_result) -> bool:
        """Whether it was whole before it got its name."""
        if status.st_ctime_ns - status.st_mtime_ns >= max(self._settle, 1) * _NANOSECONDS:
            return True
        before = self._before.get(_identity(status))
        return before is not None and not os.path.lexists(before)

    def _forget_gone(self, there: set[str]) -> None:
        for known in (self._seen, self._given):
            for path in known.keys() - there:
                known.pop(path)


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - a name of undecodable bytes, as given
    except OSError:
        return None


def _facts(status: os.stat_result) -> Facts:
    return status.st_size, status.st_mtime_ns


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _identities(paths: Iterable[str]) -> Iterator[tuple[tuple[int, int, int], str]]:
    return ((_identity(status), path) for path in paths if (status := _status(path)))


def open_for_writing(files: Mapping[str, os.stat_result]) -> set[str]:
    """Those of the files that a process, as far as /proc shows it to us, has open for writing."""
    names = {os.path.basename(os.path.realpath(path)) for path in files}  # noqa: PTH119
    written: set[tuple[int, int]] = set()
    for descriptor in _descriptors() if files else ():
        # Most are told apart by name, without asking a file system that may have gone away.
        with suppress(OSError):
            if os.path.basename(os.readlink(descriptor)) in names and _writes(descriptor):  # noqa: PTH115, PTH119
                status = os.stat(descriptor)  # noqa: PTH116
                written.add((status.st_dev, status.st_ino))
    return {path for path, status in files.items() if (status.st_dev, status.st_ino) in written}


def _descriptors() -> Iterator[str]:
    """Every open file of every process whose open files we may see, as a path in /proc."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            yield from (entry.path for entry in os.scandir(process / "fd"))


def _writes(descriptor: str) -> bool:
    folder, _, number = descriptor.rpartition("/fd/")
    for line in Path(f"{folder}/fdinfo/{number}").read_text().splitlines():
        if line.startswith("flags:"):
            return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    return False
