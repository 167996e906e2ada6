"""The bars in sentences: with their rates, with what they rest on, and none where the provenance has none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ffpipe.pipeline.page.bars import explained, thresholds_of
from ffpipe.stages.thresholds import Thresholds

SOUND = Thresholds(n_real=99, n_fake=50, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95,
                   real_tail=tuple(0.9 - k / 100 for k in range(20)))  # fmt: skip


def test_the_threshold_is_told_with_its_rate_and_its_validation() -> None:
    told = " ".join(explained(SOUND))
    assert "The threshold is 0.860: at most 5% of 99 real videos in validation scored above it." in told
    assert "Doubt begins at 0.710, which at most 20% of them passed." in told
    assert "AUC of 0.90 (95% interval 0.80 to 0.95)" in told


def test_few_real_videos_are_told() -> None:
    few = replace(SOUND, n_real=6, real_groups=6, real_tail=(0.9,))
    assert "too few to hold false alarms at 5%" in " ".join(explained(few))
    unusable = Thresholds(reason="validation had only real videos")
    assert explained(unusable) == [
        "No verdict can rest on these scores: validation had only real videos. All of them are inconclusive."
    ]


@pytest.mark.parametrize(
    "model", [None, "text", {}, {"thresholds": None}, {"thresholds": []}, {"thresholds": {"n_real": "many"}}]
)
def test_a_provenance_that_says_nothing_sound_has_no_bars(model: Any) -> None:
    assert thresholds_of({"model": model}) is None
    assert explained(None) == ["This report does not say which bars its verdicts were held to."]


def test_bars_are_read_back_from_a_provenance() -> None:
    assert thresholds_of({"model": {"thresholds": SOUND.to_json()}}) == SOUND
