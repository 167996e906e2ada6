"""Faces to network batches: fetch, augment, resize and stack, in threads ahead of the step that uses them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ffpipe.pipeline.faces import Face, FaceSource, FaceTable, Rows
from ffpipe.pipeline.sampler import Draws, Sampler
from ffpipe.stages.augment import Augmentation, augment, draw_generator, numpy_generator
from ffpipe.stages.infer import to_input
from ffpipe.stages.statistics import face_sida
from ffpipe.stages.window import CENTRE, Fit, Place, window

#: Faces whose D is read at a time, about 9 MB.
_SIDA_BATCH = 1024

_R = TypeVar("_R")


@dataclass(frozen=True, slots=True)
class Batch:
    """image (B,3,S,S) in [0,1]; sida (B,2304), or None for a detector without it; label (B,), 0 real, 1 fake.

    teacher_image and teacher_sida are the same faces at the quality and size that a teacher reads, where one teaches.
    """

    image: Tensor
    sida: Tensor | None
    label: Tensor
    teacher_image: Tensor | None = None
    teacher_sida: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on a device, copied without waiting where that is possible."""
        if device.type == "cpu":
            return self

        def move(tensor: Tensor) -> Tensor:
            return tensor.pin_memory().to(device, non_blocking=True)

        optional = (self.sida, self.teacher_image, self.teacher_sida)
        sida, *taught = (None if tensor is None else move(tensor) for tensor in optional)
        return Batch(move(self.image), sida, move(self.label), *taught)

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class NetworkInput:
    """What a detector reads: the side of its square image in pixels, whether it reads D, and how images fit it."""

    size: int
    needs_sida: bool
    fit: Fit = "resize"


@dataclass(frozen=True, slots=True)
class Pairs:
    """rows: for each face of the table the row of its pair. network: how the teacher is fed with those."""

    rows: Rows
    network: NetworkInput


@dataclass(frozen=True, slots=True)
class TrainBatches:
    """Training batches of an epoch for one rank; with `pairs` each face comes with its pair, under the same draws.

    pseudo: some draws may be fakes made of real faces; every face is then treated as `stages.pseudo_fakes` says.
    """

    source: FaceSource
    sampler: Sampler
    network: NetworkInput
    augmentation: Augmentation
    threads: int = 0
    rank: int = 0
    pairs: Pairs | None = None
    pseudo: bool = False

    @property
    def steps(self) -> int:
        """Steps in an epoch."""
        return self.sampler.steps

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from step `start` on; equal to those of an epoch run from its beginning."""
        order = self.sampler.order(epoch)

        def prepare(step: int) -> Batch:
            draws = self.sampler.batch(order, step, self.rank)
            batch = self._drawn(draws, draws.rows, epoch, self.network)
            if self.pairs is None:
                return batch
            taught = self._drawn(draws, self.pairs.rows[draws.rows], epoch, self.pairs.network)
            return replace(batch, teacher_image=taught.image, teacher_sida=taught.sida)

        yield from ahead(prepare, range(start, self.steps), self.threads)

    def _drawn(self, draws: Draws, rows: Rows, epoch: int, network: NetworkInput) -> Batch:
        """The faces of `rows`, augmented as the draws say: rows of pairs are augmented as what they pair."""
        found = self.source.fetch(rows.tolist())
        faces = [
            self.drawn(face, epoch, row, copy, blended, network)
            for face, row, copy, blended in zip(found, *(column.tolist() for column in draws), strict=True)
        ]
        labels = self.source.table.label[rows] | draws.blended
        return _stack(faces, labels, network)

    def drawn(
        self, face: Face, epoch: int, row: int, copy: int, blended: bool, network: NetworkInput
    ) -> Face:
        """A face as training draws it, before it is resized for the network; row, copy and blended as in `Draws`."""
        generator = self.generator(epoch, row, copy, blended)
        if self.pseudo:
            return self._disguised(face, row, blended, network, generator)
        place = _drawn_place(generator) if network.fit == "crop" else CENTRE
        sida = face.sida if network.needs_sida else None
        crop, changed = augment(face.crop, sida, self.augmentation, generator)
        if network.fit == "crop":
            crop = window(crop, network.size, place)
        return Face(crop, face.sida if changed is None else changed)

    def generator(self, epoch: int, row: int, copy: int, blended: bool) -> torch.Generator:
        """The random numbers of a draw. A blend's are others than those of the same face as it is."""
        return draw_generator(self.sampler.seed, epoch, row, -1 - copy if blended else copy)

    def _disguised(
        self, face: Face, row: int, blended: bool, network: NetworkInput, generator: torch.Generator
    ) -> Face:
        """A face of a training with pseudo-fakes; statistics are those of the final pixels, blended or not."""
        # Needs OpenCV, which the loop can do without.
        from ffpipe.stages.pseudo_fakes import before_augmentation, recompressed

        random = numpy_generator(generator)
        crop = before_augmentation(face.crop, self.source.table.shape(row), blended, random)
        crop, _ = augment(crop, None, self.augmentation, generator)
        crop = recompressed(crop, random)
        return Face(crop, face_sida([crop])[0] if network.needs_sida else face.sida)


@dataclass(frozen=True, slots=True)
class EvalBatches:
    """Untouched faces in a fixed order, for validation; `rows` has one entry a face."""

    source: FaceSource
    rows: Rows
    network: NetworkInput
    batch_size: int
    threads: int = 0

    @property
    def steps(self) -> int:
        """Batches in all."""
        return -(-len(self.rows) // self.batch_size)

    def batches(self, steps: Sequence[int] | None = None) -> Iterator[tuple[slice, Batch]]:
        """The batches (all, or those numbered), each with the places of its faces in `rows`."""

        def prepare(step: int) -> tuple[slice, Batch]:
            place = slice(step * self.batch_size, min((step + 1) * self.batch_size, len(self.rows)))
            rows = self.rows[place]
            labels = self.source.table.label[rows]
            return place, _stack(self.source.fetch(rows.tolist()), labels, self.network)

        yield from ahead(prepare, range(self.steps) if steps is None else steps, self.threads)


def sida_batches(source: FaceSource, rows: Rows) -> Iterator[Tensor]:
    """D as stored of the faces `in_block_order`, in batches (n,2304), each block on disk being read once."""
    ordered = in_block_order(source.table, rows)
    for start in range(0, len(ordered), _SIDA_BATCH):
        yield torch.from_numpy(source.sida(ordered[start : start + _SIDA_BATCH].tolist()))


def in_block_order(table: FaceTable, rows: Rows) -> Rows:
    """The rows in the order in which they lie on disk."""
    return rows[np.argsort(table.block[rows], kind="stable")]


def _drawn_place(generator: torch.Generator) -> Place:
    down, across = torch.rand(2, generator=generator).tolist()
    return down, across


def _stack(faces: Sequence[Face], labels: npt.NDArray[np.int8], network: NetworkInput) -> Batch:
    image = torch.stack([to_input(face.crop, network.size, network.fit) for face in faces])  # (B,3,S,S)
    sida = torch.from_numpy(np.stack([face.sida for face in faces])) if network.needs_sida else None
    return Batch(image, sida, torch.from_numpy(labels.astype(np.int64)))


def ahead(prepare: Callable[[int], _R], steps: Sequence[int], threads: int) -> Iterator[_R]:
    """`prepare(step)` for each step in order, computed up to twice `threads` steps ahead; 0 computes on demand."""
    if not threads:
        yield from map(prepare, steps)
        return
    pending: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(threads, "faces") as pool:
        try:
            for step in steps:
                pending.append(pool.submit(prepare, step))
                if len(pending) > 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
