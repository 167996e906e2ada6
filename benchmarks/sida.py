"""Block DCT and SIDA of one 512x512 crop on one thread, beside what a user would write instead.

Every round runs all sides in turn on the same crop and counts CPU time; the table shows the median, the fastest round,
and the median's ratio to ffpipe's. `--rounds N`, `--size PIXELS` (a multiple of 8). The error is the largest
|a-b| / (1e-4 (|b| + 0.01)) against the SciPy float64 reference: at most 1 keeps the promise.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import numpy as np
import scipy.fft
import torch

from ffpipe.models import sida, spectral

TO_YCBCR = np.array([[0.299, 0.587, 0.114], [-0.299, -0.587, 0.886], [0.701, -0.587, -0.114]])
TO_YCBCR[1] /= 1.772
TO_YCBCR[2] /= 1.402
ZIGZAG = [v * 8 + u for v, u in spectral.zigzag_order()]
KRON = np.kron(*[scipy.fft.dct(np.eye(8), axis=0, norm="ortho")] * 2)[ZIGZAG]


def picture(size: int) -> np.ndarray:
    """A smooth scene with sensor noise, uint8 (H,W,3)."""
    yy, xx = np.mgrid[0:size, 0:size]
    waves = np.stack(
        [128 + 70 * np.sin(yy / (20 + 9 * c) + xx / 37) + 30 * np.cos(xx / 11) for c in range(3)], 2
    )
    return np.clip(waves + np.random.default_rng(0).normal(0, 4, waves.shape), 0, 255).astype(np.uint8)


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(np.float64) @ TO_YCBCR.T - (128, 0, 0)


def to_blocks(planes: np.ndarray) -> np.ndarray:
    """(H,W,3) -> (3,h,w,8,8)."""
    h, w, _ = planes.shape
    return planes.reshape(h // 8, 8, w // 8, 8, 3).transpose(4, 0, 2, 1, 3)


def scipy_reference(rgb: np.ndarray) -> np.ndarray:
    """DCT and two-pass moments in float64."""
    x = scipy.fft.dctn(to_blocks(ycbcr(rgb)), axes=(3, 4), norm="ortho")
    x = x.reshape(*x.shape[:3], 64)[..., ZIGZAG].transpose(0, 3, 1, 2)
    out = np.zeros((4, 3, 3, 64))
    for k, difference in enumerate((np.diff(x, axis=2), np.diff(x, axis=3), np.diff(x, axis=1))):
        a = np.abs(difference).reshape(3, difference.shape[1], -1)
        mean, std = a.mean(-1), a.std(-1)
        steady = std < 1e-3
        z = (a - mean[..., None]) / np.where(steady, 1, std)[..., None]
        moments = (mean, std, np.where(steady, 0, (z**3).mean(-1)), np.where(steady, 0, (z**4).mean(-1)))
        out[:, k, :, : a.shape[1]] = moments
    return out.ravel()


def cv2_per_block(rgb: np.ndarray) -> np.ndarray:
    """The DCT alone, one call a block."""
    blocks = to_blocks(ycbcr(rgb).astype(np.float32))
    out = np.empty_like(blocks)
    for index in np.ndindex(blocks.shape[:3]):
        out[index] = cv2.dct(np.ascontiguousarray(blocks[index]))
    return out


def gemm_and_torch(rgb: np.ndarray) -> np.ndarray:
    """One float32 matrix product over all blocks, then torch's own reductions."""
    planes = torch.from_numpy(rgb).float() @ torch.from_numpy(TO_YCBCR.T).float() - torch.tensor(
        [128.0, 0, 0]
    )
    h, w, _ = planes.shape
    blocks = planes.view(h // 8, 8, w // 8, 8, 3).permute(4, 0, 2, 1, 3).reshape(-1, 64)
    x = (blocks @ torch.from_numpy(KRON.T).float()).view(3, h // 8, w // 8, 64)
    out = torch.zeros(4, 3, 3, 64)
    for k, difference in enumerate((x.diff(dim=1), x.diff(dim=2), x.diff(dim=3))):
        a = difference.abs().flatten(1, 2)
        mean, std = a.mean(1), a.std(1, unbiased=False)
        centred = a - mean[:, None]
        moments = (mean, std, (centred**3).mean(1) / std**3, (centred**4).mean(1) / std**4)
        out[:, k, :, : a.shape[2]] = torch.stack(moments)
    return out.flatten().numpy()


def ours(rgb: torch.Tensor) -> np.ndarray:
    return sida.sida_of(rgb)[0].numpy()


def sides_on(rgb: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    planar = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None]
    return {
        "ffpipe sida_of, planar uint8": lambda: ours(planar),
        "ffpipe sida_of, interleaved uint8": lambda: ours(torch.from_numpy(rgb).permute(2, 0, 1)[None]),
        "float32 GEMM + torch moments": lambda: gemm_and_torch(rgb),
        "cv2.dct per block, DCT alone": lambda: cv2_per_block(rgb),
        "SciPy float64, DCT and moments": lambda: scipy_reference(rgb),
    }


def measure(sides: dict[str, Callable[[], np.ndarray]], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of one run, per side and round; a round before the first warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for round_ in range(rounds + 1):
        for name, run in sides.items():
            repeats = 1 if name.startswith(("cv2", "SciPy")) else 10
            started = time.process_time()
            for _ in range(repeats):
                run()
            if round_:
                seconds[name].append((time.process_time() - started) / repeats)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rgb = picture(arguments.size)
    sides = sides_on(rgb)
    seconds = measure(sides, arguments.rounds)
    base = statistics.median(next(iter(seconds.values())))
    expected = scipy_reference(rgb)
    print(f"{arguments.size}x{arguments.size} crop, 1 thread, {arguments.rounds} rounds")
    print(f"{'':36}{'median ms':>10}{'fastest':>10}{'ratio':>8}{'error':>8}")
    for name, run in sides.items():
        result = run()
        error = ""
        if result.shape == expected.shape:
            error = f"{(np.abs(result - expected) / (1e-4 * (np.abs(expected) + 0.01))).max():.2g}"
        median = statistics.median(seconds[name])
        print(f"{name:36}{median * 1e3:10.2f}{min(seconds[name]) * 1e3:10.2f}{median / base:8.1f}{error:>8}")


if __name__ == "__main__":
    main()
