"""Spectral operators in float32, whatever the precision around them: YCbCr, block and full-image DCT, bands."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ffpipe.models.constants import constant
from ffpipe.models.scratch import Scratch

BLOCK = 8
BANDS = BLOCK * BLOCK
RADIAL_BANDS = ("low", "mid", "high")

# Up to this many blocks (a 128x128 image) coefficients are computed in float64, which costs little there.
_FEW_BLOCKS = 256
# A block's upper rows, and its lower rows mirrored onto them.
_MIRRORED_ROWS = (0, 1, 2, 3, 7, 6, 5, 4)

#: Slots 0 to 2 are taken by `coefficients_by_channel`.
scratch = Scratch()


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


@constant
def dct_matrix(size: int, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Orthonormal type-II DCT matrix (size, size): `dct_matrix(n, device) @ x` transforms the columns of x."""
    k = torch.arange(size, dtype=torch.float64)[:, None]
    n = torch.arange(size, dtype=torch.float64)[None, :]
    matrix = torch.cos(math.pi * (2 * n + 1) * k / (2 * size)) * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix.to(device=device, dtype=dtype)


@constant
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


def _parts(whole: Tensor, dim: int) -> list[Tensor]:
    """Views along `dim` to be written to; in an exported graph copies, lest each write scatter over the whole."""
    views = [whole.select(dim, part) for part in range(whole.shape[dim])]
    return [view.clone() for view in views] if torch.compiler.is_exporting() else views


def _to_ycbcr_(planes: Tensor, dim: int, spare: Tensor | None = None) -> list[Tensor]:
    """Turns the RGB along `dim` in place into level-shifted JFIF YCbCr; returns views of Y, Cb, Cr in this order.

    `spare` is memory for one plane. Written in colour differences, so that the chroma of grey is exactly 0.
    """
    red, green, blue = _parts(planes, dim)
    red.sub_(green)
    blue.sub_(green)
    luma = green.add_(red, alpha=0.299).add_(blue, alpha=0.114).sub_(128)
    half_blue = torch.mul(blue, 0.5, out=spare)
    cr = blue.mul_(-0.114 / 1.402).add_(red, alpha=0.5)
    cb = red.mul_(-0.299 / 1.772).add_(half_blue)
    return [luma, cb, cr]


def rgb_to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (B,3,H,W) on the 0..255 scale to JFIF full-range BT.601 YCbCr minus 128, float32 (B,3,H,W)."""
    require_rgb(rgb)
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

    >>> grey = torch.full((1, 3, 16, 24), 144, dtype=torch.uint8)
    >>> coefficients = block_dct(grey)
    >>> tuple(coefficients.shape)
    (1, 3, 64, 2, 3)
    >>> round(coefficients[0, 0, 0, 0, 0].item(), 3)  # DC of luma: 8 x (144 - 128)
    128.0
    """
    require_rgb(rgb)
    _require_whole_blocks(rgb)
    with exact_float32(rgb.device):
        few = rgb.shape[-2] * rgb.shape[-1] <= _FEW_BLOCKS * BANDS
        return torch.stack(
            [c.float() for c in coefficients_by_channel(rgb, torch.float64 if few else torch.float32)], 1
        )


def sida(coefficients: Tensor) -> Tensor:
    """D, the SIDA statistics of block-DCT coefficients (B,3,64,h,w) -> (B,2304): `ffpipe.models.sida.sida`.

    >>> rgb = torch.randint(256, (2, 3, 64, 80), generator=torch.Generator().manual_seed(0))
    >>> d = sida(block_dct(rgb.to(torch.uint8)))
    >>> tuple(d.reshape(2, 4, 3, 3, 64).shape)  # statistic, difference, channel, frequency
    (2, 4, 3, 3, 64)
    """
    # That file builds on this one; the name is public here.
    from ffpipe.models.sida import sida as statistics

    return statistics(coefficients)


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


@constant
def area_masks(size: int, device: torch.device) -> Tensor:
    """Low, middle and high band of a square DCT spectrum, (3,N,N) of 0 and 1, cut by area as in F3-Net.

    Low is the first sixteenth, i+j < N/(2 sqrt 2), middle the next, up to i+j < N/2, and high the rest.
    """
    diagonal = torch.arange(size)[:, None] + torch.arange(size)[None, :]
    low, middle = diagonal < size / (2 * math.sqrt(2)), diagonal < size / 2
    return torch.stack((low, middle & ~low, ~middle)).float().to(device)


def area_bands(image: Tensor) -> Tensor:
    """The three area bands of a square image (B,C,N,N), concatenated as (B,3C,N,N), float32; they sum to the image."""
    masks = area_masks(image.shape[-1], image.device)
    with exact_float32(image.device):
        return full_idct(full_dct(image)[:, None] * masks[:, None]).flatten(1, 2)


@constant
def radial_mask(height: int, width: int, band: str, device: torch.device) -> Tensor:
    """Mask (H,W) of an unshifted Fourier spectrum: a third of the radius r/r_max, r_max being the corner's.

    low is [0,1/3), mid [1/3,2/3), high [2/3,1]; together they are 1 everywhere.
    """
    vertical = torch.fft.fftfreq(height, 1 / height, dtype=torch.float64)[:, None]
    horizontal = torch.fft.fftfreq(width, 1 / width, dtype=torch.float64)[None, :]
    radius = (vertical**2 + horizontal**2).sqrt()
    third = (3 * radius / radius.max()).floor().clamp(max=2)
    mask: Tensor = third == RADIAL_BANDS.index(band)
    return mask.float().to(device)


def radial_band(image: Tensor, band: str) -> Tensor:
    """Real part of the inverse Fourier transform of one radial band of (B,C,H,W), float32: eq 3-5 of FSSNet."""
    mask = radial_mask(*image.shape[-2:], band, image.device)
    with exact_float32(image.device):
        kept: Tensor = torch.fft.ifft2(torch.fft.fft2(image.float()) * mask)
        return kept.real


def require_rgb(rgb: Tensor) -> None:
    """ValueError where the shape is not (B,3,H,W)."""
    if rgb.ndim != 4 or rgb.shape[1] != 3:
        raise ValueError(f"expected RGB of shape (B,3,H,W), got {tuple(rgb.shape)}")


def _require_whole_blocks(rgb: Tensor) -> None:
    height, width = rgb.shape[-2:]
    if height % BLOCK or width % BLOCK:
        raise ValueError(f"height and width must be multiples of 8, got {height}x{width}: use pad_to_blocks")


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
        words = scratch.take(1, cells.shape, planes, torch.int64).copy_(cells)
        cells = words.view(torch.uint8)
    if kept:
        return scratch.take(0, shape, planes, dtype).copy_(cells.reshape(shape))
    return cells.reshape(shape).to(dtype, copy=True)


def coefficients_by_channel(rgb: Tensor, dtype: torch.dtype, kept: bool = False) -> Iterator[Tensor]:
    """(...,3,H,W) on the 0..255 scale -> Y, Cb and Cr in turn as (...,64,H/8,W/8), computed in `dtype`.

    With `kept` each is overwritten by the next, and gradients are not followed.
    """
    *leading, _, height, width = rgb.shape
    blocks = _cut_blocks(rgb, dtype, kept)  # (...,3,2,N,32)
    spare = scratch.take(1, blocks.select(-4, 0).shape, blocks) if kept else None
    for plane in _to_ycbcr_(blocks, -4, spare):
        yield _transform_(plane, kept).view(*leading, BANDS, height // BLOCK, width // BLOCK)


def _transform_(halves: Tensor, kept: bool) -> Tensor:
    """(...,2,N,32) halves of blocks, overwritten -> (...,64,N) zigzag coefficients (slot 2 with `kept`).

    Each block is taken relative to one pixel of its own, which only DC can see: a flat block's AC is exactly 0,
    and rounding scales with a block's contrast instead of its brightness.
    """
    bases, order = _half_bases(halves.device, halves.dtype)
    upper, lower = _parts(halves, -3)
    upper.add_(lower)
    lower.mul_(-2).add_(upper)  # upper - lower
    anchor = upper[..., :1].clone()
    upper.sub_(anchor)
    if torch.compiler.is_exporting():
        halves = torch.stack((upper, lower), -3)
    shape = (*halves.shape[:-3], BANDS, halves.shape[-2])
    product = scratch.take(1, (*halves.shape[:-2], BANDS // 2, halves.shape[-2]), halves) if kept else None
    coefficients = torch.matmul(bases, halves.transpose(-1, -2), out=product).view(shape)  # (...,2,32,N)
    dc = BLOCK // 2 * anchor.transpose(-1, -2)  # (...,1,N)
    if torch.compiler.is_exporting():
        coefficients = coefficients + functional.pad(dc, (0, 0, 0, BANDS - 1))
    else:
        coefficients[..., :1, :] += dc
    zigzag = scratch.take(2, shape, halves) if kept else None
    return torch.index_select(coefficients, -2, order, out=zigzag)
