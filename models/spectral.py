"""Spectral operators in float32, whatever the precision around them: YCbCr, block DCT, SIDA, full-image DCT."""

from __future__ import annotations

import contextlib
import functools
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

BLOCK = 8
BANDS = BLOCK * BLOCK
SIDA_SHAPE = (4, 3, 3, BANDS)  # statistic, difference, channel, frequency
SIDA_SIZE = math.prod(SIDA_SHAPE)
STD_FLOOR = 1e-3  # grey levels: below this, skewness and kurtosis would describe rounding

# Up to this many blocks (a 256x256 crop) a statistic rests on so few values that float32's coefficient error,
# about 1e-5 grey levels, can show in it; float64 costs little there.
_FEW_BLOCKS = 1024
# The same for coefficients alone (a 128x128 image), whose tolerance is wider.
_FEW_COEFFICIENT_BLOCKS = 256
# A difference map whose spread is under this many grey levels may be nothing but that rounding error.
_ROUNDING_STD = 1e-2
# Under this, the 1e-6 that D promises of a skewness is less than float32 sums can hold.
_LEAST_SKEWNESS = 1e-2
# Size of a tile of a (64, blocks) slab: it and its scratch copy stay near a 1 MiB L2 cache. Smaller tiles lose
# more to call overhead than they gain.
_TILE_BYTES = 1024 * 1024
# A block's upper rows, and its lower rows mirrored onto them.
_MIRRORED_ROWS = (0, 1, 2, 3, 7, 6, 5, 4)


# Scratch memory that a thread keeps, per buffer; larger crops take and return theirs.
_KEPT_BYTES = 16 * 1024 * 1024


class _Scratch(threading.local):
    """Numbered buffers of one thread, kept between crops: page faults of fresh ones cost as much as the sums."""

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def take(self, slot: int, shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Uninitialised memory of `shape`, valid until the slot is taken again; on the device of `like`."""
        dtype = dtype or like.dtype
        size = math.prod(shape) * dtype.itemsize
        if not like.is_cpu or size > _KEPT_BYTES:
            return torch.empty(shape, dtype=dtype, device=like.device)
        buffer = self._buffers.get(slot)
        if buffer is None or buffer.numel() < size:
            with torch.inference_mode(
                False
            ):  # what is made in inference mode cannot be written to outside of it
                buffer = self._buffers[slot] = torch.empty(size, dtype=torch.uint8)
        return buffer[:size].view(dtype).view(*shape)


_scratch = _Scratch()


@contextlib.contextmanager
def exact_float32(device: torch.device) -> Iterator[None]:
    """Within it, float32 arithmetic is IEEE float32: autocast and reduced-precision matmuls (TF32, bf16) are off.

    The caller still has to bring its tensors to float32.
    """
    # torch's annotations lack mkldnn's operator settings.
    backends = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


@functools.cache
def zigzag_order() -> tuple[tuple[int, int], ...]:
    """The 64 (vertical, horizontal) frequencies in the order of JPEG Annex F: (0,0), (0,1), (1,0), (2,0), ...

    >>> zigzag_order()[:6]
    ((0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2))
    """

    def position(cell: tuple[int, int]) -> tuple[int, int]:
        diagonal = cell[0] + cell[1]
        return diagonal, cell[0] if diagonal % 2 else cell[1]

    return tuple(sorted(((v, u) for v in range(BLOCK) for u in range(BLOCK)), key=position))


@functools.lru_cache(maxsize=16)
def dct_matrix(size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Orthonormal type-II DCT matrix (size, size): `dct_matrix(n, device) @ x` transforms the columns of x."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / (2 * size)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.to(device=device, dtype=dtype)


@functools.lru_cache(maxsize=16)
def _half_bases(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Bases (2,32,32) of the even and the odd vertical frequencies, and the order (64,) that zigzags their rows.

    An even DCT row is symmetric and an odd one antisymmetric, so that the sum and the difference of a block's
    upper half and mirrored lower half carry them apart: half the arithmetic of one 64x64 product.
    """
    d = dct_matrix(BLOCK, torch.device("cpu"), torch.float64)
    by_parity = [[k for k, (v, _) in enumerate(zigzag_order()) if v % 2 == parity] for parity in (0, 1)]
    full = torch.kron(d, d)
    raster = torch.tensor([v * BLOCK + u for v, u in zigzag_order()])
    bases = torch.stack([full[raster[rows], : BANDS // 2] for rows in by_parity])
    return bases.to(device=device, dtype=dtype), torch.tensor(by_parity).flatten().argsort().to(device)


def _to_ycbcr_(planes: Tensor, dim: int, spare: Tensor | None = None) -> list[Tensor]:
    """Turns the RGB along `dim` in place into level-shifted JFIF YCbCr; returns views of Y, Cb, Cr in this order.

    `spare` is memory for one plane. Written in colour differences, so that the chroma of grey is exactly 0.
    """
    red, green, blue = (planes.select(dim, channel) for channel in range(3))
    red.sub_(green)
    blue.sub_(green)
    luma = green.add_(red, alpha=0.299).add_(blue, alpha=0.114).sub_(128)
    half_blue = torch.mul(blue, 0.5, out=spare)
    cr = blue.mul_(-0.114 / 1.402).add_(red, alpha=0.5)
    cb = red.mul_(-0.299 / 1.772).add_(half_blue)
    return [luma, cb, cr]


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (B,3,H,W) on the 0..255 scale to JFIF full-range BT.601 YCbCr minus 128, float32 (B,3,H,W)."""
    _require_rgb(rgb)
    with exact_float32(rgb.device):
        return torch.stack(_to_ycbcr_(rgb.to(torch.float32, copy=True), 1), 1)


def pad_to_blocks(image: Tensor) -> Tensor:
    """Replicate the right and bottom edge of (B,C,H,W) until H and W are multiples of 8, as JPEG encoders do."""
    height, width = image.shape[-2:]
    bottom, right = -height % BLOCK, -width % BLOCK
    if not (bottom or right):
        return image
    rows = torch.arange(height + bottom, device=image.device).clamp_(max=height - 1)
    columns = torch.arange(width + right, device=image.device).clamp_(max=width - 1)
    return image.index_select(-2, rows).index_select(-1, columns)


def block_dct(rgb: Tensor) -> Tensor:
    """Orthonormal type-II 8x8 DCT of the level-shifted YCbCr image (3.2 of SFCL-HCMF).

    `rgb` is (B,3,H,W), uint8 or float, 0..255, H and W multiples of 8 (see `pad_to_blocks`; else ValueError).
    Returns float32 (B,3,64,H/8,W/8) in zigzag order, k = 0 being DC. Differentiable for float input.
    """
    _require_rgb(rgb)
    _require_whole_blocks(rgb)
    with exact_float32(rgb.device):
        few = rgb.shape[-2] * rgb.shape[-1] <= _FEW_COEFFICIENT_BLOCKS * BANDS
        return torch.stack(
            [c.float() for c in _coefficients(rgb, torch.float64 if few else torch.float32)], 1
        )


def sida(coefficients: Tensor) -> Tensor:
    """Scale-Invariant Differential Analysis, eq 1-8 of SFCL-HCMF: (B,3,64,h,w) -> float32 (B,2304).

    `coefficients` come from `block_dct`. Per difference map (vertical neighbours "row", horizontal neighbours
    "column", next zigzag frequency "intra"), channel and frequency: mean, population standard deviation,
    skewness m3/s^3 and kurtosis m4/s^4 of the ABSOLUTE differences, flattened as (statistic, difference, channel,
    frequency). The 64th intra map is zero. Skewness and kurtosis are 0 where the deviation is under 1e-3.
    Raises ValueError for fewer than 2x2 blocks. Not differentiable.
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
    _require_rgb(rgb)
    padded = pad_to_blocks(rgb)
    rows, columns = padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK
    _require_two_blocks(rows, columns)
    with torch.no_grad(), exact_float32(rgb.device):
        slabs = [functools.partial(_coefficients, crop, kept=True) for crop in padded]
        return torch.stack([_statistics_of(crop, rows, columns) for crop in slabs])


def compress_sida(d: Tensor) -> Tensor:
    """sign(D) log(1 + |D|): brings the long tails of the kurtoses into a network's range. Any shape."""
    return d.sign() * d.abs().log1p()


def full_dct(image: Tensor) -> Tensor:
    """Orthonormal type-II DCT over the last two axes of (...,H,W), float32; `full_idct` is its exact inverse."""
    height, width = image.shape[-2:]
    with exact_float32(image.device):
        return dct_matrix(height, image.device) @ image.float() @ dct_matrix(width, image.device).T


def full_idct(coefficients: Tensor) -> Tensor:
    """Inverse of `full_dct`: (...,H,W) -> (...,H,W), float32."""
    height, width = coefficients.shape[-2:]
    device = coefficients.device
    with exact_float32(device):
        return dct_matrix(height, device).T @ coefficients.float() @ dct_matrix(width, device)


def _require_rgb(rgb: Tensor) -> None:
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ValueError(f"expected RGB of shape (B,3,H,W), got {tuple(rgb.shape)}")


def _require_whole_blocks(rgb: Tensor) -> None:
    height, width = rgb.shape[-2:]
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"height and width must be multiples of 8, got {height}x{width}: use pad_to_blocks")


def _require_two_blocks(rows: int, columns: int) -> None:
    if rows < 2 or columns < 2:
        raise ValueError(f"SIDA needs at least 2x2 blocks of 8x8 pixels, got {rows}x{columns}")


def _cut_blocks(planes: Tensor, dtype: torch.dtype, kept: bool = False) -> Tensor:
    """(...,H,W) -> (...,2,N,32) in fresh memory: N blocks' rows 0,1,2,3 and rows 7,6,5,4, pixels in raster order.

    With `kept` the memory is slot 0 of the scratch instead.
    """
    *leading, height, width = planes.shape
    columns = width // BLOCK
    shape = (*leading, 2, height // BLOCK * columns, BANDS // 2)
    mirrored = torch.tensor(_MIRRORED_ROWS, device=planes.device)
    if planes.dtype == torch.uint8:
        # Eight bytes of a block's row move as one int64: an eighth of the elements to permute.
        cells = planes.contiguous().view(torch.int64).view(*leading, -1, BLOCK, columns)
        cells = cells.index_select(-2, mirrored).view(*leading, -1, 2, BLOCK // 2, columns, 1)
    else:
        cells = planes.reshape(*leading, -1, BLOCK, columns, BLOCK).index_select(-3, mirrored)
        cells = cells.view(*leading, -1, 2, BLOCK // 2, columns, BLOCK)
    cells = cells.movedim(-4, -5).transpose(-2, -3)  # (...,2,h,w,4,word or 8 pixels)
    if planes.dtype == torch.uint8:
        words = _scratch.take(1, cells.shape, planes, torch.int64).copy_(cells)
        cells = words.view(torch.uint8)
    if kept:
        return _scratch.take(0, shape, planes, dtype).copy_(cells.reshape(shape))
    return cells.reshape(shape).to(dtype, copy=True)


def _coefficients(rgb: Tensor, dtype: torch.dtype, kept: bool = False) -> Iterator[Tensor]:
    """(...,3,H,W) on the 0..255 scale -> Y, Cb and Cr in turn as (...,64,H/8,W/8), computed in `dtype`.

    With `kept` each is overwritten by the next, and gradients are not followed.
    """
    *leading, _, height, width = rgb.shape
    blocks = _cut_blocks(rgb, dtype, kept)  # (...,3,2,N,32)
    spare = _scratch.take(1, blocks.select(-4, 0).shape, blocks) if kept else None
    for plane in _to_ycbcr_(blocks, -4, spare):
        yield _transform_(plane, kept).view(*leading, BANDS, height // BLOCK, width // BLOCK)


def _transform_(halves: Tensor, kept: bool) -> Tensor:
    """(...,2,N,32) halves of blocks, overwritten -> (...,64,N) zigzag coefficients (slot 2 with `kept`).

    Each block is taken relative to one pixel of its own, which only DC can see: a flat block's AC is exactly 0,
    and rounding scales with a block's contrast instead of its brightness.
    """
    bases, order = _half_bases(halves.device, halves.dtype)
    upper, lower = halves.select(-3, 0), halves.select(-3, 1)
    upper.add_(lower)
    lower.mul_(-2).add_(upper)  # upper - lower
    anchor = upper[..., :1].clone()
    upper.sub_(anchor)
    shape = (*halves.shape[:-3], BANDS, halves.shape[-2])
    product = _scratch.take(1, (*halves.shape[:-2], BANDS // 2, halves.shape[-2]), halves) if kept else None
    coefficients = torch.matmul(bases, halves.transpose(-1, -2), out=product).view(shape)  # (...,2,32,N)
    coefficients[..., :1, :] += BLOCK // 2 * anchor.transpose(-1, -2)
    zigzag = _scratch.take(2, shape, halves) if kept else None
    return torch.index_select(coefficients, -2, order, out=zigzag)


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
    scratch = _scratch.take(3, (2, tile * slab[0].numel()), slab)
    sums = slab.new_zeros(len(pairs), 5, BANDS)
    for (after, before), out in zip(pairs, sums, strict=True):
        for start in range(0, after.shape[0], tile):
            stop = min(start + tile, after.shape[0])
            _tile_sums(after[start:stop], before[start:stop], scratch, out[:, start:stop])
    return sums


def _tile_sums(after: Tensor, before: Tensor, scratch: Tensor, out: Tensor) -> None:
    """Writes to `out` (5,k): a provisional mean c, then the sums of (a-c)^1..4, where a = |after-before|.

    c is the mean of the first quarter, which lies within sqrt(3) standard deviations of the whole's: near enough
    for the central moments to come out of these sums without cancellation.
    """
    shape = after.shape
    maps, count = shape[0], shape[1] * shape[2]
    deviation, square = scratch[:, : maps * count].view(2, maps, count).unbind(0)
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
