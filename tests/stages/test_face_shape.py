from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.face_shape import OUTLINES, FaceShape

FRONTAL = np.array([(0.38, 0.42), (0.62, 0.42), (0.5, 0.56), (0.4, 0.7), (0.6, 0.7)])
BOX = (0.2, 0.1, 0.8, 0.9)


@pytest.mark.parametrize("part", OUTLINES)
def test_every_part_encloses_the_mouth_and_lies_in_the_crop(part):
    outline = FaceShape(FRONTAL, BOX).outline(part)
    assert outline.min() > 0
    assert outline.max() < 1
    for corner in FRONTAL[3:]:
        assert (outline.min(axis=0) < corner).all()
        assert (outline.max(axis=0) > corner).all()


def test_the_outline_follows_shift_size_and_turn_of_the_landmarks():
    angle = 0.4
    turn = 0.7 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = FRONTAL @ turn.T + 0.1
    expected = FaceShape(FRONTAL, BOX).outline("face") @ turn.T + 0.1
    assert np.allclose(FaceShape(moved, BOX).outline("face"), expected)


def test_a_face_in_profile_keeps_a_width():
    line = FRONTAL.copy()
    line[:, 0] = 0.5 + 0.02 * (line[:, 0] - 0.5)
    width, height = np.ptp(FaceShape(line, BOX).outline("face"), axis=0)
    assert width > 0.4 * height


def test_without_landmarks_it_is_the_ellipse_of_the_box():
    points = FaceShape.of(np.full(10, np.nan), np.array(BOX)).outline("lower face")
    centred = (points - (0.5, 0.5)) / (0.3, 0.4)
    assert np.allclose((centred**2).sum(axis=1), 1)


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (np.nan,) * 4])
def test_a_box_that_says_nothing_is_put_in_the_middle_of_the_crop(box):
    shape = FaceShape.of(np.full(10, np.nan), np.array(box))
    x0, y0, x1, y1 = shape.box
    assert shape.landmarks is None
    assert x0 == y0 == pytest.approx(1 - x1) == pytest.approx(1 - y1)
    assert x1 - x0 == pytest.approx(1 / 1.3)
