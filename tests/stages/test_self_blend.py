from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from ffpipe.stages.face_shape import FaceShape
from ffpipe.stages.self_blend import RATIOS, self_blend

LANDMARKS = np.array([(0.38, 0.42), (0.62, 0.42), (0.5, 0.56), (0.4, 0.7), (0.6, 0.7)])
SHAPE = FaceShape(LANDMARKS, (0.2, 0.1, 0.8, 0.9))
ELLIPSE = FaceShape(None, (0.2, 0.1, 0.8, 0.9))


def _crop(side: int = 96) -> np.ndarray:
    """Smooth, so that a shift of the source shows as little as it does in a face."""
    rows, columns = np.mgrid[0:side, 0:side] / side
    return np.stack([60 + 90 * rows, 80 + 70 * columns, 120 + 40 * rows * columns], axis=2).astype(np.uint8)


def _blends(count: int = 60, shape: FaceShape = SHAPE, side: int = 96):
    return [self_blend(_crop(side), shape, np.random.default_rng(seed)) for seed in range(count)]


def test_the_blend_is_source_and_target_mixed_by_the_mask():
    for made in _blends(20):
        weight = made.mask[..., None].astype(np.float64)
        mixed = made.source * weight + made.target * (1 - weight)
        assert np.abs(made.pixels - mixed).max() <= 0.51
        assert made.pixels.dtype == np.uint8


@pytest.mark.parametrize("shape", [SHAPE, ELLIPSE])
@pytest.mark.parametrize("side", [16, 96, 256])
def test_outside_of_the_mask_the_target_is_untouched_and_every_blend_differs_from_its_crop(shape, side):
    for made in _blends(12, shape, side):
        assert made.mask.shape == (side, side)
        assert 0 <= made.mask.min() <= made.mask.max() <= made.ratio + 1e-6
        assert np.array_equal(made.pixels[made.mask == 0], made.target[made.mask == 0])
        assert not np.array_equal(made.pixels, _crop(side))
        assert made.mask.mean() > 0.002


def test_the_mask_lies_on_the_face_and_leaves_the_rim_of_the_crop_alone():
    for made in _blends(60):
        rows, columns = np.nonzero(made.mask > made.mask.max() / 2)
        assert 0.25 < rows.mean() / 96 < 0.85
        assert 0.3 < columns.mean() / 96 < 0.7
        rim = np.concatenate([made.mask[0], made.mask[:, 0], made.mask[:, -1]])
        assert rim.max() < 0.15


def test_roles_ratios_and_parts_are_drawn_as_often_as_they_should_be():
    made = _blends(240, side=32)
    assert 0.4 < np.mean([blend.changed == "source" for blend in made]) < 0.6
    ratios = Counter(blend.ratio for blend in made)
    assert set(ratios) == set(RATIOS)
    assert 0.4 < ratios[1.0] / 240 < 0.6
    assert set(Counter(blend.part for blend in made)) == {
        "face", "face and forehead", "inner face", "lower face",
    }  # fmt: skip


def test_only_one_of_the_two_is_changed_in_colour():
    for made in _blends(40):
        kept = made.source if made.changed == "target" else made.target
        # The source is moved as well, which a smooth picture hardly shows.
        assert np.abs(kept.astype(int) - _crop()).mean() < 4


def test_no_black_comes_in_from_outside():
    bright = np.full((64, 64, 3), 200, np.uint8)
    for seed in range(40):
        made = self_blend(bright, SHAPE, np.random.default_rng(seed))
        assert min(made.source.min(), made.target.min(), made.pixels.min()) > 90


def test_both_images_of_a_pair_blend_alike_whatever_they_show_and_whichever_part_was_drawn():
    for shape in (SHAPE, ELLIPSE):
        for seed in range(20):
            first, second = np.random.default_rng(seed), np.random.default_rng(seed)
            one = self_blend(_crop(), shape, first)
            other = self_blend(255 - _crop(), shape, second)
            assert np.array_equal(one.mask, other.mask)
            assert one.changed == other.changed
            assert first.bit_generator.state == second.bit_generator.state


def test_the_stored_crop_is_not_written_to():
    crop = _crop()
    crop.setflags(write=False)
    self_blend(crop, SHAPE, np.random.default_rng(0))
    assert np.array_equal(crop, _crop())
