"""Figures of likelihood ratios by hand, with intervals, and the Tippett curves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffpipe.stages.calibration_figures import measure, own_posterior, tippett


def test_posteriors_at_the_share_of_fakes_of_the_media_themselves() -> None:
    # One fake to three reals: LR = 3 makes even odds.
    assert own_posterior([1, 0, 0, 0], np.log([3.0] * 4)) == pytest.approx([0.5] * 4)
    with pytest.raises(ValueError, match="one class"):
        own_posterior([1, 1], np.zeros(2))


def test_figures_by_hand() -> None:
    labels = [1, 0, 0] * 12
    groups = [f"g{i // 3}" for i in range(36)]
    raw = np.zeros(36)
    ratios = np.where(np.array(labels) == 1, math.log(4), -math.log(4))
    found = measure(labels, raw, ratios, groups, replicates=100)
    assert (found.n_real, found.n_fake, found.groups, found.interval_reason) == (24, 12, 12, None)
    assert found.raw["cllr"].value == pytest.approx(1) and found.raw["ece"].value == pytest.approx(0)
    assert found.calibrated["cllr"].value == pytest.approx(math.log2(1.25))
    # Prior odds 1/2: the fakes' posterior is 2/3 and the reals' 1/9.
    assert found.calibrated["ece"].value == pytest.approx((1 / 3) / 3 + (1 / 9) * 2 / 3)
    assert found.calibrated["cllr_min"].value == 0
    assert found.calibrated["cllr"].low == pytest.approx(math.log2(1.25)), "every group is alike"
    assert found.misleading == (0.0, 0.0)
    turned = measure(labels, raw, -ratios, groups, replicates=100)
    assert turned.misleading == (1.0, 1.0)
    few = measure([0, 1], np.zeros(2), np.zeros(2), ["a", "a"], replicates=100)
    assert "too few" in str(few.interval_reason) and few.raw["cllr"].low is None


def test_tippett_curves_by_hand() -> None:
    found = tippett([0, 0, 1, 1], np.log([0.1, 10.0, 10.0, 100.0]))
    assert found.at == pytest.approx([-1, 1, 2])
    assert found.real.tolist() == [1.0, 0.5, 0.0]
    assert found.fake.tolist() == [1.0, 1.0, 0.5]
