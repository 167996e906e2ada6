"""Pictures of a page: bounded JPEGs, whatever the shape of what they are made of."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ffpipe.pipeline.page.pictures import SIDE, data_uri


@pytest.mark.parametrize(
    ("shape", "size"),
    [((300, 600), (256, 128)), ((40, 50), (50, 40)), ((2000, 2), (1, 256)), ((1, 1), (1, 1))],
)
def test_a_picture_is_a_jpeg_of_bounded_size(shape: tuple[int, int], size: tuple[int, int]) -> None:
    image = np.full((*shape, 3), (200, 40, 90), np.uint8)
    head, _, data = data_uri(image).partition(",")
    assert head == "data:image/jpeg;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
    assert (shown.format, shown.size) == ("JPEG", size)
    assert max(shown.size) <= SIDE
    assert np.abs(np.asarray(shown, int).reshape(-1, 3).mean(0) - (200, 40, 90)).max() < 6
