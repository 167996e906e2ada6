"""The stage's statistics are the operator's, for crops of mixed sizes, in order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffpipe.models import sida, spectral
from ffpipe.stages.statistics import face_sida


def crops(*sides: int) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [generator.integers(0, 256, (side, side, 3), np.uint8) for side in sides]


def test_each_row_is_its_crops_own_statistic():
    images = crops(48, 16, 48, 120)
    rows = face_sida(images)
    assert rows.shape == (4, 2304)
    assert rows.dtype == np.float32
    for row, image in zip(rows, images, strict=True):
        coefficients = spectral.block_dct(torch.from_numpy(image).permute(2, 0, 1)[None])
        np.testing.assert_allclose(row, sida.sida(coefficients)[0].numpy(), rtol=2e-3, atol=2e-4)
    assert len(np.unique(rows[:, 0])) == 4


def test_no_crops_give_no_rows():
    assert face_sida([]).shape == (0, 2304)


def test_views_with_strides_are_taken_as_they_look():
    image = crops(64)[0]
    np.testing.assert_array_equal(face_sida([image[:, ::-1]]), face_sida([image[:, ::-1].copy()]))


def test_a_crop_of_one_block_is_refused():
    with pytest.raises(ValueError, match="2x2 blocks"):
        face_sida(crops(8))
