"""How an image of any size becomes the square that a network reads, where resizing would wipe out the traces."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
#: How a stored picture becomes the network's input.
Fit = Literal["resize", "crop"]
#: Where in an image a window lies, downwards and across: 0 at the top or left, 1 at the bottom or right.
Place = tuple[float, float]
CENTRE: Place = (0.5, 0.5)


def window(image: Image, size: int, place: Place = CENTRE) -> Image:
    """The square of `size` pixels at a place of an image (H, W, 3), as a copy; no pixel is resampled.

    A side shorter than `size` is padded evenly on both ends with its edge pixels, whatever the place.
    """
    (down, across), (height, width) = place, image.shape[:2]
    rows, columns = _span(height, size, down), _span(width, size, across)
    seen: Image = image[rows[:, None], columns]
    return seen


def _span(side: int, size: int, place: float) -> NDArray[np.intp]:
    """The pixels of one axis that a window shows; what lies outside is the nearest pixel inside."""
    free = side - size
    first = min(int(place * (free + 1)), free) if free > 0 else free // 2
    return np.arange(first, first + size).clip(0, side - 1)
