"""A small tree like ForenSynths, made in code: textures, and fakes with the periodic trace that upsampling leaves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

#: Width and height of the pictures in turn: smaller than 32 pixels, odd, no multiple of 8, wide, tall.
SIZES = ((64, 64), (50, 41), (24, 90), (33, 29), (120, 37))
#: Generator -> pixels of its trace downwards and across.
PERIODS = {"progan": (2, 2), "biggan": (1, 2)}
_CLASSES = {"progan": "horse"}


def picture(seed: int, size: tuple[int, int], period: tuple[int, int] | None) -> Image.Image:
    """A smooth texture; with a period, every other pixel of its grid is brighter by 12 grey levels."""
    random = np.random.default_rng(seed)
    width, height = size
    texture = gaussian_filter(random.normal(0, 60, (height, width, 3)), (2, 2, 0)) * 4 + 128
    if period is not None:
        rows, columns = np.mgrid[:height, :width]
        texture += 12 * (((rows // period[0]) + (columns // period[1])) % 2)[..., None]
    return Image.fromarray(texture.clip(0, 255).astype(np.uint8))


def make_images(
    folder: Path, generator: str, count: int, first: int, kinds: Sequence[str] = (".png", ".jpg")
) -> None:
    """`count` real and as many fake pictures, every third a JPEG; no two of all calls are alike if seeds differ."""
    for kind, period in (("0_real", None), ("1_fake", PERIODS[generator])):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            seed = 2 * (first + number) + (period is not None)
            made = picture(seed, SIZES[number % len(SIZES)], period)
            made.save(folder / kind / f"{seed}{kinds[number % 3 == 2]}", quality=95)


def make_tree(root: Path, train: int = 15, held_out: int = 10) -> Path:
    """Train and validation of ProGAN, and tests of two generators, ProGAN with a class level."""
    make_images(root / "train" / "progan" / "horse", "progan", train, 0)
    make_images(root / "train" / "progan" / "sofa", "progan", 2, 1000)
    make_images(root / "val" / "progan" / "horse", "progan", held_out, 2000)
    make_images(root / "test" / "progan" / "horse", "progan", held_out, 3000)
    make_images(root / "test" / "biggan", "biggan", held_out, 4000)
    return root
