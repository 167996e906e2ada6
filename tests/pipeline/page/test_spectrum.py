"""The plot of a face's statistics: which numbers of D are drawn, and where they lie to the bands."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from inert_page import assert_wellformed
from scored_media import sida

from ffpipe.pipeline.page.spectrum import PANELS, bands_of, luma_means, outside, rows, spectrum


def reference(low: float, high: float):
    face = sida(0).astype(np.float64)
    band = SimpleNamespace(low=face * low, median=face * (low + high) / 2, high=face * high)
    return SimpleNamespace(bands={"real": band, "fake": band})


def test_the_means_of_the_luma_are_drawn_without_the_step_that_there_is_not() -> None:
    d = np.arange(2304, dtype=np.float32)
    down, across, within = luma_means(d)
    assert down.tolist() == list(range(64))
    assert across.tolist() == list(range(192, 256))
    assert within.tolist() == list(range(384, 447))


def test_a_face_within_the_band_is_nowhere_outside_and_one_above_it_everywhere() -> None:
    bands = bands_of(reference(0.5, 2))
    assert outside(sida(0), bands["real"]) == 0
    assert outside(sida(0) * 3, bands["real"]) == 191


def test_the_figure_has_a_band_a_median_and_a_name_for_each_class() -> None:
    figure = spectrum(sida(0), bands_of(reference(0.5, 2)))
    assert_wellformed(figure)
    for name in ("real", "fake"):
        assert figure.count(f'class="range {name}"') == 6 + 1  # two rows of panels, and the legend
        assert f"{name} training faces" in figure
        assert f'fill="url(#{name}-hatch)"' in figure
    assert figure.count('class="face"') == 6 + 1


def test_without_a_reference_the_face_stands_alone() -> None:
    assert bands_of(None) == {}
    figure = spectrum(sida(0), {})
    assert "training faces" not in figure
    assert figure.count('class="face"') == 3 + 1


@pytest.mark.parametrize("value", [0.0, 1e-12, 1e9])
def test_constant_and_huge_statistics_are_drawn(value: float) -> None:
    assert_wellformed(spectrum(np.full(2304, value, np.float32), {}))


def test_the_table_holds_what_is_drawn() -> None:
    table = list(rows(sida(0), bands_of(reference(0.5, 2))))
    assert len(table) == 191
    assert table[0][:2] == (PANELS[0], 0)
    face, low, median, high = table[64][2][:4]
    assert face == pytest.approx(float(sida(0)[192]))
    assert (low, median, high) == pytest.approx((face * 0.5, face * 1.25, face * 2), rel=1e-5)
