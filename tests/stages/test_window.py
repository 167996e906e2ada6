"""Windows hold the image's own pixels at the place that was drawn, padded with the edge where it is smaller."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.stages.window import window


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
