"""The order in which training draws faces: seeded, resumable at any step, and kind to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ffpipe.pipeline.faces import Rows

#: Bytes of crops that are mixed with one another at a time; about what the reader may hold in memory. Torch and the
#: other libraries take 0.85 GB: with a table of a million faces, this much keeps all below 2 GB (benchmarks/walk.py).
POOL_BYTES = 1 << 29


class Draws(NamedTuple):
    """Faces drawn for a batch: row numbers, which copy of the face each draw is, and whether a fake is made of it."""

    rows: Rows
    copies: Rows
    blended: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws every row `copies` times an epoch, in batches, and some rows of each part once more.

    Blocks (what the disk reads at once) are taken in random order, once for each copy, and pooled up to
    `pool_bytes`; draws are shuffled within a pool. The order depends on seed and epoch alone, so that a step
    number is a full position. A last batch of one is merged into the one before, since batch normalisation
    of vectors needs two. With several ranks each step takes `world` batches and what is left over is dropped.

    rows, blocks and copies have one entry per face; block_bytes has one per block. part and blended, where they are
    given, have one entry per face too (a face may be there twice, as it is and blended), and `extra` says for each
    part how many of its entries are drawn once more: others in every epoch.
    """

    rows: Rows
    blocks: npt.NDArray[np.int32]
    copies: Rows
    block_bytes: Rows
    batch_size: int
    seed: int
    pool_bytes: int = POOL_BYTES
    world: int = 1
    part: npt.NDArray[np.int16] | None = None
    extra: Rows | None = None
    blended: npt.NDArray[np.bool_] | None = None

    @property
    def draws(self) -> int:
        """Faces drawn in an epoch."""
        return int(self.copies.sum()) + (0 if self.extra is None else int(self.extra.sum()))

    @property
    def batches(self) -> int:
        """Batches in an epoch, over all ranks."""
        whole, rest = divmod(self.draws, self.batch_size)
        return whole + (rest > 1 or (rest == 1 and whole == 0))

    @property
    def steps(self) -> int:
        """Steps in an epoch: batches that each rank takes."""
        return self.batches // self.world

    def order(self, epoch: int) -> Draws:
        """All draws of an epoch in order."""
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch]))
        times = self._times(epoch)
        index = np.repeat(np.arange(len(self.rows)), times)
        copies = np.arange(len(index)) - np.repeat(np.cumsum(times) - times, times)
        most = int(copies.max(initial=0)) + 1
        # One number for a block and a copy, in their order.
        units, unit = np.unique(self.blocks[index].astype(np.int64) * most + copies, return_inverse=True)
        pools = self._pools(units // most, generator)
        chosen = np.lexsort((generator.random(len(index)), pools[unit.reshape(-1)]))
        drawn = index[chosen]
        blended = np.zeros(len(drawn), dtype=bool) if self.blended is None else self.blended[drawn]
        return Draws(self.rows[drawn], copies[chosen], blended)

    def _times(self, epoch: int) -> Rows:
        """How often each entry is drawn in an epoch."""
        if self.part is None or self.extra is None:
            return self.copies
        # Numbers of their own, so that the order of what is drawn as often in every epoch stays as it was.
        generator = np.random.Generator(np.random.PCG64([self.seed, epoch, 1]))
        times = self.copies.copy()
        for number, extra in enumerate(self.extra.tolist()):
            if extra:
                times[generator.permutation(np.flatnonzero(self.part == number))[:extra]] += 1
        return times

    def _pools(self, blocks: Rows, generator: np.random.Generator) -> Rows:
        """The pool of each unit, a unit being one copy of one block."""
        shuffled = generator.permutation(len(blocks))
        pools = np.empty(len(blocks), dtype=np.int64)
        pools[shuffled] = np.cumsum(self.block_bytes[blocks[shuffled]]) // self.pool_bytes
        return pools

    def batch(self, order: Draws, step: int, rank: int = 0) -> Draws:
        """The draws of one step for one rank, out of the epoch's `order`. Raises IndexError past the end."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of an epoch of {self.steps}")
        number = step * self.world + rank
        start = number * self.batch_size
        stop = len(order.rows) if number == self.batches - 1 else start + self.batch_size
        place = slice(start, stop)
        return Draws(order.rows[place], order.copies[place], order.blended[place])
