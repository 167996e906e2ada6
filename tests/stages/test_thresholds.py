"""The bars: hand values of the quantile rule, its guarantee by simulation, and what has no support."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.errors import WeightsError
from ffpipe.stages.thresholds import Thresholds, choose_thresholds


def choose(real, fake=(0.99,) * 20, groups=None):
    scores, labels = [*real, *fake], [0] * len(real) + [1] * len(fake)
    return choose_thresholds(scores, labels, groups or [f"g{k}" for k in range(len(scores))])


def spread(count):
    return [(k + 1) / (count + 1) * 0.9 for k in range(count)]


def test_bars_by_hand():
    # 19 real videos: floor(0.05 * 20) = 1, floor(0.20 * 20) = 4.
    real = spread(19)
    found = choose(real)
    assert found.usable
    assert found.threshold == max(real)
    assert found.inconclusive_from == sorted(real)[-4]
    assert (found.n_real, found.n_fake, found.auc) == (19, 20, 1.0)


def test_too_few_real_videos_for_the_threshold_leave_the_lower_bar():
    found = choose(spread(18))
    assert found.usable
    assert found.threshold is None
    assert found.inconclusive_from == sorted(spread(18))[-3]


def test_the_rates_are_those_of_independent_groups():
    grouped = [f"g{k // 2}" for k in range(36)] + [f"f{k}" for k in range(20)]
    found = choose(spread(36), groups=grouped)
    assert found.real_groups == 18
    assert found.threshold is None


@pytest.mark.parametrize("tracks", [1, 2, 5])
def test_false_alarms_of_new_videos_stay_within_the_rate(tracks):
    """Over many validation sets of 60 real videos and new videos of `tracks` faces, all from one distribution."""
    random = np.random.default_rng(tracks)
    called = doubted = 0
    rounds = 4000
    for _ in range(rounds):
        tail = tuple(sorted(random.random(60), reverse=True)[:12])
        bars = Thresholds(n_real=60, n_fake=60, real_groups=60, real_tail=tail).bars(tracks)
        score = random.random(tracks).max()
        called += bars.threshold is not None and score > bars.threshold
        doubted += score > bars.inconclusive_from
    # Two standard deviations of the binomial above the promised rates.
    beyond = not bars.supported
    limit = 1 - (1 - 1 / 61) ** tracks if beyond else 0.05
    assert called / rounds <= limit + 2 * (0.05 * 0.95 / rounds) ** 0.5
    assert called / rounds > 0.01
    assert doubted / rounds <= 0.20 + 2 * (0.2 * 0.8 / rounds) ** 0.5


@given(st.lists(st.floats(0, 1), min_size=4, max_size=80), st.integers(1, 40))
def test_bars_rise_with_tracks_and_never_leave_the_data(real, tracks):
    tail = tuple(sorted(real, reverse=True))
    found = Thresholds(n_real=len(real), n_fake=9, real_groups=len(real), real_tail=tail)
    fewer, more = found.bars(tracks), found.bars(tracks + 1)
    assert fewer.inconclusive_from <= more.inconclusive_from <= max(real)
    if more.threshold is not None:
        assert fewer.threshold is not None
        assert fewer.threshold <= more.threshold <= max(real)
    if fewer.threshold is not None:
        assert fewer.inconclusive_from <= fewer.threshold


def test_what_supports_no_verdict_says_why():
    random = np.random.default_rng(0)
    chance = choose(random.random(30), random.random(30))
    assert not chance.usable
    assert "includes 0.5" in chance.reason
    backwards = choose(0.5 + 0.5 * random.random(30), 0.5 * random.random(30))
    assert "lies below 0.5" in backwards.reason
    assert "only real" in choose(spread(9), ()).reason
    assert "only fake" in choose((), (0.5,)).reason
    assert "not validated" in choose((), ()).reason
    assert "too few" in choose(spread(3)).reason
    assert "could be chance" in choose(spread(4), (0.99,)).reason
    assert Thresholds.from_json(None).reason
    for found in (chance, backwards, choose((), ())):
        assert found.bars(1) == (None, None, False)


def test_one_group_alone_gives_no_interval_and_no_verdict():
    found = choose(spread(10), (0.95,) * 10, groups=["one"] * 20)
    assert not found.usable


def test_round_trip_through_json():
    for found in (choose(spread(40)), choose(spread(3)), choose((), ())):
        text = json.dumps(found.to_json(), allow_nan=False)
        assert Thresholds.from_json(json.loads(text)) == found
    with pytest.raises(WeightsError, match="damaged"):
        Thresholds.from_json({"n_real": 3})
    with pytest.raises(WeightsError, match="damaged"):
        Thresholds.from_json({**choose(spread(40)).to_json(), "real_tail": []})


def test_scores_that_are_none_are_refused():
    with pytest.raises(ValueError, match="within 0 and 1"):
        choose([float("nan")])
    with pytest.raises(ValueError, match="labels"):
        choose_thresholds([0.5], [], ["g"])
