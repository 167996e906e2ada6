"""The reference: faces of the same kind are inside, shifted ones outside; limits by order; bands by entry."""

from __future__ import annotations

import numpy as np
import pytest
from domain_faces import SHIFTS, reference, sida

from ffpipe.stages.domain import BAND, figure_of, fit_reference, spread_of, upper_bound


def test_new_faces_of_the_same_kind_are_mostly_inside() -> None:
    found, fresh = reference(), sida(40, 2)
    assert (found.distance(fresh) > found.limit).mean() <= 0.1
    assert found.bound.share == pytest.approx(1 / 61), (
        "the data do not reach 1%: the highest of 60 is the limit"
    )


@pytest.mark.parametrize("shift", SHIFTS)
def test_what_was_shifted_is_outside(shift: str) -> None:
    found = reference()
    moved = sida(40, 2, shift)
    assert (found.distance(moved) > found.limit).mean() >= 0.8
    assert found.medium_distance(moved) > found.limit


def test_a_mediums_distance_is_the_median_of_its_faces_and_one_face_is_enough() -> None:
    found, faces = reference(), sida(40, 2)
    odd = np.concatenate([faces[:6], 1e4 * np.ones((1, 2304), np.float32)])
    assert found.medium_distance(odd) == np.median(found.distance(odd))
    assert found.medium_distance(odd) < found.limit
    assert found.medium_distance(faces[:1]) == found.distance(faces[:1])[0]


def test_a_limit_is_the_order_statistic_that_its_share_allows() -> None:
    values = list(range(400))
    assert upper_bound(values, [str(v) for v in values]).value == 396, "floor(0.01 * 401) = 4th highest"
    few = upper_bound(values[:30], [str(v) for v in range(30)])
    assert (few.value, few.share) == (29, 1 / 31)
    assert upper_bound(values, [str(v // 40) for v in values]).value is None
    none = upper_bound(values[:18], [str(v) for v in range(18)])
    assert none.value is None
    assert "18 independent media are too few, 19 are needed" in none.reason
    assert upper_bound(values[:19], [str(v) for v in range(19)]).value == 18
    spread = spread_of([float(v) for v in values], [str(v) for v in values])
    assert spread.floor.value == 3
    assert spread.quantiles[3] == 199.5


def test_new_media_pass_a_limit_as_rarely_as_it_says() -> None:
    """4000 times 25 validation values and one new one: at most 1 in 26, by more than chance would say."""
    random = np.random.default_rng(0)
    groups = [str(k) for k in range(25)]
    passed = [random.random() > upper_bound(random.random(25).tolist(), groups).value for _ in range(4000)]
    assert 0.02 < np.mean(passed) < 1 / 26 + 2 * (0.04 * 0.96 / 4000) ** 0.5


def test_bands_are_quantiles_of_each_entry_by_class() -> None:
    found, train = reference(), sida(120, 0)
    expected = np.quantile(train[60:].astype(np.float64), BAND, axis=0)
    band = found.bands["fake"]
    assert np.allclose([band.low, band.median, band.high], expected, rtol=1e-5, atol=1e-5)
    assert not np.array_equal(band.median, found.bands["real"].median)
    only_real = fit_reference({"real": train[:9], "fake": train[:0]})[1]
    assert set(only_real) == {"real"}


def test_the_figures_numbers_are_one_statistic_of_one_channel() -> None:
    d = np.arange(2304)
    shown = figure_of(d)
    assert shown.shape == (192,)
    # (statistic, difference, channel, frequency): of Y the first 64 of each 192.
    assert shown[[0, 63, 64, 128]].tolist() == [0, 63, 192, 384]
    assert figure_of(d, "deviation", "Cr")[0] == 576 + 128
    with pytest.raises(ValueError, match="range of Y"):
        figure_of(d, "range")
