"""Faces as plain .npy files, so that the training loop runs where neither pyarrow nor a PNG decoder is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.pipeline.faces import Face, FaceSource, FaceTable, Rows

_COLUMNS = ("label", "medium", "track", "frame", "pts", "box", "side", "stored_side")
#: Columns that folders got later, with their lengths: where a file lacks, they are not known.
_LATER_COLUMNS = {"landmarks": 10, "inner": 4}
#: Faces of a block: large enough to read in one go, small enough to mix many of them.
_BLOCK_FACES = 256
#: Bytes before the data of a small .npy file.
_NPY_HEADER = 128
#: Faces fetched from the source at a time while packing.
_CHUNK = 256


def pack(source: FaceSource, rows: Rows, folder: Path) -> None:
    """Write faces to a folder that `PackedFaces` opens; pixels and D as stored, one after another.

    Files: `images` (all crops' bytes in one run), `offsets` and `shapes` of the crops, `sida`, `media`,
    `groups`, `methods` and `looked` (per medium), and one file per column of the table. Raises StorageError.
    """
    table = source.table
    try:
        folder.mkdir(parents=True, exist_ok=True)
        medium, numbers = np.unique(table.medium[rows], return_inverse=True)
        for name in (*_COLUMNS, *_LATER_COLUMNS):
            values = numbers.astype(np.int32) if name == "medium" else getattr(table, name)[rows]
            np.save(folder / f"{name}.npy", values)
        np.save(folder / "media.npy", np.array([table.media[m] for m in medium], dtype=np.str_))
        np.save(folder / "groups.npy", np.array([table.groups[m] for m in medium], dtype=np.str_))
        methods = [table.methods[m] or "" for m in medium]
        np.save(folder / "methods.npy", np.array(methods, dtype=np.str_))
        np.save(folder / "looked.npy", np.array([table.looked[m] for m in medium], dtype=np.int64))
        _write_pixels(source, rows, folder)
    except OSError as error:
        raise StorageError(f"cannot write {folder}: {error.strerror or error}") from error


def _write_pixels(source: FaceSource, rows: Rows, folder: Path) -> None:
    """The pixels' length is known only when all are decoded: raw bytes first, their .npy header last."""
    shapes, sida, total = [], [], 0
    raw = folder / "images.raw"
    with raw.open("wb") as file:
        for start in range(0, len(rows), _CHUNK):
            for face in source.fetch(rows[start : start + _CHUNK].tolist()):
                file.write(np.ascontiguousarray(face.crop).tobytes())
                shapes.append(face.crop.shape[:2])
                sida.append(face.sida)
                total += face.crop.size
    sizes = np.array(shapes, dtype=np.int64).reshape(-1, 2)
    np.save(folder / "shapes.npy", sizes)
    np.save(folder / "sida.npy", np.array(sida, dtype=np.float32))
    if total:
        images = np.lib.format.open_memmap(folder / "images.npy", mode="w+", dtype=np.uint8, shape=(total,))
        images[:] = np.memmap(raw, dtype=np.uint8, mode="r")
        images.flush()
    else:
        np.save(folder / "images.npy", np.empty(0, dtype=np.uint8))
    raw.unlink()


class PackedFaces:
    """Faces from `pack`'s folder, memory-mapped. Safe for several threads.

    In a folder that an earlier version packed, landmarks, places in the crop and methods are not known.
    Raises IntegrityError for a folder that is incomplete or whose files do not fit together.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        columns = {name: _load(folder, name) for name in _COLUMNS}
        columns |= {name: _load_later(folder, name, len(columns["label"])) for name in _LATER_COLUMNS}
        self._images, self._sida = _load(folder, "images", mapped=True), _load(folder, "sida", mapped=True)
        self._shapes = _load(folder, "shapes")
        sizes = self._shapes.prod(axis=1) * 3
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])
        count = len(self._shapes)
        if self._offsets[-1] != len(self._images) or any(len(c) != count for c in columns.values()):
            raise IntegrityError(f"{folder}: the packed files do not fit together; pack again")
        block = np.arange(count) // _BLOCK_FACES
        media = tuple(_load(folder, "media").tolist())
        self._table = FaceTable(
            **columns,
            block=block.astype(np.int32),
            place=(np.arange(count) % _BLOCK_FACES).astype(np.int32),
            block_bytes=np.bincount(block, weights=sizes).astype(np.int64),
            media=media,
            groups=tuple(_load(folder, "groups").tolist()),
            methods=_methods(folder, len(media)),
            looked=tuple(_load(folder, "looked").tolist()),
        )

    @property
    def table(self) -> FaceTable:
        """The faces that can be fetched."""
        return self._table

    def fetch(self, rows: Sequence[int]) -> list[Face]:
        """Pixels and statistics of the faces, in the order asked for."""
        return [self._face(row) for row in rows]

    def sida(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Statistics alone, (n,2304), in the order asked for."""
        return np.array(self._sida[list(rows)])

    def _face(self, row: int) -> Face:
        height, width = self._shapes[row]
        crop = self._images[self._offsets[row] : self._offsets[row + 1]].reshape(height, width, 3)
        return Face(np.array(crop), np.array(self._sida[row]))


def _load_later(folder: Path, name: str, count: int) -> npt.NDArray[Any]:
    if (folder / f"{name}.npy").exists():
        return _load(folder, name)
    return np.full((count, _LATER_COLUMNS[name]), np.nan, np.float32)


def _methods(folder: Path, media: int) -> tuple[str | None, ...]:
    if not (folder / "methods.npy").exists():
        return (None,) * media
    return tuple(name or None for name in _load(folder, "methods").tolist())


def _load(folder: Path, name: str, mapped: bool = False) -> npt.NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        # An empty array cannot be mapped.
        mode: Literal["r"] | None = "r" if mapped and path.stat().st_size > _NPY_HEADER else None
        array: npt.NDArray[Any] = np.load(path, mmap_mode=mode, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: not a packed file: {error}") from error
    return array
