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
    rows, columns = _spans(image.shape[:2], size, place)
    height, width = image.shape[:2]
    seen: Image = image[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    return seen


def laid_back(
    values: NDArray[np.float32], shape: tuple[int, int], place: Place = CENTRE
) -> NDArray[np.float32]:
    """What belongs to the pixels of a window (size, size), on the image (H, W) it was cut from; 0 outside of it."""
    rows, columns = _spans(shape, len(values), place)
    row_seen = (rows >= 0) & (rows < shape[0])
    column_seen = (columns >= 0) & (columns < shape[1])
    whole = np.zeros(shape, np.float32)
    whole[rows[row_seen][:, None], columns[column_seen]] = values[row_seen][:, column_seen]
    return whole


def _spans(shape: tuple[int, ...], size: int, place: Place) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns that a window shows; where the image is smaller, some lie outside of it."""
    starts = []
    for side, where in zip(shape, place, strict=True):
        free = side - size
        starts.append(min(int(where * (free + 1)), free) if free > 0 else free // 2)
    rows, columns = (np.arange(first, first + size) for first in starts)
    return rows, columns
