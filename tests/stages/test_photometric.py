from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.photometric import change_photometry

CROP = np.random.default_rng(0).integers(30, 220, (48, 40, 3), dtype=np.uint8)


def test_something_changes_in_every_draw_and_the_crop_is_not_written_to():
    kept = CROP.copy()
    for seed in range(60):
        changed = change_photometry(CROP, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.shape == CROP.shape
        assert not np.array_equal(changed, CROP)
    assert np.array_equal(CROP, kept)


def test_colours_move_by_a_bounded_amount_and_sharpness_alone_leaves_the_mean():
    shifts = []
    for seed in range(80):
        changed = change_photometry(CROP, np.random.default_rng(seed))
        shifts.append(float(np.abs(changed.mean((0, 1)) - CROP.mean((0, 1))).max()))
    assert max(shifts) < 90
    assert sum(shift < 1.5 for shift in shifts) > 5


def test_detail_is_lost_in_some_draws_and_gained_in_others():
    def detail(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(float), axis=0)).mean())

    own = detail(CROP)
    ratios = [detail(change_photometry(CROP, np.random.default_rng(seed))) / own for seed in range(80)]
    assert min(ratios) < 0.4
    assert max(ratios) > 1.15


@pytest.mark.parametrize("size", [(16, 16), (17, 300)])
def test_the_numbers_taken_do_not_depend_on_the_picture(size):
    for seed in range(20):
        first, second = np.random.default_rng(seed), np.random.default_rng(seed)
        change_photometry(CROP, first)
        change_photometry(np.zeros((*size, 3), np.uint8), second)
        assert first.bit_generator.state == second.bit_generator.state
