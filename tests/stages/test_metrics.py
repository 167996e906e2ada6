"""Every metric against scikit-learn or a value by hand, with ties, one class and NaN; the bootstrap."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as reference
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.class_weight import compute_sample_weight

from ffpipe.stages.calibration_metrics import BINS, cllr, ece
from ffpipe.stages.metrics import (
    METRICS,
    Interval,
    accuracy,
    auc,
    average_precision,
    bootstrap_interval,
    brier,
    eer,
    evaluate,
    log_loss,
    mean_intervals,
    too_few_groups,
    tpr_at_1_fpr,
)
from ffpipe.stages.sample import Sample

REFERENCES = {
    "auc": reference.roc_auc_score,
    "average_precision": reference.average_precision_score,
    "accuracy": lambda y, s: reference.accuracy_score(y, np.asarray(s) >= 0.5),
    "log_loss": lambda y, s: reference.log_loss(y, np.asarray(s, dtype=np.float64), labels=[0, 1]),
    "brier": reference.brier_score_loss,
    "eer": lambda y, s: eer_by_search(*reference.roc_curve(y, s, drop_intermediate=False)[:2]),
    "tpr_at_1_fpr": lambda y, s: tpr_by_search(*reference.roc_curve(y, s, drop_intermediate=False)[:2]),
    "ece": lambda y, s: ece_by_loop(y, s),
    "cllr": lambda y, s: balanced_bits(y, s),
    "cllr_min": lambda y, s: balanced_bits(y, recalibrated(y, s)),
}
NEEDS_BOTH = ("auc", "eer", "average_precision", "tpr_at_1_fpr", "cllr", "cllr_min")
#: Fitted to the sample itself: off in one direction, and more so in a draw that repeats media.
BIASED = ("ece", "cllr_min")


def ece_by_loop(labels, scores) -> float:
    gaps = []
    for low in np.arange(BINS) / BINS:
        inside = [(y, s) for y, s in zip(labels, scores, strict=True) if low <= s < low + 1 / BINS - 1e-15]
        gaps.append(abs(sum(y for y, _ in inside) - sum(s for _, s in inside)))
    ones = [(y, s) for y, s in zip(labels, scores, strict=True) if s == 1]
    gaps[-1] = abs(
        sum(y - s for y, s in zip(labels, scores, strict=True) if (BINS - 1) / BINS <= s < 1)
        + sum(y - s for y, s in ones)
    )
    return sum(gaps) / len(labels)


def balanced_bits(labels, scores) -> float:
    weights = compute_sample_weight("balanced", labels)
    return reference.log_loss(labels, scores, sample_weight=weights, labels=[0, 1]) / math.log(2)


def recalibrated(labels, scores) -> np.ndarray:
    weights = compute_sample_weight("balanced", labels)
    return IsotonicRegression(y_min=0, y_max=1).fit_transform(scores, labels, sample_weight=weights)


def eer_by_search(alarm, hit) -> float:
    """Where the polyline of the ROC meets miss = alarm, by walking its edges in exact steps."""
    for a0, h0, a1, h1 in zip(alarm, hit, alarm[1:], hit[1:], strict=False):
        before, after = a0 - (1 - h0), a1 - (1 - h1)
        if before < 0 <= after:
            return float(a0 + (a1 - a0) * before / (before - after))
    raise AssertionError("the ROC ends at (1, 1)")


def tpr_by_search(alarm, hit) -> float:
    return max(h for a, h in zip(alarm, hit, strict=True) if a <= 0.01)


def scored(count: int, seed: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.append([0, 1], random.integers(0, 2, count - 2))
    scores = np.clip(random.normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    return labels, np.round(scores, 1) if ties else scores


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", [2, 3, 17, 900])
def test_each_metric_equals_its_reference(name, ties, count):
    for seed in range(5):
        labels, scores = scored(count, seed, ties)
        assert METRICS[name](labels, scores) == pytest.approx(REFERENCES[name](labels, scores), abs=1e-12)


def test_every_metric_has_a_reference_and_a_name():
    assert set(METRICS) == set(REFERENCES)
    assert all(metric.__name__ == name and metric.__doc__ for name, metric in METRICS.items())


@pytest.mark.parametrize("name", METRICS)
def test_the_contract_of_a_metric(name):
    """Integer weights mean repetition, weightings do not see each other, order does not matter."""
    metric = METRICS[name]
    labels, scores = scored(40, 3, ties=True)
    times = np.random.default_rng(0).integers(0, 4, (3, 40))
    found = metric.of(Sample(labels.astype(float), scores, times.astype(float)))
    assert found.shape == (3,)
    for row, value in zip(times, found, strict=True):
        assert metric(np.repeat(labels, row), np.repeat(scores, row)) == pytest.approx(value, abs=1e-12)
    assert metric(labels[::-1], scores[::-1]) == pytest.approx(metric(labels, scores), abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_one_class_or_nothing_is_undefined_or_the_reference(name):
    assert math.isnan(METRICS[name]([], []))
    for labels in ([0, 0, 0], [1, 1, 1]):
        found = METRICS[name](labels, [0.2, 0.9, 0.4])
        if name in NEEDS_BOTH:
            assert math.isnan(found)
        else:
            assert found == pytest.approx(REFERENCES[name](labels, [0.2, 0.9, 0.4]))


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_scores_that_are_no_numbers_are_refused(name, bad):
    with pytest.raises(ValueError, match="1 of 3 scores are NaN or infinite, first at 1"):
        METRICS[name]([0, 1, 1], [0.1, bad, 0.3])


@pytest.mark.parametrize("metric", [log_loss, brier, ece, cllr])
@pytest.mark.parametrize("scores", [[-0.1, 0.5], [0.5, 1.1]])
def test_metrics_of_probabilities_refuse_logits(metric, scores):
    with pytest.raises(ValueError, match="probabilities"):
        metric([0, 1], scores)


def test_values_by_hand():
    labels, scores = [0, 0, 1, 1], [0.1, 0.6, 0.6, 0.9]
    assert auc(labels, scores) == 7 / 8
    # The ROC goes (0, 0), (0, 1/2), (1/2, 1), (1, 1); it meets miss = alarm halfway along its second edge.
    assert eer(labels, scores) == 1 / 4
    assert average_precision(labels, scores) == pytest.approx(1 / 2 * 1 + 1 / 2 * 2 / 3)
    assert accuracy(labels, scores, threshold=0.6) == 3 / 4
    assert accuracy(labels, scores, threshold=0.61) == 3 / 4
    assert tpr_at_1_fpr(labels, scores) == 1 / 2
    assert brier([0, 1], [0.5, 0.8]) == pytest.approx((0.25 + 0.04) / 2)
    assert log_loss([1, 1], [1.0, 0.5]) == pytest.approx(math.log(2) / 2)
    assert log_loss([0], [1.0]) == pytest.approx(52 * math.log(2))


def test_extremes():
    for metric, perfect, constant, reversed_ in ((auc, 1, 0.5, 0), (eer, 0, 0.5, 1)):
        assert metric([0, 0, 1], [0.1, 0.2, 0.9]) == perfect
        assert metric([0, 0, 1], [0.3, 0.3, 0.3]) == constant
        assert metric([1, 1, 0], [0.1, 0.2, 0.9]) == reversed_


def test_one_false_alarm_in_a_hundred_is_one_percent():
    labels = [0] * 100 + [1]
    assert tpr_at_1_fpr(labels, [0.9] + [0.1] * 99 + [0.5]) == 1
    assert tpr_at_1_fpr(labels, [0.9, 0.9] + [0.1] * 98 + [0.5]) == 0


def groups_of(count: int, size: int = 1) -> list[str]:
    return [f"g{k // size}" for k in range(count)]


def test_the_bootstrap_is_seeded_and_clustered():
    random = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    person = np.repeat(random.normal(0, 1, 12), 10)
    scores = 1 / (1 + np.exp(-(labels + person + random.normal(0, 0.3, 120))))
    alone = bootstrap_interval(auc, labels, scores, groups_of(120))
    together = bootstrap_interval(auc, labels, scores, groups_of(120, 10))
    assert together == bootstrap_interval(auc, labels, scores, groups_of(120, 10))
    assert together != bootstrap_interval(auc, labels, scores, groups_of(120, 10), seed=1)
    assert (alone.clusters, together.clusters) == (120, 12)
    assert alone.low < auc(labels, scores) < alone.high


def test_the_interval_equals_a_loop_that_draws_groups():
    labels, scores = scored(60, 1, ties=True)
    groups = np.array(groups_of(60, 4))
    names, random, drawn = np.unique(groups), np.random.default_rng(9), []
    for _ in range(1500):
        places = np.concatenate([np.flatnonzero(groups == g) for g in random.choice(names, names.size)])
        drawn.append(auc(labels[places], scores[places]))
    found = bootstrap_interval(auc, labels, scores, groups.tolist(), replicates=1500)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.02)


def coverage(sets: int, groups: int, clustered: bool, seed: int) -> float:
    """How often the 95% interval holds the true AUC of `groups` people, half of them fakes, eight clips each.

    A clip's score is N(1, 1) for a fake and N(0, 1) for a real, plus N(0, 1) for its person: two clips of different
    people differ by N(1, 4), so that the AUC is Phi(1 / 2) = 0.6915. Of one class there is nobody else's clip in a
    group, and the eight are worth 8 / (1 + 7 / 2) = 1.8 independent ones.
    """
    random, truth, covered = np.random.default_rng(seed), norm.cdf(0.5), 0
    labels = np.repeat(np.arange(groups) % 2, 8)
    names = groups_of(8 * groups, 8 if clustered else 1)
    for _ in range(sets):
        scores = labels + np.repeat(random.normal(0, 1, groups), 8) + random.normal(0, 1, 8 * groups)
        covered += not bootstrap_interval(auc, labels, scores, names, replicates=300).excludes(truth)
    return covered / sets


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Of 200 sets at 95% fewer than 176 or more than 199 would be 4.5 and 2.9 standard deviations off."""
    assert 0.88 <= coverage(200, 40, clustered=True, seed=2) <= 0.995


def test_an_interval_that_took_clips_for_independent_would_not():
    assert coverage(80, 40, clustered=False, seed=2) < 0.8


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "least"), [(20, 0.89), (40, 0.905), (120, 0.92)])
def test_coverage_comes_near_its_level_as_groups_grow(groups, least):
    assert least <= coverage(1000, groups, clustered=True, seed=3) <= 0.97


@pytest.mark.slow
def test_the_interval_of_a_mean_covers_it_and_is_narrower_than_those_of_its_sets():
    """Four sets as `coverage` has them, of people of their own."""
    random, truth = np.random.default_rng(5), norm.cdf(0.5)
    labels, widths, covered = np.repeat(np.arange(40) % 2, 4), [], 0
    for _ in range(300):
        parts = [
            (labels, labels + np.repeat(random.normal(0, 1, 40), 4) + random.normal(0, 1, 160),
             [f"{part}/{group}" for group in groups_of(160, 4)])
            for part in range(4)
        ]  # fmt: skip
        (mean,) = mean_intervals([auc], parts, replicates=300)
        lone = bootstrap_interval(auc, *parts[0], replicates=300)
        covered += not mean.excludes(truth)
        widths.append((mean.high - mean.low) / (lone.high - lone.low))
        assert mean.clusters == 160
    assert 0.91 <= covered / 300 <= 0.985
    assert np.mean(widths) == pytest.approx(0.5, abs=0.05), "1 / sqrt(4)"


def test_chunks_of_draws_change_nothing(monkeypatch):
    labels, scores = scored(50, 4, ties=False)
    whole = bootstrap_interval(auc, labels, scores, groups_of(50), replicates=100)
    monkeypatch.setattr("ffpipe.stages.resampling._CELLS", 500)
    assert bootstrap_interval(auc, labels, scores, groups_of(50), replicates=100) == whole


@pytest.mark.parametrize(
    ("labels", "groups", "enough"),
    [
        ([0, 1] * 5, groups_of(10, 2), False),
        ([0, 1] * 6, groups_of(12, 2), True),
        ([0] * 3 + [1] * 3, groups_of(6), False),
        ([0] * 4 + [1] * 4, groups_of(8), True),
        ([0] + [1] * 38, groups_of(39), False),
        ([0] + [1] * 39, groups_of(40), True),
        ([0, 1] * 50, ["one"] * 100, False),
        ([0, 1] * 200, groups_of(400, 2), True),
        ([0, 1] * 2000, groups_of(4000), True),
    ],
)
def test_perfect_separation_of_too_few_groups_proves_nothing(labels, groups, enough):
    assert (too_few_groups(labels, groups) is None) == enough
    found = bootstrap_interval(auc, labels, [float(label) for label in labels], groups, replicates=50)
    assert found.excludes(0.5) == enough
    assert (found.reason is None) == enough


def test_evaluate_gives_every_metric_its_interval_and_its_n():
    labels, scores = scored(80, 6, ties=False)
    found = evaluate(labels, scores, groups_of(80), threshold=0.4, replicates=200, seed=3)
    assert list(found) == list(METRICS)
    for name, result in found.items():
        assert result.value == METRICS[name](labels, scores, threshold=0.4)
        assert result.interval.low < result.interval.high
        assert name in BIASED or result.interval.low <= result.value <= result.interval.high
        assert (result.n_real, result.n_fake) == (int((labels == 0).sum()), int((labels == 1).sum()))
    alone = bootstrap_interval(auc, labels, scores, groups_of(80), replicates=200, seed=3)
    assert found["auc"].interval == alone


def test_evaluate_of_one_class_has_no_interval_and_says_why():
    found = evaluate([0, 0], [0.2, 0.8], ["a", "b"], names=["auc", "accuracy"])
    assert found["auc"].value is None
    assert found["accuracy"].value == 0.5
    assert found["auc"].interval == Interval(None, None, 2, "all media are real")
    assert not found["auc"].interval.excludes(0.5)
    assert evaluate([], [], [])["brier"].interval.reason == "no media"


def test_groups_must_be_one_a_medium():
    with pytest.raises(ValueError, match="1 groups for 2 media"):
        evaluate([0, 1], [0.1, 0.2], ["a"])
