"""Cuts are told from motion on small signatures."""

from __future__ import annotations

import numpy as np
import pytest
from media import face_painter, noise

from ffpipe.stages.shots import frame_signature, is_cut

SIZE = (320, 180)


def scene(seed: int, index: int = 0) -> np.ndarray:
    return face_painter(SIZE, 1, 50, seed)(index, *SIZE)


def test_the_same_scene_is_no_cut_however_the_face_moves():
    first = frame_signature(scene(1))
    assert not any(is_cut(first, frame_signature(scene(1, index))) for index in range(0, 50, 7))


def test_a_pan_is_no_cut():
    wide = scene(3)
    views = [frame_signature(wide[:, x : x + 240]) for x in (0, 20, 40, 60)]
    assert not any(is_cut(a, b) for a, b in zip(views, views[1:], strict=False))


def test_another_picture_is_a_cut_both_ways():
    face = frame_signature(scene(1))
    for other in (np.full((180, 320, 3), 200, np.uint8), noise(0, *SIZE, 5), scene(1)[::-1, ::-1, ::-1]):
        signature = frame_signature(np.ascontiguousarray(other))
        assert is_cut(face, signature)
        assert is_cut(signature, face)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (16, 500), (1080, 1920)])
def test_any_frame_has_a_signature_that_equals_itself(size):
    signature = frame_signature(np.full((*size, 3), 17, np.uint8))
    assert signature.colours.sum() == pytest.approx(1)
    assert not is_cut(signature, signature)
