"""Pictures, folders of them and archives for the tests, sound and hostile, made in code."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from media import numbered
from PIL import Image


def png(number: int, size: tuple[int, int] = (48, 48), mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A picture that carries its number (`media.read_number`)."""
    target = io.BytesIO()
    Image.fromarray(numbered(number, *size)).convert(mode).save(target, kind)
    return target.getvalue()


def pngs(place: str, names: Iterable[int], first: int = 0) -> dict[str, bytes]:
    """Pictures `<place>/<name>.png`; the one of name k carries the number first + k."""
    return {f"{place}/{name}.png": png(first + name) for name in names}


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def member(name: str, content: bytes = b"", **facts: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member with any header fields, such as `type` and `linkname`."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in facts.items():
        setattr(info, field, value)
    return info, content


def write_tar(
    path: Path,
    files: Mapping[str, bytes] | Iterable[tuple[tarfile.TarInfo, bytes]],
    form: int = tarfile.GNU_FORMAT,
) -> Path:
    """A tar, compressed if its name says so, with members in the order given."""
    members = [member(name, data) for name, data in files.items()] if isinstance(files, Mapping) else files
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "w" if path.name.endswith(".tar") else "w:gz"
    with tarfile.open(path, mode, format=form) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return path


def bomb(path: Path, megabytes: int) -> Path:
    """A tar.gz of one picture's header and so many megabytes of zeros."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = megabytes << 20
    info = tarfile.TarInfo("1/fake/1/0.png")
    info.size = size
    with gzip.open(path, "wb", compresslevel=9) as file:
        file.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(megabytes):
            file.write(bytes(1 << 20))
    return path
