"""Draws are of whole groups, and a group is drawn as often in every part that it has media in."""

from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.resampling import joint_resamples, resamples

LABELS, SCORES, GROUPS = [0, 1, 0, 1], [0.1, 0.9, 0.4, 0.6], ["a", "a", "b", "c"]


def test_media_of_a_group_are_drawn_together_as_many_groups_as_there_are() -> None:
    (sample,) = resamples(LABELS, SCORES, GROUPS, replicates=200)
    weights = sample.weights
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 1:].sum(axis=1), 3)
    assert weights.mean(axis=0) == pytest.approx(1, abs=0.2)
    assert weights.max() > 1


def test_parts_share_the_draws_of_their_groups() -> None:
    parts = [([0, 1], [0.1, 0.9], ["a", "b"]), ([1, 0, 1], [0.2, 0.3, 0.4], ["c", "b", "b"])]
    ((first, second),) = joint_resamples(parts, 0.5, 100, seed=3)
    np.testing.assert_array_equal(first.weights[:, 1], second.weights[:, 1])
    np.testing.assert_array_equal(second.weights[:, 1], second.weights[:, 2])
    total = first.weights[:, 0] + first.weights[:, 1] + second.weights[:, 0]
    np.testing.assert_array_equal(total, 3)
    # The draws are those of all groups in one set.
    (whole,) = resamples([0, 1, 1], [0, 0, 0], ["a", "b", "c"], replicates=100, seed=3)
    np.testing.assert_array_equal(whole.weights[:, :2], first.weights)
