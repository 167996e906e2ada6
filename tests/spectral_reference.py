"""The spectral operators in float64 NumPy and SciPy, from their definitions, and pictures that break naive ones."""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch

# JPEG Annex F, figure F.6: position of each coefficient in the scan, row by row.
ANNEX_F = np.array(
    [
        [0, 1, 5, 6, 14, 15, 27, 28],
        [2, 4, 7, 13, 16, 26, 29, 42],
        [3, 8, 12, 17, 25, 30, 41, 43],
        [9, 11, 18, 24, 31, 40, 44, 53],
        [10, 19, 23, 32, 39, 45, 52, 54],
        [20, 22, 33, 38, 46, 51, 55, 60],
        [21, 34, 37, 47, 50, 56, 59, 61],
        [35, 36, 48, 49, 57, 58, 62, 63],
    ]
)


def reference_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """(3,H,W) -> level-shifted YCbCr in float64, from the definition of full-range BT.601."""
    r, g, b = rgb.astype(np.float64)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack((y - 128, (b - y) / 1.772, (r - y) / 1.402))


def reference_dct(rgb: np.ndarray) -> np.ndarray:
    """(3,H,W) -> (3,64,h,w) in float64, by SciPy block by block."""
    _, height, width = rgb.shape
    cells = reference_ycbcr(rgb).reshape(3, height // 8, 8, width // 8, 8).transpose(0, 1, 3, 2, 4)
    blocks = scipy.fft.dctn(cells, type=2, norm="ortho", axes=(3, 4))
    zigzag = np.empty((3, 64, height // 8, width // 8))
    for (v, u), position in np.ndenumerate(ANNEX_F):
        zigzag[:, position] = blocks[..., v, u]
    return zigzag


def reference_sida(x: np.ndarray) -> np.ndarray:
    """(3,64,h,w) -> (2304,): eq 1-8 in two passes of float64."""
    d = np.zeros((4, 3, 3, 64))
    differences = (x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1], x[:, 1:] - x[:, :-1])
    for k, difference in enumerate(differences):
        a = np.abs(difference).reshape(3, difference.shape[1], -1)
        bands = slice(0, a.shape[1])
        mean = a.mean(-1)
        std = np.sqrt(((a - mean[..., None]) ** 2).mean(-1))
        steady = std < 1e-3
        scale = np.where(steady, 1, std)[..., None]
        z = (a - mean[..., None]) / scale
        d[0, k, :, bands], d[1, k, :, bands] = mean, std
        d[2, k, :, bands] = np.where(steady, 0, (z**3).mean(-1))
        d[3, k, :, bands] = np.where(steady, 0, (z**4).mean(-1))
    return d.ravel()


def assert_near(found: torch.Tensor, expected: np.ndarray) -> None:
    """The tolerance that D promises."""
    assert found.dtype == torch.float32
    error = np.abs(found.numpy() - expected) - 1e-4 * (np.abs(expected) + 0.01)
    assert error.max() <= 0, (
        f"element {error.argmax()} is {found[error.argmax()]}, not {expected[error.argmax()]}"
    )


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    yy, xx = np.mgrid[0:200, 0:264]
    smooth = 128 + 60 * np.sin(yy / 31) + 50 * np.cos(xx / 17 + yy / 43)
    photo = np.clip(
        np.stack((smooth, 0.8 * smooth + 20, 250 - smooth)) + rng.normal(0, 3, (3, 200, 264)), 0, 255
    )
    photo = photo.astype(np.uint8)
    outlier = np.full((3, 256, 256), 90, np.uint8)
    outlier[:, 100, 77] = (255, 0, 10)
    half = rng.integers(0, 256, (3, 256, 256)).astype(np.uint8)
    half[:, 64:] = 40
    return {
        "photo": photo,
        "grey photo": np.repeat(photo[:1], 3, 0),
        "noise": rng.integers(0, 256, (3, 264, 200)).astype(np.uint8),
        "black and white noise": (rng.integers(0, 2, (3, 208, 208)) * 255).astype(np.uint8),
        "flat grey": np.full((3, 256, 256), 77, np.uint8),
        "flat colour": np.broadcast_to(np.array([10, 201, 33], np.uint8)[:, None, None], (3, 256, 256)),
        "horizontal ramp": np.broadcast_to((np.arange(256, dtype=np.uint8))[None, None, :], (3, 256, 256)),
        "vertical ramp": np.broadcast_to((np.arange(256, dtype=np.uint8))[None, :, None], (3, 256, 256)),
        "one odd pixel": outlier,
        "noise over flat": half,
        "tiny noise": rng.integers(0, 256, (3, 16, 16)).astype(np.uint8),
        "tiny photo": photo[:, 80:96, 32:48],
        "two blocks high": photo[:, :16, :256],
    }


PICTURES = pictures()


def as_batch(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb))[None]
