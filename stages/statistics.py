"""The spectral statistics of face crops, taken at original resolution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.models import sida


def face_sida(crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """D of each crop, RGB uint8 (H, W, 3) of any sizes -> (n, 2304).

    Give crops as they were cut, before `store`: D describes untouched pixels. Crops go one by one, since
    they differ in size and the operator works crop by crop in cache anyway. Raises ValueError for a crop of
    fewer than 2 x 2 blocks of 8 x 8 pixels.
    """
    result = np.empty((len(crops), SIDA_LENGTH), np.float32)
    for row, crop in zip(result, crops, strict=True):
        pixels = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).unsqueeze(0)
        row[:] = sida.sida_of(pixels)[0].numpy()
    return result
