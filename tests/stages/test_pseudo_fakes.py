from __future__ import annotations

import numpy as np

from ffpipe.stages.face_shape import FaceShape
from ffpipe.stages.pseudo_fakes import before_augmentation, recompressed
from ffpipe.stages.self_blend import self_blend

SHAPE = FaceShape(None, (0.2, 0.1, 0.8, 0.9))
CROP = np.random.default_rng(0).integers(60, 190, (48, 48, 3), dtype=np.uint8)


def test_a_blend_is_the_blend_of_its_numbers():
    made = before_augmentation(CROP, SHAPE, True, np.random.default_rng(5))
    assert np.array_equal(made, self_blend(CROP, SHAPE, np.random.default_rng(5)).pixels)


def test_a_face_that_is_not_blended_is_changed_as_a_whole_as_often_as_the_rim_of_a_blend_is():
    def rim_changed(blended: bool) -> float:
        draws = [before_augmentation(CROP, SHAPE, blended, np.random.default_rng(s)) for s in range(300)]
        # The top left corner lies outside of every mask; what stays of it was not changed.
        return float(np.mean([not np.array_equal(draw[:4, :4], CROP[:4, :4]) for draw in draws]))

    assert abs(rim_changed(True) - rim_changed(False)) < 0.1
    assert 0.4 < rim_changed(False) < 0.6


def test_about_half_of_the_faces_are_compressed_again_whatever_they_are():
    other = 255 - CROP
    same = []
    for seed in range(200):
        first, second = np.random.default_rng(seed), np.random.default_rng(seed)
        kept = recompressed(CROP, first) is CROP
        assert kept == (recompressed(other, second) is other)
        assert first.bit_generator.state == second.bit_generator.state
        same.append(kept)
    assert 0.4 < np.mean(same) < 0.6
