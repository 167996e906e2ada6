"""The threshold by hand, at the limits of what the reals support, and its promise over random scores."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.stages.operating_point import threshold_at_false_alarm_rate


def test_the_threshold_by_hand():
    reals = [k / 100 for k in range(39)]
    # floor(0.05 * 40) - 1 = 1 may pass: the threshold lies between the highest and the second highest.
    found = threshold_at_false_alarm_rate([0] * 39, reals, 0.05)
    assert found.threshold == pytest.approx(0.375)
    assert (found.false_alarms, found.negatives, found.supported) == (1, 39, True)
    assert found.expected_rate == 2 / 40


@pytest.mark.parametrize(("reals", "supported"), [(1, False), (18, False), (19, True)])
def test_few_reals_allow_no_false_alarm_and_support_is_said(reals, supported):
    found = threshold_at_false_alarm_rate([0] * reals + [1], [0.3] * reals + [0.9], 0.05)
    assert found.threshold == pytest.approx(0.6)
    assert (found.false_alarms, found.supported) == (0, supported)


def test_tied_reals_pass_together_or_not_at_all():
    labels, scores = [0] * 39 + [1], [0.8, 0.8] + [0.1] * 37 + [0.5]
    found = threshold_at_false_alarm_rate(labels, scores, 0.05)
    assert found.threshold > 0.8
    assert found.false_alarms == 0


def test_a_threshold_above_everything_is_the_next_float():
    found = threshold_at_false_alarm_rate([0, 0], [0.25, 1.0], 0.05)
    assert found.threshold == np.nextafter(1.0, 2.0)


def test_no_real_gives_no_threshold_and_a_wrong_rate_is_refused():
    assert threshold_at_false_alarm_rate([1], [0.5], 0.05) is None
    for rate in (0, 1, -0.1):
        with pytest.raises(ValueError, match="between 0 and 1"):
            threshold_at_false_alarm_rate([0], [0.5], rate)


@given(st.lists(st.integers(0, 20), min_size=19, max_size=80), st.lists(st.integers(0, 20), max_size=5))
def test_a_supported_threshold_keeps_its_promise_on_the_reals(reals, fakes):
    labels = [0] * len(reals) + [1] * len(fakes)
    found = threshold_at_false_alarm_rate(labels, [float(s) for s in reals + fakes], 0.05)
    assert found.supported
    assert found.false_alarms == sum(score >= found.threshold for score in reals)
    assert Fraction(found.false_alarms + 1, len(reals) + 1) <= Fraction(1, 20)
