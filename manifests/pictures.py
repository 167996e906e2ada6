"""Picture sequences: which image files are one video's frames, in which order, and the hash of their content.

The order is that of the names, numbers in them by value: `9.png` before `10.png`. The content hash, which names the
medium, is `content.sequence_hash`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from ffpipe.manifests.content import sequence_hash, sha256_file
from ffpipe.manifests.filekinds import IMAGE_SUFFIXES, companion_kind
from ffpipe.manifests.inputs import Skipped, display_path
from ffpipe.manifests.records import Pictures
from ffpipe.manifests.tars import TarFault, TarReader

_DIGITS = re.compile(r"(\d+)")
#: Longer runs of digits are compared as text: Python refuses to read numbers of thousands of digits.
_LONGEST_NUMBER = 18


def natural_key(name: str) -> tuple[tuple[int, int, bytes], ...]:
    """Sorts names with the numbers in them by value; names that differ have different keys."""
    parts = [part for part in _DIGITS.split(name) if part]
    keys = [
        (0, int(part), part.encode())
        if part.isascii() and part.isdigit() and len(part) <= _LONGEST_NUMBER
        else (1, 0, os.fsencode(part))
        for part in parts
    ]
    return tuple(keys)


def is_picture(name: str) -> bool:
    """Whether a name promises an image; hidden files do not, such as the `._1.png` that some systems add."""
    place = PurePosixPath(name)
    return place.suffix.lower() in IMAGE_SUFFIXES and not place.name.startswith(".")


def folder_pictures(folder: str, names: Iterable[str]) -> Pictures:
    """The pictures of these names in a folder, in natural order."""
    return Pictures(folder, tuple(sorted(names, key=natural_key)))


def pictures_in(folder: Path) -> Pictures:
    """The visible pictures directly in a folder, in natural order."""
    try:
        names = [child.name for child in folder.iterdir() if is_picture(child.name) and child.is_file()]
    except OSError as error:
        return Pictures(str(folder), (), fault=f"the folder cannot be read: {error.strerror or error}")
    found = folder_pictures(str(folder), names)
    return found if names else Pictures(str(folder), (), fault="no picture in this folder")


def hash_of(pictures: Pictures) -> str:
    """The content hash of a sequence as it is now, read anew.

    Raises:
        OSError: a file cannot be read.
        TarFault: the archive is not what it was, or cannot be read.
    """
    if not pictures.packed:
        return sequence_hash(sha256_file(os.path.join(pictures.place, name)) for name in pictures.names)  # noqa: PTH118
    wanted, found = set(pictures.names), {}
    with TarReader(pictures.place) as reader:
        reader.skip_to(pictures.start)
        for member in reader.members():
            if member.is_file and member.name in wanted and member.name not in found:
                found[member.name] = _hash_member(reader)
            if len(found) == len(wanted):
                break
    if len(found) < len(wanted):
        raise TarFault("pictures of it are not in the archive any more")
    return sequence_hash(found[name] for name in pictures.names)


def _hash_member(reader: TarReader) -> str:
    digest = hashlib.sha256()
    for block in reader.content():
        digest.update(block)
    return digest.hexdigest()


@dataclass(slots=True)
class TarContent:
    """What a tar holds: the sequences by the folder inside that they lie in, and what was passed over.

    `fault` says why the archive could not be read to its end; the sequence that it broke off in says so too.
    """

    sequences: dict[str, Pictures] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    companions: Counter[str] = field(default_factory=Counter)
    fault: str | None = None


@dataclass(slots=True)
class _Gathered:
    """The pictures of one folder inside a tar while it is read: name -> content hash."""

    start: int
    hashes: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


def list_tar(path: str) -> TarContent:
    """Read a tar or tar.gz once from front to back: every folder in it that holds pictures is a sequence.

    Members with absolute names, with `..`, links, devices and second members of one name are skipped with a reason.
    Nothing is written, and of the content nothing is kept but its hash. What cannot be read becomes `fault`.
    """
    content = TarContent()
    folders: dict[str, _Gathered] = {}
    try:
        with TarReader(path) as reader:
            for member in reader.members():
                folder = str(PurePosixPath(member.name).parent)
                if member.kind == "a folder":
                    continue
                if refusal := member.refusal():
                    content.skipped.append(Skipped(f"{path}/{member.name}", refusal))
                elif not is_picture(member.name):
                    _pass_over(path, member.name, content)
                elif member.name in folders.get(folder, _Gathered(0)).hashes:
                    content.skipped.append(Skipped(f"{path}/{member.name}", "a second member of this name"))
                else:
                    gathered = folders.setdefault(folder, _Gathered(member.start))
                    gathered.hashes[member.name] = _hash_member(reader)
                    gathered.bytes += member.size
    except TarFault as fault:
        content.fault = str(fault)
    except OSError as error:
        content.fault = f"the archive cannot be read: {error.strerror or error}"
    broken = content.fault and next(reversed(folders), None)
    for folder, gathered in folders.items():
        lost = f"{content.fault}; it may lack pictures" if folder == broken else None
        content.sequences[folder] = _packed(path, gathered, lost)
    return content


def _pass_over(path: str, name: str, content: TarContent) -> None:
    if PurePosixPath(name).name.startswith("."):
        content.companions["hidden"] += 1
    elif companion := companion_kind(name):
        content.companions[companion] += 1
    else:
        content.skipped.append(Skipped(f"{path}/{name}", "no picture by its name"))


def _packed(path: str, gathered: _Gathered, fault: str | None) -> Pictures:
    names = tuple(sorted(gathered.hashes, key=natural_key))
    return Pictures(
        path,
        names,
        packed=True,
        start=gathered.start,
        bytes=gathered.bytes,
        sha256=sequence_hash(gathered.hashes[name] for name in names),
        fault=fault,
    )


def missing_text(missing: Sequence[str], listed: int, shown: int = 5) -> str:
    """That listed pictures are not there, with the names of the first."""
    names = ", ".join(display_path(Path(name).name) for name in missing[:shown])
    more = f" and {len(missing) - shown} more" if len(missing) > shown else ""
    return f"{len(missing)} of {listed} listed pictures are missing: {names}{more}"
