"""Faces of committed shards for training: an index without pixels, and pixels read by row group when needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ffpipe.manifests.errors import IntegrityError
from ffpipe.manifests.parquet import open_parquet
from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.manifests.schemas import check_file
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.faces import Face, FaceTable
from ffpipe.pipeline.sampler import POOL_BYTES
from ffpipe.stages.crop import decode_crop

_PLAIN_COLUMNS = ("track_id", "frame_index", "pts_seconds", "crop_side", "stored_side", "sharpness")
_INDEX_COLUMNS = ("media_id", "box", "crop_box", "landmarks", *_PLAIN_COLUMNS)
#: Pieces of an index column that are joined together.
_JOINED = 256
_PIXEL_COLUMNS = ("crop", "sida")


@dataclass(frozen=True, slots=True)
class Labelled:
    """What training knows of a medium: its label, the group that must not be divided, frames looked at, and method."""

    label: int
    group: str
    looked: int
    method: str | None = None


class _Block(NamedTuple):
    """A row group of a shard."""

    path: Path
    row_group: int


class _Loaded(NamedTuple):
    crops: pa.Array
    sida: npt.NDArray[np.float32]
    bytes: int


class ShardFaces:
    """The faces of some media of committed shards, as a source of training and validation.

    Up to `cache_bytes` of row groups are kept in memory, the least recently used one going first; the sampler
    pools what it mixes so that each row group is read about once an epoch. Safe for several threads.
    """

    def __init__(self, table: FaceTable, blocks: Sequence[_Block], cache_bytes: int = POOL_BYTES) -> None:
        self._table = table
        self._blocks = list(blocks)
        # A batch may straddle two pools: room for the largest row group is added.
        self._limit = cache_bytes + int(table.block_bytes.max(initial=0))
        self._cache: OrderedDict[int, _Loaded] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()
        self.reads = 0

    @classmethod
    def index(
        cls,
        groups: Sequence[ShardGroup],
        media: Mapping[str, Labelled],
        cache_bytes: int = POOL_BYTES,
        verify: bool = True,
    ) -> ShardFaces:
        """The faces of `media` in all groups; a medium extracted into two of them is taken from the first.

        `verify` checks each shard against its commit, which reads it once. Raises IntegrityError naming a
        damaged shard.
        """
        builder = _Builder(media)
        for group in groups:
            for path, part in group.shards("faces"):
                if verify:
                    group.verify(path, part, "faces")
                else:
                    check_file(path, "faces")
                try:
                    builder.add(path)
                except (OSError, pa.ArrowException) as error:
                    raise IntegrityError(f"{path}: cannot be read: {error}") from error
            builder.close_group()
        return cls(builder.table(), builder.blocks, cache_bytes)

    @property
    def table(self) -> FaceTable:
        """The faces that can be fetched."""
        return self._table

    @property
    def held_bytes(self) -> int:
        """Memory that the kept row groups take."""
        return self._held

    def fetch(self, rows: Sequence[int]) -> list[Face]:
        """Pixels and statistics of the faces, in the order asked for. Raises IntegrityError."""
        return [self._face(row) for row in rows]

    def sida(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        """Statistics alone, (n,2304), in the order asked for; no crop is decoded. Raises IntegrityError."""
        table = self._table
        return np.stack([self._load(int(table.block[row])).sida[table.place[row]] for row in rows])

    def _face(self, row: int) -> Face:
        number = int(self._table.block[row])
        block, loaded = self._blocks[number], self._load(number)
        place = self._table.place[row]
        try:
            return Face(decode_crop(loaded.crops[place].as_py()), loaded.sida[place])
        except IntegrityError as error:
            raise IntegrityError(f"{block.path}, row group {block.row_group}: {error}") from error

    def _load(self, number: int) -> _Loaded:
        with self._lock:
            found = self._cache.get(number)
            if found is not None:
                self._cache.move_to_end(number)
                return found
            loaded = self._read(self._blocks[number])
            self._cache[number] = loaded
            self._held += loaded.bytes
            while self._held > self._limit and len(self._cache) > 1:
                _, dropped = self._cache.popitem(last=False)
                self._held -= dropped.bytes
            return loaded

    def _read(self, block: _Block) -> _Loaded:
        self.reads += 1
        with open_parquet(block.path) as file:
            rows = file.read_row_group(block.row_group, columns=list(_PIXEL_COLUMNS))
        crops, sida = (rows.column(name).combine_chunks() for name in _PIXEL_COLUMNS)
        vectors = sida.flatten().to_numpy().reshape(-1, SIDA_LENGTH)
        return _Loaded(crops, vectors, rows.nbytes)


class _Builder:
    """Gathers the index of faces shard by shard."""

    def __init__(self, media: Mapping[str, Labelled]) -> None:
        self._known = media
        self._numbers: dict[str, int] = {}
        self._closed = 0
        self._columns: dict[str, _Pieces] = {}
        self._bytes: list[int] = []
        self.blocks: list[_Block] = []

    def add(self, path: Path) -> None:
        """Take in the faces of a shard, row group by row group."""
        with open_parquet(path) as file:
            names = {file.metadata.schema.column(i).path: i for i in range(file.metadata.num_columns)}
            for row_group in range(file.num_row_groups):
                rows = file.read_row_group(row_group, columns=list(_INDEX_COLUMNS))
                stored = file.metadata.row_group(row_group)
                size = stored.column(names["crop"]).total_uncompressed_size + 4 * SIDA_LENGTH * rows.num_rows
                self._add_block(_Block(path, row_group), rows, size)

    def close_group(self) -> None:
        """What further groups hold of the media seen so far is left out."""
        self._closed = len(self._numbers)

    def _add_block(self, block: _Block, rows: pa.Table, size: int) -> None:
        media = np.array([self._number(name) for name in rows.column("media_id").to_pylist()], dtype=np.int32)
        kept = np.flatnonzero(media >= self._closed)
        if not len(kept):
            return
        columns = {name: rows.column(name).to_numpy()[kept] for name in _PLAIN_COLUMNS}
        box, crop_box, landmarks = (
            _vectors(rows.column(name), length)[kept]
            for name, length in (("box", 4), ("crop_box", 4), ("landmarks", 10))
        )
        columns["box"] = box
        columns["inner"], columns["landmarks"] = (_in_crop(points, crop_box) for points in (box, landmarks))
        columns |= {
            "media": media[kept],
            "place": kept.astype(np.int32),
            "block": np.full(len(kept), len(self.blocks), dtype=np.int32),
        }
        for name, values in columns.items():
            self._columns.setdefault(name, _Pieces()).add(values)
        self.blocks.append(block)
        self._bytes.append(size)

    def _number(self, name: str) -> int:
        """A medium's number; -1 for one that training does not use."""
        if name not in self._known:
            return -1
        return self._numbers.setdefault(name, len(self._numbers))

    def table(self) -> FaceTable:
        media = tuple(self._numbers)
        labels = np.array([self._known[name].label for name in media], dtype=np.int8)
        medium = self._column("media", np.int32)
        return FaceTable(
            label=labels[medium],
            medium=medium,
            track=self._column("track_id", np.int32),
            frame=self._column("frame_index", np.int64),
            pts=self._column("pts_seconds", np.float64),
            box=self._column("box", np.float32).reshape(-1, 4),
            side=self._column("crop_side", np.int32),
            stored_side=self._column("stored_side", np.int32),
            landmarks=self._column("landmarks", np.float32).reshape(-1, 10),
            inner=self._column("inner", np.float32).reshape(-1, 4),
            block=self._column("block", np.int32),
            place=self._column("place", np.int32),
            block_bytes=np.array(self._bytes, dtype=np.int64),
            media=media,
            groups=tuple(self._known[name].group for name in media),
            methods=tuple(self._known[name].method for name in media),
            looked=tuple(self._known[name].looked for name in media),
            sharpness=self._column("sharpness", np.float32),
        )

    def _column(self, name: str, kind: type[np.generic]) -> npt.NDArray[Any]:
        # What is taken is let go, and nothing of the right kind is copied twice: a large index is most of the memory.
        pieces = self._columns.pop(name, None)
        return pieces.joined().astype(kind, copy=False) if pieces else np.empty(0, dtype=kind)


class _Pieces:
    """A column in pieces, joined every so often: many small ones would leave as many holes in memory behind them."""

    def __init__(self) -> None:
        self._long: list[npt.NDArray[Any]] = []
        self._short: list[npt.NDArray[Any]] = []

    def add(self, values: npt.NDArray[Any]) -> None:
        self._short.append(values)
        if len(self._short) == _JOINED:
            self._long.append(np.concatenate(self._short))
            self._short = []

    def joined(self) -> npt.NDArray[Any]:
        return np.concatenate([*self._long, *self._short])


def _vectors(column: pa.ChunkedArray, length: int) -> npt.NDArray[np.float32]:
    """A column of lists of one length as (n,length), not a number where there is none."""
    lists = column.combine_chunks()
    there = lists.is_valid().to_numpy(zero_copy_only=False)
    vectors = np.full((len(lists), length), np.nan, np.float32)
    vectors[there] = lists.flatten().to_numpy().reshape(-1, length)
    return vectors


def _in_crop(points: npt.NDArray[np.float32], crop_box: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Points (n,2k) of the frame as shares of the sides of crops whose boxes in the frame are (n,4)."""
    corner, far = crop_box[:, None, :2], crop_box[:, None, 2:]
    shares: npt.NDArray[np.float32] = (points.reshape(len(points), -1, 2) - corner) / (far - corner)
    return shares.reshape(points.shape)
