"""Spectral operators in float32, whatever the precision around them: YCbCr, block DCT, SIDA, full-image DCT."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

BLOCK = 8
BANDS = BLOCK * BLOCK
SIDA_SHAPE = (4, 3, 3, BANDS)  # statistic, difference, channel, frequency
SIDA_SIZE = math.prod(SIDA_SHAPE)
STD_FLOOR = 1e-3  # grey levels: below this, skewness and kurtosis would describe rounding

# Below this many blocks (a 128x128 crop) a statistic rests on so few values that float32's coefficient error,
# about 1e-5 grey levels, shows in it; float64 costs next to nothing there.
_FEW_BLOCKS = 256
# A difference map whose spread is under this many grey levels may be nothing but that rounding error.
_ROUNDING_STD = 1e-2
# Size of a tile of a (64, blocks) slab: it and its scratch copy stay near a 1 MiB L2 cache. Smaller tiles lose
# more to call overhead than they gain.
_TILE_BYTES = 1024 * 1024


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
def _block_basis(device: torch.device, dtype: torch.dtype) -> Tensor:
    """(64, 64): zigzag-ordered rows of the Kronecker product that takes a raster-order block to its 2-D DCT."""
    d = dct_matrix(BLOCK, torch.device("cpu"), torch.float64)
    rows = torch.tensor([v * BLOCK + u for v, u in zigzag_order()])
    return torch.kron(d, d)[rows].to(device=device, dtype=dtype)


def _mix_ycbcr(red: Tensor, green: Tensor, blue: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Level-shifted JFIF YCbCr, written in colour differences so that grey has chroma exactly 0."""
    red, blue = red - green, blue - green
    luma = green.add(red, alpha=0.299).add_(blue, alpha=0.114).sub_(128)
    cb = (0.5 * blue).sub_(red, alpha=0.299 / 1.772)
    cr = (0.5 * red).sub_(blue, alpha=0.114 / 1.402)
    return luma, cb, cr


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (B,3,H,W) on the 0..255 scale to JFIF full-range BT.601 YCbCr minus 128, float32 (B,3,H,W)."""
    _require_rgb(rgb)
    with exact_float32(rgb.device):
        return torch.stack(_mix_ycbcr(*rgb.float().unbind(1)), 1)


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
    batch, _, height, width = rgb.shape
    with exact_float32(rgb.device):
        blocks = _cut_blocks(rgb).float()  # (B,3,H,W) -> (B,3,N,64)
        planes = torch.stack(_mix_ycbcr(*blocks.unbind(1)), 1)
        return _transform(planes).reshape(batch, 3, BANDS, height // BLOCK, width // BLOCK)


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
    dtype = torch.float64 if coefficients.dtype == torch.float64 else torch.float32
    with torch.no_grad(), exact_float32(coefficients.device):
        crops = [[_slab_moments(slab.to(dtype)) for slab in crop] for crop in coefficients]
        return torch.stack([_statistics(torch.stack(slabs)) for slabs in crops])


def sida_of(rgb: Tensor) -> Tensor:
    """SIDA straight from pixels: (B,3,H,W), uint8 or float, 0..255 -> float32 (B,2304).

    The same as `sida(block_dct(pad_to_blocks(rgb)))`, one channel at a time so that it stays in cache, and in
    float64 where a float32 coefficient's rounding error would show (tiny crops, all but constant maps).
    Raises ValueError for fewer than 2x2 blocks.
    """
    _require_rgb(rgb)
    padded = pad_to_blocks(rgb)
    _require_two_blocks(padded.shape[-2] // BLOCK, padded.shape[-1] // BLOCK)
    with torch.no_grad(), exact_float32(rgb.device):
        return torch.stack([_sida_of_crop(crop) for crop in padded])


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


def _cut_blocks(planes: Tensor) -> Tensor:
    """(...,H,W) -> (...,N,64): N blocks in raster order, each with its pixels in raster order."""
    *leading, height, width = planes.shape
    rows, columns = height // BLOCK, width // BLOCK
    if planes.dtype == torch.uint8:
        # Eight bytes of a block's row move as one int64: an eighth of the elements to permute.
        words = planes.contiguous().view(torch.int64).view(*leading, rows, BLOCK, columns)
        return words.transpose(-1, -2).contiguous().view(torch.uint8).view(*leading, -1, BANDS)
    cells = planes.reshape(*leading, rows, BLOCK, columns, BLOCK)
    return cells.transpose(-2, -3).reshape(*leading, -1, BANDS)


def _transform(blocks: Tensor) -> Tensor:
    """(...,N,64) pixels -> (...,64,N) zigzag coefficients, of float32 or float64 blocks.

    Each block is taken relative to its first pixel, which only DC can see: a flat block's AC is exactly 0, and
    rounding scales with a block's contrast instead of its brightness.
    """
    anchor = blocks[..., :1]
    coefficients = _block_basis(blocks.device, blocks.dtype) @ (blocks - anchor).transpose(-1, -2)
    coefficients[..., :1, :] += BLOCK * anchor.transpose(-1, -2)
    return coefficients


def _sida_of_crop(crop: Tensor) -> Tensor:
    """(3,H,W) -> (2304,), in float64 if few blocks or a nearly constant map ask for it."""
    rows, columns = crop.shape[-2] // BLOCK, crop.shape[-1] // BLOCK
    if rows * columns > _FEW_BLOCKS:
        moments = _crop_moments(crop, torch.float32)
        mean, variance = moments[:, :, 0], moments[:, :, 1]
        if not bool(((variance < _ROUNDING_STD**2) & (mean != 0)).any()):
            return _statistics(moments)
    return _statistics(_crop_moments(crop, torch.float64))


def _crop_moments(crop: Tensor, dtype: torch.dtype) -> Tensor:
    """(3,H,W) -> (channel 3, difference 3, moment 4, frequency 64) float64, computed in `dtype`."""
    rows, columns = crop.shape[-2] // BLOCK, crop.shape[-1] // BLOCK
    blocks = _cut_blocks(crop).to(dtype)  # (3,N,64)
    planes = _mix_ycbcr(*blocks.unbind(0))
    return torch.stack([_slab_moments(_transform(plane).view(BANDS, rows, columns)) for plane in planes])


def _slab_moments(slab: Tensor) -> Tensor:
    """One channel's coefficients (64,h,w) -> (difference 3, moment 4, frequency 64) float64.

    The moments are the mean and the central m2, m3, m4 of the absolute differences.
    """
    tile = max(1, _TILE_BYTES // (slab[0].numel() * slab.element_size())) if slab.is_cpu else BANDS
    pairs = (
        (slab[:, 1:], slab[:, :-1]),  # eq 1, row: vertical neighbours (64,h-1,w)
        (slab[:, :, 1:], slab[:, :, :-1]),  # eq 2, column: horizontal neighbours (64,h,w-1)
        (slab[1:], slab[:-1]),  # eq 3, intra: next frequency (63,h,w)
    )
    sums = slab.new_zeros(5, len(pairs), BANDS)
    for index, (after, before) in enumerate(pairs):
        for start in range(0, after.shape[0], tile):
            stop = min(start + tile, after.shape[0])
            _tile_sums(after[start:stop], before[start:stop], sums[:, index, start:stop])
    counts = [after[0].numel() for after, _ in pairs]
    return _central(sums.double() / sums.new_tensor(counts, dtype=torch.float64)[:, None])


def _tile_sums(after: Tensor, before: Tensor, out: Tensor) -> None:
    """Writes to `out` (5,k): the provisional mean c (times n), then the sums of (a-c)^1..4, a = |after-before|."""
    absolute = torch.sub(after, before).flatten(1).abs_()  # (k,h,w) -> (k,n)
    torch.sum(absolute, 1, out=out[0])
    deviation = absolute.sub_((out[0] / absolute.shape[1])[:, None])
    torch.sum(deviation, 1, out=out[1])
    square = torch.mul(deviation, deviation)
    torch.sum(square, 1, out=out[2])
    torch.sum(deviation.mul_(square), 1, out=out[3])
    torch.sum(square.mul_(square), 1, out=out[4])


def _central(means: Tensor) -> Tensor:
    """(5,difference,frequency) averages about a provisional mean -> (difference,4,frequency) mean, m2, m3, m4."""
    provisional, d1, d2, d3, d4 = means.unbind(0)
    m2 = d2 - d1**2
    m3 = d3 - 3 * d1 * d2 + 2 * d1**3
    m4 = d4 - 4 * d1 * d3 + 6 * d1**2 * d2 - 3 * d1**4
    return torch.stack((provisional + d1, m2.clamp_(min=0), m3, m4), 1)


def _statistics(moments: Tensor) -> Tensor:
    """(channel 3, difference 3, moment 4, frequency 64) -> float32 (2304,), eq 4-8."""
    mean, variance, m3, m4 = moments.permute(2, 1, 0, 3).unbind(0)  # each (difference,channel,frequency)
    std = variance.sqrt()
    steady = std < STD_FLOOR
    scale = std.masked_fill(steady, 1.0)
    skewness = (m3 / scale**3).masked_fill(steady, 0.0)
    kurtosis = (m4 / scale**4).masked_fill(steady, 0.0)
    return torch.stack((mean, std, skewness, kurtosis)).flatten().float()
