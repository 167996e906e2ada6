from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.annotate import Canvas, Mark

GREY = np.full((480, 800, 3), 128, np.uint8)
BOX = (300.0, 120.0, 420.0, 260.0)


@pytest.fixture(scope="module")
def canvas():
    return Canvas(800, 480, ["what it means " * 12], keyed=True)


def _changed(canvas, *marks, rgb=GREY):
    drawn = canvas.draw(rgb, "1.000 s", marks)
    return drawn, np.abs(drawn[:480].astype(int) - rgb).max(axis=2) > 40


def test_a_box_is_drawn_where_it_is_in_white_between_black(canvas):
    drawn, changed = _changed(canvas, Mark("t", BOX, BOX))
    assert (drawn[200, 299:302] > 200).any() and (drawn[200, 296:305] < 40).any()
    assert not changed[150:250, 310:410].any(), "nothing is drawn over the face"
    assert not changed[300:].any()


def test_a_held_box_is_dashed(canvas):
    def white(held):
        return (
            (canvas.draw(GREY, "", [Mark("t", BOX, BOX, None, held)])[180:250, 300] > 200).all(axis=1).mean()
        )

    assert white(held=False) == 1
    assert 0.4 < white(held=True) < 0.8


def test_a_map_lies_on_its_square_and_is_dark_where_it_is_zero(canvas):
    heat = np.zeros((64, 64), np.float32)
    heat[:, 32:] = 1
    drawn, changed = _changed(canvas, Mark("t", BOX, (280, 100, 440, 260), heat))
    assert drawn[200, 320].max() < 80
    assert drawn[200, 410].max() > 150
    assert not changed[280:, :].any()


def test_a_square_that_reaches_outside_is_cut(canvas):
    heat = np.ones((16, 16), np.float32)
    drawn, _ = _changed(canvas, Mark("t", (0, 0, 40, 40), (-60, -60, 60, 60), heat))
    assert drawn.shape == (canvas.height, 800, 3)
    gone = canvas.draw(GREY, "", [Mark("t", (0, 0, 9, 9), (900, 900, 990, 990), heat)])
    assert np.array_equal(gone, canvas.draw(GREY, "", [Mark("t", (0, 0, 9, 9), (900, 900, 990, 990))]))


@pytest.mark.parametrize("size", [(64, 48), (97, 75), (853, 480), (480, 853), (4001, 2250)])
def test_sides_are_even_letters_have_room_and_nothing_grows_without_bound(size):
    canvas = Canvas(*size, ["a legend"], keyed=True)
    rgb = np.full((size[1], size[0], 3), 90, np.uint8)
    box = (1, 1, size[0] / 2, size[1] / 2)
    drawn = canvas.draw(rgb, "caption", [Mark("track 0", box, box)])
    assert drawn.shape == (canvas.height, canvas.width, 3)
    assert canvas.height % 2 == canvas.width % 2 == 0
    assert 720 <= canvas.width <= 1920
    picture = round(size[1] * canvas.width / size[0])
    assert (drawn[picture - 10, 5] > 60).all() and (drawn[-2] == 0).all()


def test_labels_of_faces_side_by_side_do_not_cover_each_other(canvas):
    places = {"track 0   score 0.500": (300, 200, 340, 240), "track 1   score 0.600": (345, 200, 390, 240)}
    marks = [Mark(label, box, box) for label, box in places.items()]
    alone = [canvas.draw(GREY, "", [mark]).astype(int) for mark in marks]
    both = canvas.draw(GREY, "", marks).astype(int)
    first = (alone[0] == 0).all(axis=2)[:480]
    assert ((both == 0).all(axis=2)[:480] & first).sum() > 0.95 * first.sum()
    assert (both[:480] == 0).all(axis=2).sum() > 1.8 * first.sum()


def test_a_frame_of_another_shape_is_fitted_in(canvas):
    tall = canvas.draw(np.full((900, 300, 3), 200, np.uint8), "", [])
    assert tall.shape == (canvas.height, canvas.width, 3)
    assert (tall[100, 100] == 200).all() and (tall[100, 400] == 0).all()
