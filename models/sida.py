"""Scale-Invariant Differential Analysis: statistics of differences between block-DCT coefficients."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from ffpipe.models.spectral import (
    BANDS,
    BLOCK,
    coefficients_by_channel,
    exact_float32,
    pad_to_blocks,
    require_rgb,
    scratch,
)

SIDA_SHAPE = (4, 3, 3, BANDS)  # statistic, difference, channel, frequency
SIDA_SIZE = math.prod(SIDA_SHAPE)
STD_FLOOR = 1e-3  # grey levels: below this, skewness and kurtosis would describe rounding

# Up to this many blocks (a 256x256 crop) a statistic rests on so few values that float32's coefficient error,
# about 1e-5 grey levels, can show in it; float64 costs little there.
_FEW_BLOCKS = 1024
# A difference map whose spread is under this many grey levels may be nothing but that rounding error.
_ROUNDING_STD = 1e-2
# Under this, the 1e-6 that D promises of a skewness is less than float32 sums can hold.
_LEAST_SKEWNESS = 1e-2
# Size of a tile of a (64, blocks) slab: it and its scratch copy stay near a 1 MiB L2 cache. Smaller tiles lose
# more to call overhead than they gain.
_TILE_BYTES = 1024 * 1024
# The scratch memory's slot that is free here.
_SLOT = 3


def sida(coefficients: Tensor) -> Tensor:
    """Scale-Invariant Differential Analysis, eq 1-8 of SFCL-HCMF: (B,3,64,h,w) -> float32 (B,2304).

    `coefficients` come from `block_dct`. Per difference map (vertical neighbours "row", horizontal neighbours
    "column", next zigzag frequency "intra"), channel and frequency: mean, population standard deviation,
    skewness m3/s^3 and kurtosis m4/s^4 of the ABSOLUTE differences, flattened as (statistic, difference, channel,
    frequency). The 64th intra map is zero. Skewness and kurtosis are 0 where the deviation is under 1e-3.
    Raises ValueError for fewer than 2x2 blocks. Not differentiable.

    >>> from ffpipe.models.spectral import block_dct
    >>> tuple(sida(block_dct(torch.zeros(1, 3, 16, 16))).shape)
    (1, 2304)
    """
    if coefficients.ndim != 5 or coefficients.shape[1:3] != (3, BANDS):
        raise ValueError(f"sida takes coefficients (B,3,64,h,w), got {tuple(coefficients.shape)}")
    _require_two_blocks(*coefficients.shape[-2:])
    with torch.no_grad(), exact_float32(coefficients.device):
        return torch.stack([_statistics_of(crop.to, *coefficients.shape[-2:]) for crop in coefficients])


def sida_of(rgb: Tensor) -> Tensor:
    """SIDA straight from pixels: (B,3,H,W), uint8 or float, 0..255 -> float32 (B,2304).

    The same as `sida(block_dct(pad_to_blocks(rgb)))`, one channel at a time so that it stays in cache, and in
    float64 where a float32 coefficient's rounding error would show (tiny crops, all but constant maps).
    Raises ValueError for fewer than 2x2 blocks.
    """
    require_rgb(rgb)
    padded = pad_to_blocks(rgb)
    rows, columns = padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK
    _require_two_blocks(rows, columns)
    with torch.no_grad(), exact_float32(rgb.device):
        slabs = [functools.partial(coefficients_by_channel, crop, kept=True) for crop in padded]
        return torch.stack([_statistics_of(crop, rows, columns) for crop in slabs])


def compress_sida(d: Tensor) -> Tensor:
    """sign(D) log(1 + |D|): brings the long tails of the kurtoses into a network's range. Any shape."""
    return d.sign() * d.abs().log1p()


def _require_two_blocks(rows: int, columns: int) -> None:
    if rows < 2 or columns < 2:
        raise ValueError(f"SIDA needs at least 2x2 blocks of 8x8 pixels, got {rows}x{columns}")


def _statistics_of(slabs: Callable[[torch.dtype], Iterable[Tensor]], rows: int, columns: int) -> Tensor:
    """(2304,) from `slabs(dtype)`, one crop's channels (64,rows,columns), in float64 only where float32 shows."""

    def moments(dtype: torch.dtype) -> Tensor:
        return _central(torch.stack([_slab_sums(slab) for slab in slabs(dtype)]), rows, columns)

    if rows * columns > _FEW_BLOCKS:
        quick = moments(torch.float32)
        if not _shows_rounding(quick):
            return _statistics(quick)
    return _statistics(moments(torch.float64))


def _shows_rounding(moments: Tensor) -> bool:
    """Whether a map is all but constant, or its skewness so near 0 that float32 sums blur it."""
    mean, variance, m3, _ = moments.unbind(2)
    blurred = (variance < _ROUNDING_STD**2) | (m3.abs() < _LEAST_SKEWNESS * variance**1.5)
    return bool((blurred & (mean != 0)).any())


def _slab_sums(slab: Tensor) -> Tensor:
    """One channel's coefficients (64,h,w) -> what `_tile_sums` says, per map: (difference 3, sum 5, frequency 64)."""
    pairs = (
        (slab[:, 1:], slab[:, :-1]),  # eq 1, row: vertical neighbours (64,h-1,w)
        (slab[:, :, 1:], slab[:, :, :-1]),  # eq 2, column: horizontal neighbours (64,h,w-1)
        (slab[1:], slab[:-1]),  # eq 3, intra: next frequency (63,h,w)
    )
    tile = BANDS
    if slab.is_cpu:
        tile = min(BANDS, max(1, _TILE_BYTES // (slab[0].numel() * slab.element_size())))
    spare = scratch.take(_SLOT, (2, tile * slab[0].numel()), slab)
    sums = slab.new_zeros(len(pairs), 5, BANDS)
    for (after, before), out in zip(pairs, sums, strict=True):
        for start in range(0, after.shape[0], tile):
            stop = min(start + tile, after.shape[0])
            _tile_sums(after[start:stop], before[start:stop], spare, out[:, start:stop])
    return sums


def _tile_sums(after: Tensor, before: Tensor, spare: Tensor, out: Tensor) -> None:
    """Writes to `out` (5,k): a provisional mean c, then the sums of (a-c)^1..4, where a = |after-before|.

    c is the mean of the first quarter, which lies within sqrt(3) standard deviations of the whole's: near enough
    for the central moments to come out of these sums without cancellation.
    """
    shape = after.shape
    maps, count = shape[0], shape[1] * shape[2]
    deviation, square = spare[:, : maps * count].view(2, maps, count).unbind(0)
    provisional, s1, s2, s3, s4 = out.unbind(0)
    torch.sub(after, before, out=deviation.view(shape))
    torch.mean(deviation.abs_()[:, : (count + 3) // 4], 1, out=provisional)
    torch.sum(deviation.sub_(provisional[:, None]), 1, out=s1)
    torch.sum(torch.mul(deviation, deviation, out=square), 1, out=s2)
    torch.sum(deviation.mul_(square), 1, out=s3)
    torch.sum(square.mul_(square), 1, out=s4)


def _central(sums: Tensor, rows: int, columns: int) -> Tensor:
    """(channel, difference, 5, frequency) of `_slab_sums` -> mean, m2, m3, m4 in the third place, float64."""
    counts = sums.new_tensor(
        [(rows - 1) * columns, rows * (columns - 1), rows * columns], dtype=torch.float64
    )
    provisional = sums[:, :, 0].double()
    d1, d2, d3, d4 = (sums[:, :, 1:].double() / counts[:, None, None]).unbind(2)
    m2 = d2 - d1**2
    m3 = d3 - 3 * d1 * d2 + 2 * d1**3
    m4 = d4 - 4 * d1 * d3 + 6 * d1**2 * d2 - 3 * d1**4
    return torch.stack((provisional + d1, m2.clamp_(min=0), m3, m4), 2)


def _statistics(moments: Tensor) -> Tensor:
    """(channel 3, difference 3, moment 4, frequency 64) -> float32 (2304,), eq 4-8."""
    mean, variance, m3, m4 = moments.permute(2, 1, 0, 3).unbind(0)  # each (difference,channel,frequency)
    std = variance.sqrt()
    steady = std < STD_FLOOR
    scale = std.masked_fill(steady, 1.0)
    skewness = (m3 / scale**3).masked_fill(steady, 0.0)
    kurtosis = (m4 / scale**4).masked_fill(steady, 0.0)
    return torch.stack((mean, std, skewness, kurtosis)).flatten().float()
