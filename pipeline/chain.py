"""A log of JSON lines in which each names the hash of the one before, so that a change to any of them shows.

Tamper-evident, not forgery-proof: whoever can write the file can make the whole chain anew. Only a head, the hash of
the last line, that was noted elsewhere shows that, and it alone shows that lines were cut off at the end.

Lines are appended under a lock of the file, and synced. A line that a kill or a full disk left torn stays in the file
and is put aside by the next entry, which names it.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ffpipe.manifests.content import read_file
from ffpipe.manifests.errors import StorageError

#: What the first entry names as the one before.
START = "0" * 64
#: Event of the entry that puts a torn line aside.
TORN = "torn"
_LINKS = {"sequence": int, "previous": str, "hash": str}

Entry = dict[str, Any]


def append(path: Path, facts: Mapping[str, Any]) -> Entry:
    """Add an entry and return it with `sequence`, `previous` and `hash`; waits for others who append.

    Raises StorageError where it cannot be written; the log is then as it was. A symbolic link is not followed: a
    workspace of others could name any file of the user's by it.
    """
    try:
        with _locked(path) as descriptor:
            content = _read(descriptor)
            whole, torn = _split(content)
            known = [entry for entry in map(_parsed, whole) if entry]
            # Entries of older versions, which had no chain, are lines like others.
            last = known[-1] if known else {"sequence": len(whole), "hash": START}
            added: list[Entry] = []
            if torn:
                mark = {"event": TORN, "line": len(whole) + 1, "sha256": hashlib.sha256(torn).hexdigest()}
                last = _linked(mark, last)
                added.append(last)
            added.append(_linked(facts, last))
            text = b"\n" * bool(torn) + b"".join(_line(entry) for entry in added)
            _write(descriptor, text, len(content))
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
    return added[-1]


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    if path.is_symlink():
        raise OSError(errno.ELOOP, "a symbolic link, which is not written through")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    size, parts, at = os.fstat(descriptor).st_size, [], 0
    while at < size and (part := os.pread(descriptor, size - at, at)):
        parts.append(part)
        at += len(part)
    return b"".join(parts)


def _write(descriptor: int, text: bytes, size: int) -> None:
    """Append and sync; what was written of a text that does not fit is taken back."""
    try:
        written = os.write(descriptor, text)
        while written < len(text):
            written += os.write(descriptor, text[written:])
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, size)
        raise


def _split(content: bytes) -> tuple[list[bytes], bytes]:
    """The whole lines, and what follows the last of them."""
    *whole, torn = content.split(b"\n")
    return whole, torn


def _parsed(line: bytes) -> Entry | None:
    """The entry of a line, or None where the line is no link of a chain."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or any(type(entry.get(name)) is not kind for name, kind in _LINKS.items()):
        return None
    return entry if entry.get("event") != TORN or isinstance(entry.get("sha256"), str) else None


def _linked(facts: Mapping[str, Any], last: Mapping[str, Any]) -> Entry:
    entry = {**facts, "sequence": last["sequence"] + 1, "previous": last["hash"]}
    return {**entry, "hash": entry_hash(entry)}


def entry_hash(entry: Mapping[str, Any]) -> str:
    """SHA-256, hex, of an entry without its `hash`: JSON in ASCII with sorted names and no spaces."""
    bare = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(json.dumps(bare, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _line(entry: Entry) -> bytes:
    return json.dumps(entry, sort_keys=True).encode() + b"\n"


def read_entries(path: Path) -> list[Entry]:
    """Every entry of a log, also those of before it was chained, without following the chain.

    Torn lines that were put aside are left out, and a torn end, since what is torn never counted. Raises StorageError
    where another line is damaged, or the file cannot be read; a log that is not there is empty.
    """
    try:
        lines, _ = _split(read_file(path) if path.exists() else b"")
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    aside = {entry["sha256"] for entry in map(_parsed, lines) if entry and entry.get("event") == TORN}
    found = []
    for number, line in enumerate(lines, start=1):
        if _is_object(line):
            found.append(dict(json.loads(line)))
        elif hashlib.sha256(line).hexdigest() not in aside:
            raise StorageError(f"{path}: damaged: line {number} is no entry")
    return found


@dataclass(slots=True)
class Checked:
    """What a log holds: its entries in the order of the file, the head, what is wrong with it, and what is told."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def head(self) -> str | None:
        """The hash of the last entry, to be noted elsewhere; None for an empty log."""
        return str(self.entries[-1]["hash"]) if self.entries else None

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def check(path: Path, head: str | None = None) -> Checked:
    """Read a log and follow its chain; `head` is a hash that was noted when it was the last.

    A log that is not there is empty, which is a problem only with a head. Raises StorageError.
    """
    try:
        content = read_file(path) if path.exists() else b""
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    lines, torn = _split(content)
    parsed = [_parsed(line) for line in lines]
    found = Checked([entry for entry in parsed if entry])
    found.problems += _damaged(lines, parsed, found.notes)
    found.problems += _links(found.entries, chained_later=bool(parsed) and parsed[0] is None)
    if torn:
        found.problems.append(
            f"line {len(lines) + 1} is torn: a kill or a full disk while it was written, or the file was cut there; "
            "the next entry puts it aside"
        )
    if head and head not in {entry["hash"] for entry in found.entries}:
        found.problems.append(f"the head {head} is not in the chain: entries were cut off or made anew")
    return found


def _damaged(lines: Sequence[bytes], parsed: Sequence[Entry | None], notes: list[str]) -> Iterator[str]:
    """Lines that are no entry, unless one put them aside as torn, or they come before the chain began."""
    aside = {entry["sha256"]: entry["sequence"] for entry in parsed if entry and entry.get("event") == TORN}
    began = next((place for place, entry in enumerate(parsed) if entry), len(parsed))
    for place, (line, entry) in enumerate(zip(lines, parsed, strict=True)):
        digest = hashlib.sha256(line).hexdigest()
        if entry:
            continue
        if digest in aside:
            notes.append(f"line {place + 1} is torn; entry {aside[digest]} put it aside")
        elif place < began and _is_object(line) and not _LINKS.keys() & json.loads(line).keys():
            notes.append(f"line {place + 1} is of a version that had no chain")
        else:
            yield f"line {place + 1} is damaged: no entry of this log"


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _links(entries: Sequence[Entry], chained_later: bool) -> Iterator[str]:
    numbers = [entry["sequence"] for entry in entries]
    hashes = {entry["sequence"]: entry["hash"] for entry in entries}
    for number, times in Counter(numbers).items():
        if times > 1:
            yield f"entry {number} is there {times} times"
    first = min(numbers, default=1) if chained_later else 1
    for before, after in pairwise([first - 1, *sorted({n for n in numbers if n >= first})]):
        if after - before == 2:
            yield f"entry {before + 1} is missing"
        elif after - before > 2:
            yield f"entries {before + 1} to {after - 1} are missing"
    last = 0
    for entry in entries:
        number = entry["sequence"]
        if number < last:
            yield f"entry {number} stands behind entry {last}: the order was changed"
        if entry_hash(entry) != entry["hash"]:
            yield f"entry {number} was changed: its content has another hash"
        expected = START if number == first else hashes.get(number - 1)
        if expected is not None and entry["previous"] != expected:
            yield f"entry {number} does not follow what stands before it: one of the two was replaced"
        last = max(last, number)
