import numpy as np
import torch

from ffpipe.stages.augment import Augmentation, augment, draw_generator
from ffpipe.stages.statistics import face_sida

CROP = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
STORED = np.arange(2304, dtype=np.float32)


def test_an_untouched_crop_keeps_the_stored_statistics():
    crop, sida = augment(CROP, STORED, Augmentation(), torch.Generator().manual_seed(0))
    assert crop is CROP
    assert sida is STORED


def test_a_flipped_crop_gets_the_statistics_of_its_own_pixels():
    crop, sida = augment(CROP, STORED, Augmentation(horizontal_flip=1.0), torch.Generator().manual_seed(0))
    assert np.array_equal(crop, CROP[:, ::-1])
    assert sida is not None
    assert np.array_equal(sida, face_sida([np.ascontiguousarray(CROP[:, ::-1])])[0])
    assert not np.array_equal(sida, face_sida([CROP])[0])


def test_no_statistics_are_computed_for_a_detector_without_them():
    crop, sida = augment(CROP, None, Augmentation(horizontal_flip=1.0), torch.Generator().manual_seed(0))
    assert sida is None
    assert np.array_equal(crop, CROP[:, ::-1])


def test_about_half_of_the_draws_are_flipped_and_each_copy_draws_for_itself():
    flips = [
        [_flipped(draw_generator(seed=3, epoch=0, face=face, copy=copy)) for copy in range(4)]
        for face in range(250)
    ]
    share = np.mean(flips)
    assert 0.45 < share < 0.55
    # Four independent draws agree with probability 1/8.
    agreeing = np.mean([len(set(draws)) == 1 for draws in flips])
    assert 0.07 < agreeing < 0.19


def _flipped(generator: torch.Generator) -> bool:
    crop, _ = augment(CROP, None, Augmentation(horizontal_flip=0.5), generator)
    return crop is not CROP


def test_a_draw_depends_on_seed_epoch_face_and_copy_alone():
    def first(*key: int) -> float:
        return float(torch.rand((), generator=draw_generator(*key)))

    assert first(1, 2, 3, 4) == first(1, 2, 3, 4)
    others = {first(0, 2, 3, 4), first(1, 0, 3, 4), first(1, 2, 0, 4), first(1, 2, 3, 0), first(1, 2, 3, 4)}
    assert len(others) == 5
