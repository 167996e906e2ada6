"""A calibration as functions of a score: caps, even odds, posterior, scope, identity."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from calibrations import SCOPE, made_calibration

from ffpipe.manifests.errors import WeightsError
from ffpipe.stages.calibration import Calibration, Caps, Columns, Reading


def test_a_score_by_hand() -> None:
    found = made_calibration(temperature=2.0)
    # Odds 9 at T = 2 are LR = 3.
    assert found.log10_likelihood_ratio(0.9) == pytest.approx(math.log10(3))
    assert found.probability(0.9) == pytest.approx(0.75)
    assert found.posterior(0.9, 0.5) == pytest.approx(0.75)
    assert found.posterior(0.9, 0.01) == pytest.approx(3 / 102), "odds 3 * 1 / 99"
    assert found.log10_likelihood_ratio(1.0) == 1.5
    assert found.log10_likelihood_ratio(0.0) == -1.4
    assert found.probability(1.0) == pytest.approx(10**1.5 / (1 + 10**1.5))
    for score in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="within 0 and 1"):
            found.probability(score)
    for prior in (0.0, 1.0, -1.0):
        with pytest.raises(ValueError, match="prior"):
            found.posterior(0.5, prior)


def test_caps_are_what_independent_groups_support() -> None:
    labels = [0] * 9 + [1] * 6
    caps = Caps.of(labels, [f"g{i // 3}" for i in range(15)])
    assert (caps.lowest, caps.highest) == pytest.approx((-math.log10(2 + 1), math.log10(3 + 1)))
    mixed = Caps.of([0, 1], ["one", "one"])
    assert (mixed.lowest, mixed.highest) == pytest.approx((-math.log10(2), math.log10(2)))


def test_it_comes_back_from_json_and_its_id_says_what_it_is() -> None:
    found = made_calibration()
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found and again.id == found.id and len(found.id) == 16
    others = [
        made_calibration(temperature=3.0),
        made_calibration(n_real=31),
        made_calibration("another"),
        replace(found, caps=Caps(-1.4, 1.6)),
    ]
    assert len({found.id, *(other.id for other in others)}) == 5
    assert found.facts()["id"] == found.id and found.facts()["scope"]["words"] == SCOPE.words()
    assert "30 real and 25 fake videos of 30 groups" in SCOPE.words()


@pytest.mark.parametrize(
    "change", [{"caps": {"lowest": 1, "highest": 2}}, {"scope": {}}, {"method": "none"}, {"caps": None}]
)
def test_damage_is_told(change) -> None:
    with pytest.raises(WeightsError, match="damaged"):
        Calibration.from_json({**made_calibration().to_json(), **change})


def test_a_row_says_nothing_without_calibration_score_or_scope() -> None:
    found = made_calibration()
    assert Reading().of(0.9, 1, 9) == Columns(None, None, None)
    assert Reading(found).of(None, 0, 9) == Columns(None, None, None)
    assert Reading(found).of(0.9, 3, 9) == Columns(None, None, None), "more tracks than any that calibrated"
    assert Reading(found).of(0.9, 1, 1) == Columns(None, None, None), "an image, where videos calibrated"
    images = made_calibration(level="image")
    assert Reading(images).of(0.9, 1, 2) == Columns(None, None, None)
    assert Reading(images).of(0.9, 1, 1).probability == found.probability(0.9)
    plain = Reading(found).of(0.9, 2, 9)
    assert plain == Columns(found.probability(0.9), found.log10_likelihood_ratio(0.9), None)
    assert Reading(found, 0.01).of(0.9, 1, 9).posterior == found.posterior(0.9, 0.01)
