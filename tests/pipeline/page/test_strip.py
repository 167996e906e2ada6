"""The scores of an image's faces: a mark where the score is, the bars by name."""

from __future__ import annotations

import re

import pytest
from inert_page import assert_wellformed

from ffpipe.pipeline.page.strip import MAX_ROWS, strip
from ffpipe.pipeline.page.timeline import Bars


def test_each_face_has_its_score_in_place_and_in_figures() -> None:
    figure = strip([("Face 0", 0.25), ("Face <1>", 0.9)], Bars(0.8, 0.5))
    assert_wellformed(figure)
    left, width = map(float, re.search(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', figure).groups())
    low = re.search(r'd="M([\d.]+) [\d.]+h0"', figure)
    assert float(low.group(1)) == pytest.approx(left + width * 0.25, abs=0.1)
    assert "Face &lt;1&gt;" in figure
    assert "0.900" in figure
    assert "threshold 0.800" in figure
    assert "doubt from 0.500" in figure


def test_a_crowd_is_bounded() -> None:
    figure = strip([(f"Face {k}", 0.5) for k in range(MAX_ROWS + 5)], Bars())
    assert f"Face {MAX_ROWS - 1}<" in figure
    assert f"Face {MAX_ROWS}<" not in figure
    assert f"{MAX_ROWS} of {MAX_ROWS + 5} faces" in figure
