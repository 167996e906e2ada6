"""Coverage and risk by hand, ties together, media that are held back, and the area against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.stages.metrics import bootstrap_interval
from ffpipe.stages.sample import Sample
from ffpipe.stages.selective import Answers, aurc, coverage_risk

LABELS, SCORES = [1, 0, 1, 0], [0.9, 0.2, 0.4, 0.55]


def test_the_curve_by_hand() -> None:
    # Confidences about 0.5: 0.4 right, 0.3 right, 0.1 wrong, 0.05 wrong. Of five media one has no score.
    found = coverage_risk(LABELS, SCORES, 0.5, 5)
    assert found.coverage.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert aurc(LABELS, SCORES, threshold=0.5) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_equal_confidences_are_answered_together() -> None:
    found = coverage_risk([1, 0, 1], [0.75, 0.75, 0.25], 0.5, 3)
    assert (found.coverage.tolist(), found.risk.tolist()) == ([1.0], pytest.approx([2 / 3]))
    assert aurc([1, 0, 1], [0.75, 0.75, 0.25], threshold=0.5) == pytest.approx(2 / 3)


def test_what_is_held_back_is_never_answered() -> None:
    found = coverage_risk(LABELS, SCORES, 0.5, 4, [False, True, True, False])
    assert found.coverage.tolist() == [0.25, 0.5]
    assert found.risk.tolist() == [0, 0.5]
    assert coverage_risk(LABELS, SCORES, 0.5, 4, [True] * 4) is None
    assert coverage_risk([], [], 0.5, 4) is None
    with pytest.raises(ValueError, match="NaN"):
        coverage_risk([0, 1], [0.1, float("nan")], 0.5, 2)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=12))
def test_the_area_is_the_mean_risk_also_under_weights(media) -> None:
    """Weights are copies: of a medium that is drawn twice there are two."""
    labels, tenths, weights = zip(*media, strict=True)
    scores = np.array(tenths) / 8
    if not sum(weights):
        return
    copies = [
        (abs(s - 0.5), (s >= 0.5) != bool(y))
        for y, s, w in zip(labels, scores, weights, strict=True)
        for _ in range(w)
    ]
    risks = [np.mean([wrong for sure, wrong in copies if sure >= least]) for least, _ in copies]
    sample = Sample(np.array(labels, float), scores, np.array([weights], float), 0.5)
    assert aurc.of(sample)[0] == pytest.approx(np.mean(risks))


def test_a_better_detector_has_a_smaller_area_with_an_interval_over_groups() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(80) % 2
    groups = [f"g{k // 4}" for k in range(80)]
    areas = []
    for skill in (0.05, 0.3):
        scores = np.clip(0.5 + skill * (2 * labels - 1) + random.normal(0, 0.2, 80), 0, 1)
        interval = bootstrap_interval(aurc, labels, scores, groups, replicates=200)
        areas.append(aurc(labels, scores))
        assert interval.low <= areas[-1] <= interval.high
    assert areas[1] < areas[0]


def test_answers_are_shares_of_everything() -> None:
    assert (Answers(3, 1, 12).coverage, Answers(3, 1, 12).risk) == (0.25, pytest.approx(1 / 3))
    assert (Answers(0, 0, 4).coverage, Answers(0, 0, 4).risk, Answers(0, 0, 0).coverage) == (0.0, None, None)
