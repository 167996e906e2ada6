"""Calibration error and the cost of likelihood ratios, by hand and against the library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from ffpipe.stages.calibration_metrics import BINS, bin_of, cllr, cllr_min, ece


def scored(count: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, np.round(scores, 1) if ties else scores


def test_calibration_by_hand() -> None:
    # One bin holds 0.5 and 0.52, another 0.9: |0.5 - 0.51| * 2 / 3 + |1 - 0.9| / 3.
    assert ece([0, 1, 1], [0.5, 0.52, 0.9]) == pytest.approx((0.02 + 0.1) / 3)
    assert ece([0, 1], [0.0, 1.0]) == 0
    assert bin_of(np.array([0, 0.0666, 0.0667, 0.999, 1])).tolist() == [0, 0, 1, BINS - 1, BINS - 1]
    # Likelihood ratios 4 for the fake and 1/4 for the real: both cost log2(1 + 1/4).
    assert cllr([1, 0], [0.8, 0.2]) == pytest.approx(math.log2(1.25))
    assert cllr([1, 0, 0], [0.5, 0.5, 0.5]) == pytest.approx(1)
    assert cllr([1, 0], [0.0, 1.0]) == pytest.approx(52)
    assert cllr_min([0, 0, 1], [0.7, 0.8, 0.9]) == 0
    assert cllr_min([1, 1, 0], [0.1, 0.2, 0.9]) == pytest.approx(1), "in no order the best is to say nothing"
    # By score: real, tie of a fake and a real, fake. The tie keeps LR 1 and costs 1 bit in half of each class.
    assert cllr_min([0, 0, 1, 1], [0.1, 0.6, 0.6, 0.9]) == pytest.approx(0.5)


def test_recalibration_leaves_only_what_the_order_is_worth() -> None:
    labels, scores = scored(300, 8, ties=True)
    squeezed = 0.5 + (scores - 0.5) / 10
    assert cllr_min(labels, squeezed) == pytest.approx(cllr_min(labels, scores))
    assert cllr(labels, squeezed) > cllr_min(labels, scores) + 0.01


def test_the_calibration_error_agrees_with_the_library() -> None:
    labels, scores = scored(500, 5, ties=False)
    shares, means = calibration_curve(labels, scores, n_bins=BINS)
    counts = np.bincount(bin_of(scores), minlength=BINS)
    expected = np.abs(shares - means) @ counts[counts > 0] / 500
    assert ece(labels, scores) == pytest.approx(expected)
