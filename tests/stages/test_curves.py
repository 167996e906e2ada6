"""Curves against scikit-learn, and what they say where there is nothing to say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as reference

from ffpipe.stages.curves import reliability, roc, roc_band


def made(count: int = 80, ties: bool = True) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(3)
    labels = np.arange(count) % 2
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, np.round(scores, 1) if ties else scores, [f"g{n // 2}" for n in range(count)]


@pytest.mark.parametrize("ties", [False, True])
def test_the_curve_is_the_librarys(ties: bool) -> None:
    labels, scores, _ = made(ties=ties)
    alarm, hit, thresholds = reference.roc_curve(labels, scores, drop_intermediate=False)
    curve = roc(labels, scores)
    assert curve is not None
    np.testing.assert_allclose(np.stack([curve.alarm, curve.hit]), np.stack([alarm, hit]))
    at = len(thresholds) // 2
    assert curve.at(np.nextafter(thresholds[at], 0), labels, scores) == (alarm[at], hit[at])
    assert curve.at(1.0, labels, scores) == (0, 0), "a score must exceed the threshold"


def test_one_class_has_no_curve_and_few_groups_no_band() -> None:
    labels, scores, groups = made()
    assert roc(np.ones(3), [0.1, 0.2, 0.3]) is None
    assert roc_band(np.ones(3), [0.1, 0.2, 0.3], ["a", "b", "c"]) is None
    assert roc_band(labels, scores, ["one"] * len(labels)) is None
    band = roc_band(labels, scores, groups, replicates=200)
    curve = roc(labels, scores)
    assert band is not None
    assert curve is not None
    inside = np.interp(band.alarm, curve.alarm, curve.hit)
    assert ((band.low <= inside + 1e-9) & (inside <= band.high + 1e-9)).mean() > 0.95
    assert (band.high - band.low).max() > 0.1


def test_a_bin_holds_its_media_their_mean_and_their_share() -> None:
    found = reliability([0, 1, 1, 0, 1], [0.01, 0.03, 0.5, 0.52, 1.0])
    assert found.count.tolist() == [2, 2, 1]
    np.testing.assert_allclose(found.mean, [0.02, 0.51, 1.0])
    np.testing.assert_allclose(found.share, [0.5, 0.5, 1.0])
    for share, count, low, high in zip(found.share, found.count, found.low, found.high, strict=True):
        exact = binomtest(round(share * count), int(count)).proportion_ci(0.95)
        assert (low, high) == pytest.approx((exact.low, exact.high))
