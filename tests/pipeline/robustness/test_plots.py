"""Plots hold what they are given, one panel a kind, and leave matplotlib's settings alone."""

from __future__ import annotations

import matplotlib as mpl
import pytest

from ffpipe.pipeline.robustness import plots
from ffpipe.stages.evaluation import Figure
from ffpipe.stages.perturb import KINDS
from ffpipe.stages.robustness import FIGURES, Control, Point


def made(kind: str, strength: float | None, value: float) -> Point:
    figures = {name: Figure(value, value - 0.1, value + 0.1) for name in FIGURES}
    return Point(kind, strength, 10, 10, 5, 0, 20, figures)


STORED = made("stored", None, 0.9)


def test_a_panel_a_kind_with_its_levels_values_and_unit():
    points = [
        made(k, level, 0.8 - 0.1 * n) for k, kind in KINDS.items() for n, level in enumerate(kind.levels)
    ]
    figure = plots.curves(STORED, points, "auc", "a title")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["H.264", "JPEG", "blur", "noise", "size"]
    for axes, (name, kind) in zip(shown, KINDS.items(), strict=True):
        assert axes.get_xlabel().replace("\n", " ") == kind.unit
        assert [text.get_text() for text in axes.get_xticklabels()] == [f"{x:g}" for x in kind.levels]
        line = next(line for line in axes.lines if line.get_label() == "damaged faces")
        assert list(line.get_ydata()) == [p.figures["auc"].value for p in points if p.kind == name]


def test_points_without_an_interval_are_drawn_all_the_same():
    bare = Point("jpeg", 40.0, 3, 3, 2, 0, 6, {name: Figure(0.7) for name in FIGURES}, "too few groups")
    figure = plots.curves(STORED, [bare], "accuracy", "a title")
    assert (
        next(line for line in figure.axes[0].lines if line.get_label() == "damaged faces").get_ydata()[0]
        == 0.7
    )


def test_a_single_point_has_its_interval_as_a_bar():
    (axes,) = plots.curves(STORED, [made("jpeg", 40.0, 0.7)], "auc", "a title").axes
    (bar,) = axes.containers
    ((start, end),) = bar.lines[2][0].get_segments()
    assert (start[1], end[1]) == pytest.approx((0.6, 0.8))


def test_controls_that_were_measured_are_points_and_the_others_are_left_out():
    controls = [
        Control("a", "", "", Figure(0.6, 0.5, 0.7)),
        Control("b", "", "", skipped="no train split"),
        Control("c", "", "", Figure(0.4)),
    ]
    axes = plots.control_points(STORED, controls, "a title").axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["c", "a", "detector"]


def test_settings_of_matplotlib_are_as_before():
    before = dict(mpl.rcParams)
    plots.curves(STORED, [made("blur", 1, 0.5)], "auc", "a $ title")
    assert dict(mpl.rcParams) == before
