"""Maps from scores to likelihood ratios: by hand, and against scikit-learn's Platt scaling and isotonic regression."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.calibration import _sigmoid_calibration
from sklearn.isotonic import IsotonicRegression
from sklearn.utils.class_weight import compute_sample_weight

from ffpipe.stages.calibration_metrics import cllr, cllr_min
from ffpipe.stages.score_maps import METHODS, ScoreMap, fit, log_odds


def drawn(real: int, fake: int, seed: int = 0, places: int = 6) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [real, fake])
    return labels, np.round(expit(random.normal(3 * labels - 1, 2)), places)


def test_temperature_by_hand() -> None:
    # Three of four fakes at odds e^4, one at e^-4, and reals the other way round: s / T = ln 3 is best, T = 4 / ln 3.
    labels = [1, 1, 1, 1, 0, 0, 0, 0]
    scores = expit([4, 4, 4, -4, -4, -4, -4, 4])
    found = fit("temperature", labels, scores)
    assert found.parameters["temperature"] == pytest.approx(4 / math.log(3), rel=1e-5)
    assert found.log_ratio(scores[:1]) == pytest.approx([math.log(3)], rel=1e-5)


def test_temperature_weighs_both_classes_alike() -> None:
    labels, scores = drawn(300, 40)
    often = np.where(labels == 1, 15, 2)
    evened = fit("temperature", np.repeat(labels, often), np.repeat(scores, often))
    assert fit("temperature", labels, scores).parameters["temperature"] == pytest.approx(
        evened.parameters["temperature"], rel=1e-6
    )


def test_platt_equals_scikit_learn_where_the_classes_are_equal() -> None:
    labels, scores = drawn(200, 200)
    slope, bias = _sigmoid_calibration(log_odds(scores), labels)
    found = fit("platt", labels, scores).parameters
    assert (found["slope"], found["bias"]) == pytest.approx((-slope, -bias), abs=1e-4)


def test_platt_has_its_targets_and_finite_slopes() -> None:
    # Perfectly separated: the fit meets the targets (n + 1) / (n + 2) and 1 / (n + 2) of each class.
    found = fit("platt", [0, 0, 0, 1, 1, 1, 1, 1], [0.1] * 3 + [0.9] * 5)
    assert found.log_ratio([0.1, 0.9]) == pytest.approx(logit([1 / 5, 6 / 7]), abs=1e-5)
    turned = fit("platt", [1] * 4 + [0] * 4, [0.1] * 4 + [0.9] * 4)
    assert turned.parameters["slope"] == 0, "never against the order of the scores"


@pytest.mark.parametrize("places", [6, 1])
def test_isotonic_equals_scikit_learn(places: int) -> None:
    labels, scores = drawn(230, 70, places=places)
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    model.fit(scores, labels, sample_weight=compute_sample_weight("balanced", labels))
    found = fit("isotonic", labels, scores)
    asked = np.linspace(0, 1, 501)
    np.testing.assert_allclose(expit(found.log_ratio(asked)), model.predict(asked), atol=1e-12)
    # On its own media it costs what the best rising map costs.
    assert cllr(labels, expit(found.log_ratio(scores))) == pytest.approx(cllr_min(labels, scores))


@pytest.mark.parametrize("method", METHODS)
def test_every_map_rises_and_comes_back_from_json(method) -> None:
    labels, scores = drawn(150, 50, seed=3)
    found = fit(method, labels, scores)
    ratios = found.log_ratio(np.linspace(0, 1, 1001))
    assert (ratios[1:] >= ratios[:-1]).all() and ratios[-1] > ratios[0]
    again = ScoreMap.from_json(found.to_json())
    np.testing.assert_array_equal(again.log_ratio(scores), found.log_ratio(scores))
    order = np.random.default_rng(1).permutation(len(labels))
    np.testing.assert_allclose(
        fit(method, labels[order], scores[order]).log_ratio([0.3, 0.8]),
        found.log_ratio([0.3, 0.8]),
        rtol=1e-6,
    )


def test_what_is_no_map_is_refused() -> None:
    for method, parameters in (
        ("beta", {}),
        ("temperature", {"temperature": 0.0}),
        ("platt", {"slope": -1.0, "bias": 0.0}),
        ("platt", {"slope": 1.0, "bias": math.nan}),
        ("isotonic", {"scores": [0.1, 0.1], "probabilities": [0.2, 0.3]}),
        ("isotonic", {"scores": [0.1, 0.2], "probabilities": [0.3, 0.2]}),
        ("isotonic", {"scores": [], "probabilities": []}),
        ("isotonic", {"scores": [0.1, 2.0], "probabilities": [0.2, 0.3]}),
    ):
        with pytest.raises(ValueError, match=method):
            ScoreMap(method, parameters)
    with pytest.raises(ValueError, match="both classes"):
        fit("platt", [1, 1], [0.1, 0.9])
    with pytest.raises(ValueError, match="within 0 and 1"):
        ScoreMap("temperature", {"temperature": 1.0}).log_ratio([0.5, 1.5])
    with pytest.raises(ValueError, match="within 0 and 1"):
        ScoreMap("temperature", {"temperature": 1.0}).log_ratio([math.nan])
