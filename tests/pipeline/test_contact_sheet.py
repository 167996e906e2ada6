from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ffpipe.pipeline.contact_sheet import Cell, Row, draw_sheet

RED = np.full((32, 64, 3), (200, 0, 0), np.uint8)
BLUE = np.full((300, 300, 3), (0, 0, 200), np.uint8)


def _pixels(title: str, rows: list[Row]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(draw_sheet(title, rows))).convert("RGB")).astype(int)


def _area(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - colour).sum(axis=2) < 10).sum())


def test_pictures_of_any_size_fill_equal_cells_without_being_stretched():
    pixels = _pixels("two", [Row("a row", [Cell("red", RED), Cell("blue", BLUE)])])
    assert _area(pixels, (0, 0, 200)) == 160 * 160
    assert _area(pixels, (200, 0, 0)) == 160 * 80


def test_rows_may_have_different_numbers_of_cells():
    rows = [Row("one", [Cell("red", RED)]), Row("five", [Cell("blue", BLUE)] * 5)]
    pixels = _pixels("rows", rows)
    assert _area(pixels, (0, 0, 200)) == 5 * 160 * 160


@pytest.mark.parametrize("text", ["", "x" * 5000, "word " * 400, "…\u202e\x1b[31m"])
def test_text_of_any_length_stays_in_its_place(text):
    plain = _pixels("t", [Row("row", [Cell("red", RED)])])
    pixels = _pixels("t", [Row(text, [Cell(text, RED)])])
    assert pixels.shape == plain.shape
    assert _area(pixels, (200, 0, 0)) == 160 * 80


def test_a_long_title_takes_more_lines():
    short = _pixels("t", [Row("row", [Cell("red", RED)])])
    assert len(_pixels("many words " * 40, [Row("row", [Cell("red", RED)])])) > len(short)
