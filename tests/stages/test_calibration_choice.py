"""Fitting to a fold: what is too little, the parts of cross-validation, and which method is taken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from ffpipe.stages.calibration import Caps
from ffpipe.stages.calibration_choice import (
    MIN_GROUPS,
    PARTS,
    choose,
    cross_validated,
    parts_of_groups,
    too_small,
    unfit,
)
from ffpipe.stages.calibration_metrics import cllr
from ffpipe.stages.score_maps import METHODS, fit


def fold(
    groups: int = 60, seed: int = 0, distort=lambda odds: odds
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Two reals and a fake a group, whose log odds are likelihood ratios until they are distorted."""
    random = np.random.default_rng(seed)
    labels = np.tile([0.0, 0.0, 1.0], groups)
    odds = random.normal(
        np.where(labels == 1, 2, -2), 2
    )  # ln LR of N(2, 4) against N(-2, 4) is the value itself
    return labels, expit(distort(odds)), [f"g{i // 3}" for i in range(3 * groups)]


def test_what_is_too_little_is_said() -> None:
    labels, scores, groups = fold()
    assert unfit(labels, scores, groups) is None
    assert too_small(labels[labels == 1], groups[::3]) == "all media are fake"
    few = 3 * (MIN_GROUPS - 1)
    assert "9 independent groups have real media and 9 fake ones" in str(
        too_small(labels[:few], groups[:few])
    )
    assert too_small(labels[: 3 * MIN_GROUPS], groups[: 3 * MIN_GROUPS]) is None
    assert "do not score above" in str(unfit(labels, 1 - scores, groups))
    with pytest.raises(ValueError, match="do not score above"):
        choose("auto", labels, 1 - scores, groups)


def test_groups_stay_together_in_parts_that_have_both_classes() -> None:
    labels = np.array([0.0] * 30 + [1.0] * 25)
    groups = [f"r{i // 2}" for i in range(30)] + [f"r{i}" if i < 3 else f"f{i}" for i in range(25)]
    part = parts_of_groups(labels, groups)
    assert set(part) == set(range(PARTS))
    assert all(len({p for p, g in zip(part, groups, strict=True) if g == name}) == 1 for name in groups)
    assert all(set(labels[part != number]) == {0, 1} for number in range(PARTS))
    order = np.random.default_rng(0).permutation(55)
    again = parts_of_groups(labels[order], [groups[i] for i in order])
    np.testing.assert_array_equal(again, part[order])


def test_each_medium_is_read_by_what_its_part_did_not_teach() -> None:
    labels, scores, groups = fold(20)
    held_out = cross_validated("platt", labels, scores, groups)
    part = parts_of_groups(labels, groups)
    out = part == part[0]
    names = [g for g, o in zip(groups, out, strict=True) if not o]
    caps = Caps.of(labels[~out], names)
    expected = caps.log_ratio(fit("platt", labels[~out], scores[~out]).log_ratio(scores[out]))
    np.testing.assert_array_equal(held_out[out], expected)
    assert np.abs(held_out).max() <= np.log(19 + 1e-9), "18 groups in the other parts"


@pytest.mark.parametrize(
    ("distort", "expected"),
    [
        (lambda odds: 3 * odds, "temperature"),
        (lambda odds: 3 * odds + 4, "platt"),
        (lambda odds: np.where(odds > 0, 0.01 * odds, 8 * odds), "isotonic"),
    ],
)
def test_auto_takes_the_method_that_mends_the_distortion(distort, expected) -> None:
    labels, scores, groups = fold(400, distort=distort)
    found = choose("auto", labels, scores, groups)
    assert found.map.method == expected
    assert list(found.costs) == list(METHODS) and min(found.costs, key=found.costs.__getitem__) == expected
    assert found.costs[expected] == pytest.approx(cllr(labels, expit(found.held_out)))
    undistorted = cllr(labels, fold(400)[1])
    assert found.costs[expected] == pytest.approx(undistorted, abs=0.03)
    assert cllr(labels, scores) > found.costs[expected] + 0.03


def test_a_method_that_is_named_is_taken_alone() -> None:
    labels, scores, groups = fold(30, distort=lambda odds: 3 * odds + 4)
    found = choose("temperature", labels, scores, groups)
    assert found.map.method == "temperature" and list(found.costs) == ["temperature"]
    assert found.caps == Caps.of(labels, groups)
