"""Points and chance: figures with intervals, and what labels that mean nothing give."""

from __future__ import annotations

import numpy as np
import pytest

from ffpipe.stages.metrics import auc
from ffpipe.stages.robustness import FIGURES, by_chance, point

GROUPS = [f"g{number // 2}" for number in range(60)]
LABELS = np.tile([0, 1], 30).astype(np.int8)
SCORES = np.clip(np.random.default_rng(0).normal(0.4 + 0.2 * LABELS, 0.15), 0, 1)


def test_a_point_has_every_figure_with_its_interval():
    found = point("jpeg", 40, LABELS, SCORES, GROUPS, threshold=0.5, unscored=2, replicates=200)
    assert (found.n_real, found.n_fake, found.groups, found.unscored, found.scores) == (30, 30, 30, 2, 60)
    assert found.figures["auc"].value == auc(LABELS, SCORES)
    assert found.figures["accuracy"].value == np.mean((SCORES >= 0.5) == LABELS)
    for figure in found.figures.values():
        assert figure.low < figure.value < figure.high
    cells = found.flat()
    assert {f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")} <= set(cells)


def test_one_class_has_no_auc_and_says_why():
    found = point("jpeg", 40, LABELS * 0, SCORES, GROUPS, threshold=0.5)
    assert found.figures["auc"].value is None and "real" in found.interval_reason


def test_labels_that_mean_nothing_are_near_half_and_true_ones_stand_out():
    figure, reached = by_chance(LABELS, SCORES, GROUPS, 300)
    assert figure.value == pytest.approx(0.5, abs=0.03)
    assert figure.low < 0.5 < figure.high < auc(LABELS, SCORES)
    assert reached == pytest.approx(1 / 301)
    nothing = np.random.default_rng(1).random(60)
    assert by_chance(LABELS, nothing, GROUPS, 300)[1] > 0.05


def test_of_one_class_nothing_can_be_drawn():
    assert by_chance(LABELS * 0, SCORES, GROUPS, 10)[1] is None
