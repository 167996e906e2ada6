"""Which files the given paths, folders and globs stand for; nothing is decoded, and nothing is lost silently.

The rules, in the order in which they are asked:

- A path that exists is what it is, whatever its name looks like: `http:`, `-x.mp4` and `clip[1].mp4` are
  local names. A path that does not exist is a glob if it holds `*`, `?` or `[`, else an input (its row will
  say `missing`). A glob means the names it matches, as if a shell had expanded it; `**` is any depth.
- A file named explicitly is always an input, unless opening it could block: FIFOs, sockets and devices are
  skipped with a reason.
- In a folder, hidden files are counted; companions (`filekinds.COMPANION_SUFFIXES`) that do not look like media are
  counted; everything else is an input, also when its kind is unknown. What cannot be opened (special files,
  no permission, broken links) and links that lead back into the walk are skipped with a reason.
- One file found twice under one name (`dir` and `dir/a.mp4`) is one input; two copies are two.

Paths are text as given by the user, undecodable bytes kept by surrogateescape: `path_bytes` gives the bytes
back, `display_path` text that is safe to print.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.filekinds import HEAD_BYTES, companion_kind, looks_like_media

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_SPECIAL_KINDS = (
    (stat.S_ISFIFO, "named pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "character device"),
    (stat.S_ISBLK, "block device"),
)
_GLOB_CHARACTER = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A path that was found but not opened, and why; it gets a row with status `skipped`."""

    path: str
    reason: str


@dataclass(slots=True)
class Inputs:
    """What `collect` found: `entries` to be processed, `skipped` for rows only, and what was merely counted.

    `companions` counts files by lower-case suffix (or name where there is none); `hidden` counts names with
    a leading dot, a hidden folder as one, and `hidden_paths` lists them.
    """

    entries: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    companions: Counter[str] = field(default_factory=Counter)
    hidden_paths: list[str] = field(default_factory=list)

    @property
    def hidden(self) -> int:
        """How many names with a leading dot were passed over."""
        return len(self.hidden_paths)

    def companions_line(self) -> str | None:
        """One line for people, such as `12 companion files not scored (.json 10, .txt 2)`; None for none."""
        if not self.companions:
            return None
        kinds = ", ".join(
            f"{display_path(suffix)} {count}"
            for suffix, count in sorted(self.companions.items(), key=lambda item: (-item[1], item[0]))
        )
        total = self.companions.total()
        return f"{total} companion {'file' if total == 1 else 'files'} not scored ({kinds})"


def path_bytes(path: AnyPath) -> bytes:
    """The file system's own bytes of a path."""
    return os.fsencode(path)


def display_path(path: AnyPath) -> str:
    r"""A path as valid UTF-8 text on one line, inert on a terminal.

    Undecodable bytes become `\xNN`; control, format (also bidirectional overrides), line and paragraph
    separator characters become `\n`, `\xNN` or `\uNNNN`. The result is for eyes: `path_bytes` is the identity.
    """
    return "".join(_shown(character) for character in os.fsdecode(path))


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def collect(paths: Sequence[AnyPath], exclude: Sequence[AnyPath] = ()) -> Inputs:
    """The inputs that files, folders and globs stand for, folders walked without their `exclude` folders.

    The order is that of the arguments, and within a folder or glob that of the names' bytes.

    Raises:
        UsageError: a path is empty or holds a NUL byte, or a glob matches nothing.
    """
    walk = _Walk(exclude)
    for given in paths:
        text = _checked(given)
        found = [text] if os.path.lexists(text) or not _GLOB_CHARACTER.search(text) else _expand(text)
        for path in found:
            walk.add_named(path)
    return walk.inputs


def _checked(given: AnyPath) -> str:
    text = os.fsdecode(given)
    if not text:
        raise UsageError("an input path is empty; give a file, a folder or a glob")
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        raise UsageError(f"no file can have this name: {display_path(text)}") from None
    if "\0" in text:
        raise UsageError(f"an input path holds a NUL byte: {display_path(text)}")
    return text


def _order(path: str) -> bytes:
    return os.fsencode(path)


class _Walk:
    """One collection: remembers which folders were entered and which files were listed."""

    def __init__(self, exclude: Sequence[AnyPath]) -> None:
        self.inputs = Inputs()
        self._excluded = {identity for path in exclude if (identity := _identity(os.fsdecode(path)))}
        self._entered: set[tuple[int, int]] = set()
        self._listed: set[tuple[str, str]] = set()
        self._real_parents: dict[str, str] = {}

    def add_named(self, path: str) -> None:
        """A path from the command line or a glob: a folder is walked, anything else is listed."""
        try:
            mode = Path(path).stat().st_mode
        except OSError:
            self._list(path)
            return
        if stat.S_ISDIR(mode):
            if self._first_time(path):
                self._add_folder(path)
        elif special := _special(mode):
            self._skip(path, special)
        else:
            self._list(path)

    def _add_folder(self, top: str) -> None:
        """Real folders first, linked ones after, so that a file is listed under its real name."""
        found: list[tuple[str, str | None]] = []
        links: list[str] = []
        self._enter(top, found, links)
        while links:
            self._enter(links.pop(0), found, links)
        for path, reason in sorted(found, key=lambda item: _order(item[0])):
            if reason is None:
                self._list(path)
            else:
                self._skip(path, reason)

    def _enter(self, top: str, found: list[tuple[str, str | None]], links: list[str]) -> None:
        pending = [top]
        while pending:
            folder = pending.pop()
            identity = _identity(folder)
            if identity in self._entered:
                if Path(folder).is_symlink():
                    found.append((folder, "the folder was already listed under another name"))
                continue
            try:
                children = sorted(os.scandir(folder), key=lambda child: _order(child.name))
            except OSError as error:
                found.append((folder, f"the folder cannot be read: {error.strerror}"))
                continue
            if identity:
                self._entered.add(identity)
            for child in children:
                self._sort_child(child, found, links, pending)

    def _sort_child(
        self,
        child: os.DirEntry[str],
        found: list[tuple[str, str | None]],
        links: list[str],
        pending: list[str],
    ) -> None:
        if child.name.startswith("."):
            self.inputs.hidden_paths.append(child.path)
            return
        try:
            facts = child.stat()
        except OSError as error:
            found.append((child.path, _stat_reason(child, error)))
            return
        if stat.S_ISDIR(facts.st_mode):
            if (facts.st_dev, facts.st_ino) not in self._excluded:
                (links if child.is_symlink() else pending).append(child.path)
        elif special := _special(facts.st_mode):
            found.append((child.path, special))
        elif (companion := companion_kind(child.name)) and not _begins_like_media(child.path):
            self.inputs.companions[companion] += 1
        else:
            found.append(
                (child.path, None if os.access(child.path, os.R_OK) else "no permission to read the file")
            )

    def _list(self, path: str) -> None:
        if self._first_time(path):
            self.inputs.entries.append(path)

    def _skip(self, path: str, reason: str) -> None:
        if self._first_time(path):
            self.inputs.skipped.append(Skipped(path, reason))

    def _first_time(self, path: str) -> bool:
        """Whether this name, in this real folder, has not been listed; links are names of their own."""
        where = Path(path)
        parent = str(where.parent)
        if parent not in self._real_parents:
            self._real_parents[parent] = os.path.realpath(parent)
        key = (self._real_parents[parent], where.name)
        if key in self._listed:
            return False
        self._listed.add(key)
        return True


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _special(mode: int) -> str | None:
    return next((f"not a regular file: {name}" for test, name in _SPECIAL_KINDS if test(mode)), None)


def _stat_reason(child: os.DirEntry[str], error: OSError) -> str:
    if child.is_symlink():
        return f"broken symbolic link: {error.strerror}"
    return f"cannot be examined: {error.strerror}"


def _begins_like_media(path: str) -> bool:
    """Read the head of a regular file; the file may have become a pipe since, hence no blocking open."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return looks_like_media(os.read(descriptor, HEAD_BYTES))
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _expand(pattern: str) -> list[str]:
    """The existing names that a glob matches; `**` does not follow links, so that no loop is entered.

    Raises:
        UsageError: nothing matches.
    """
    parts = Path(pattern).parts
    literal = next(i for i, part in enumerate(parts) if _GLOB_CHARACTER.search(part))
    base = str(Path(*parts[:literal])) if literal else ""
    matches = sorted(set(_matches(base, parts[literal:])), key=_order)
    if not matches:
        raise UsageError(f"no file matches {display_path(pattern)}, and no file has this name")
    return matches


def _matches(base: str, parts: Sequence[str]) -> Iterator[str]:
    if not parts:
        if os.path.lexists(base):
            yield base
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        if rest:
            yield from _matches(base, rest)
        for path in _children(base, "*"):
            if Path(path).is_dir() and not Path(path).is_symlink():
                yield from _matches(path, parts)
            elif not rest:
                yield path
    elif _GLOB_CHARACTER.search(head):
        for path in _children(base, head):
            yield from _matches(path, rest)
    else:
        yield from _matches(str(Path(base, head)), rest)


def _children(folder: str, pattern: str) -> list[str]:
    """Paths in a folder whose name matches one component; a leading dot must be asked for, as in a shell."""
    try:
        with os.scandir(folder or ".") as children:
            names = [child.name for child in children]
    except OSError:
        return []
    return [
        str(Path(folder, name))
        for name in names
        if fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))
    ]
