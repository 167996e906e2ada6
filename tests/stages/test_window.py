"""Windows hold the image's own pixels at the place that was drawn, padded with the edge where it is smaller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.stages.window import CENTRE, laid_back, window


def photo(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.floats(0, 1), st.floats(0, 1))
def test_a_window_holds_untouched_pixels_and_pads_with_the_edge(height, width, size, down, across):
    image = photo(height, width)
    seen = window(image, size, (down, across))
    assert seen.shape == (size, size, 3)
    # The reference pads the whole image evenly and looks for the window in it.
    lack = [max(0, size - side) for side in (height, width)]
    padded = np.pad(image, [*(((n + 1) // 2, n // 2) for n in lack), (0, 0)], mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(0, 1))
    matches = (views == seen.transpose(2, 0, 1)).all(axis=(2, 3, 4))
    y, x = (min(int(at * n), n - 1) for at, n in zip((down, across), matches.shape, strict=True))
    assert matches[y, x]


def test_the_window_s_place_is_the_centre_unless_drawn():
    image = photo(10, 20)
    assert np.array_equal(window(image, 4), image[3:7, 8:12])
    assert np.array_equal(window(image, 4, (0, 0)), image[:4, :4])
    assert np.array_equal(window(image, 4, (1, 1)), image[-4:, -4:])
    assert not np.shares_memory(window(image, 4), image)


@pytest.mark.parametrize("shape", [(9, 12), (3, 12), (12, 3), (2, 3), (5, 5)])
@pytest.mark.parametrize("place", [CENTRE, (0.0, 1.0)])
def test_what_belongs_to_a_window_comes_back_to_its_pixels(shape, place):
    numbers = np.arange(1, shape[0] * shape[1] + 1, dtype=np.float32).reshape(shape)
    seen = window(np.repeat(numbers[..., None].astype(np.uint8), 3, 2), 5, place)[..., 0]
    back = laid_back(seen.astype(np.float32), shape, place)
    shown = back > 0
    assert np.array_equal(back[shown], numbers[shown])
    assert set(back[shown]) == set(np.unique(seen)), "every pixel that was seen, and no other"
