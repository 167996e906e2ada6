"""The paired test: same draws for both models, its level on data without a difference, DeLong and Holm by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ffpipe.stages.metrics import METRICS, auc, figures_of_draws
from ffpipe.stages.paired import Model, delong, holm, paired


def made(groups: int, seed: int, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """Four clips a person, two of them fake, scored by two models that share what makes a person hard."""
    random = np.random.default_rng(seed)
    labels = np.tile([0, 1], 2 * groups)
    person = np.repeat(random.normal(0, 1, groups), 4)
    own = [labels * (1 + k * gain) + person + random.normal(0, 0.5, 4 * groups) for k in range(2)]
    first, second = (1 / (1 + np.exp(-values)) for values in own)
    return labels, first, second, [f"g{n // 4}" for n in range(4 * groups)]


def test_a_difference_is_of_the_same_draws() -> None:
    labels, first, second, groups = made(20, 0, gain=0.5)
    names = list(METRICS)
    found = paired(labels, (Model(first), Model(second, 0.7)), groups, names, replicates=200, seed=4)
    for name, difference in found.items():
        assert difference.first == METRICS[name](labels, first)
        assert difference.second == METRICS[name](labels, second, threshold=0.7)
        assert difference.value == pytest.approx(difference.second - difference.first)
    (drawn_a,) = figures_of_draws([auc], labels, first, groups, replicates=200, seed=4)
    (drawn_b,) = figures_of_draws([auc], labels, second, groups, replicates=200, seed=4)
    expected = np.quantile(drawn_b - drawn_a, [0.025, 0.975])
    assert (found["auc"].interval.low, found["auc"].interval.high) == pytest.approx(tuple(expected))
    below = int((drawn_b - drawn_a <= 0).sum())
    assert found["auc"].p == pytest.approx(min(1, 2 * (1 + below) / 201))


def test_a_model_does_not_differ_from_itself_and_swapping_turns_the_sign() -> None:
    labels, first, second, groups = made(20, 1, gain=0.5)
    same = paired(labels, (Model(first), Model(first)), groups, ["auc"], replicates=100)["auc"]
    assert (same.value, same.interval.low, same.interval.high, same.p) == (0, 0, 0, 1)
    there = paired(labels, (Model(first), Model(second)), groups, ["auc"], replicates=100)["auc"]
    back = paired(labels, (Model(second), Model(first)), groups, ["auc"], replicates=100)["auc"]
    assert (back.value, back.interval.low, back.p) == pytest.approx(
        (-there.value, -there.interval.high, there.p)
    )


def test_rounding_is_no_difference() -> None:
    labels, first, _, groups = made(20, 1)
    found = paired(labels, (Model(first), Model(first / 3)), groups, ["auc", "eer"], replicates=100)
    assert [difference.p for difference in found.values()] == [1, 1]
    names = [[0.1, 0.2] * 30, [0.3, 0.7] * 30]
    separate = paired(
        [0, 1] * 30, tuple(Model(scores) for scores in names), [f"g{n // 2}" for n in range(60)], ["auc"]
    )
    assert separate["auc"].p == 1


def test_pairing_finds_what_two_intervals_would_not() -> None:
    labels, first, second, groups = made(40, 2, gain=1.0)
    found = paired(labels, (Model(first), Model(second)), groups, ["auc"], replicates=500)["auc"]
    assert found.interval.low > 0
    assert found.p < 0.05
    # What both share is most of the spread: of one model alone the interval is wider than that of the difference.
    (drawn,) = figures_of_draws([auc], labels, first, groups, replicates=500)
    assert np.ptp(np.quantile(drawn, [0.025, 0.975])) > found.interval.high - found.interval.low


def test_without_a_difference_the_test_says_so_about_as_often_as_it_should() -> None:
    """Of 120 tests at 5%, 6 are expected; 15 or more have a chance of 0.1%."""
    wrong = 0
    for seed in range(120):
        labels, first, second, groups = made(30, 100 + seed)
        found = paired(labels, (Model(first), Model(second)), groups, ["auc"], replicates=200)["auc"]
        wrong += found.p < 0.05
    assert 1 <= wrong <= 15


def test_one_class_or_few_groups_give_values_and_the_reason() -> None:
    one = paired([1, 1], (Model([0.2, 0.8]), Model([0.6, 0.7])), ["a", "b"], ["auc", "accuracy"])
    assert (one["auc"].value, one["accuracy"].value, one["auc"].p) == (None, 0.5, None)
    assert one["auc"].interval.reason == "all media are fake"
    few = paired([0, 1], (Model([0.2, 0.8]), Model([0.6, 0.5])), ["a", "b"], ["auc"])["auc"]
    assert (few.value, few.p) == (-1, None)
    assert "too few" in few.interval.reason
    with pytest.raises(ValueError, match="1 groups for 2 media"):
        paired([0, 1], (Model([0.2, 0.8]), Model([0.6, 0.5])), ["a"], ["auc"])


def test_delong_by_hand() -> None:
    labels = [0, 0, 1, 1]
    # Placements of the fakes among the reals: 1, 1 and 1/2, 1; of the reals 1, 1 and 1, 1/2.
    first, second = [0.1, 0.2, 0.8, 0.9], [0.1, 0.5, 0.3, 0.9]
    # Differences -1/2, 0 and 0, -1/2: mean -1/4, variance 1/8 in each class, 1/8 of the mean's difference.
    z = 0.25 / math.sqrt(0.125 / 2 + 0.125 / 2)
    assert delong(labels, first, second) == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert delong(labels, first, first) is None
    assert delong([0, 1], [0.1, 0.2], [0.2, 0.1]) is None


def test_delong_agrees_with_the_bootstrap_where_media_are_independent() -> None:
    random = np.random.default_rng(7)
    labels = np.arange(400) % 2
    first = 1 / (1 + np.exp(-random.normal(labels, 1)))
    second = 1 / (1 + np.exp(-random.normal(1.15 * labels, 1)))
    groups = [f"g{n}" for n in range(400)]
    found = paired(labels, (Model(first), Model(second)), groups, ["auc"], replicates=2000)["auc"]
    assert delong(labels, first, second) == pytest.approx(found.p, abs=0.05)


def test_holm_by_hand() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.2}) == {"a": 0.2}
    assert holm({}) == {}
