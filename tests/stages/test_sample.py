"""What metrics are given: wrong labels and scores are refused, and missing classes are told."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffpipe.stages.metrics import auc
from ffpipe.stages.sample import Sample, undefined_reason


def test_why_a_metric_is_undefined() -> None:
    assert undefined_reason([]) == "no media"
    assert undefined_reason([1, 1]) == "all media are fake"
    assert undefined_reason([0]) == "all media are real"
    assert undefined_reason([0, 1]) is None


@pytest.mark.parametrize(
    ("labels", "scores"),
    [([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([0, math.nan], [0.1, 0.2]), ([[0, 1]], [[0.1, 0.2]])],
)
def test_wrong_labels_and_shapes_are_refused(labels, scores):
    with pytest.raises(ValueError, match=r"labels"):
        auc(labels, scores)


def test_rates_step_at_each_distinct_score_and_a_mean_may_be_of_some() -> None:
    weights = np.array([[1.0, 1, 1, 1], [0, 2, 1, 0]])
    sample = Sample(np.array([0.0, 1, 0, 1]), np.array([0.2, 0.8, 0.8, 0.9]), weights)
    hit, alarm = sample.rates
    assert hit.tolist() == [[0, 0.5, 1, 1], [0, 0, 1, 1]]
    assert alarm.tolist() == [[0, 0, 0.5, 1], [0, 0, 1, 1]]
    assert sample.mean(np.array([1.0, 2, 3, 4])).tolist() == [2.5, pytest.approx(7 / 3)]
    assert sample.mean(np.array([1.0, 2, 3, 4]), of=sample.labels).tolist() == [3, 2]
