"""The order in which training draws faces: seeded, resumable at any step, and kind to the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ffpipe.pipeline.faces import Rows

#: Bytes of crops that are mixed with one another at a time; about what the reader may hold in memory.
POOL_BYTES = 1 << 30


class Draws(NamedTuple):
    """Faces drawn for a batch: row numbers, and which copy of the face each draw is."""

    rows: Rows
    copies: Rows


@dataclass(frozen=True, slots=True)
class Sampler:
    """Draws every row `copies` times an epoch, in batches.

    Blocks (what the disk reads at once) are taken in random order, once for each copy, and pooled up to
    `pool_bytes`; draws are shuffled within a pool. The order depends on seed and epoch alone, so that a step
    number is a full position. A last batch of one is merged into the one before, since batch normalisation
    of vectors needs two. With several ranks each step takes `world` batches and what is left over is dropped.

    rows, blocks and copies have one entry per face; block_bytes has one per block.
    """

    rows: Rows
    blocks: npt.NDArray[np.int32]
    copies: Rows
    block_bytes: Rows
    batch_size: int
    seed: int
    pool_bytes: int = POOL_BYTES
    world: int = 1

    @property
    def draws(self) -> int:
        """Faces drawn in an epoch."""
        return int(self.copies.sum())

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
        index = np.repeat(np.arange(len(self.rows)), self.copies)
        copies = np.arange(len(index)) - np.repeat(np.cumsum(self.copies) - self.copies, self.copies)
        units, unit = np.unique(np.stack([self.blocks[index], copies]), axis=1, return_inverse=True)
        pools = self._pools(units[0], generator)
        chosen = np.lexsort((generator.random(len(index)), pools[unit.reshape(-1)]))
        return Draws(self.rows[index[chosen]], copies[chosen])

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
        return Draws(order.rows[start:stop], order.copies[start:stop])
