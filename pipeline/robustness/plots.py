"""A robustness run as figures: a panel a kind of damage, and the controls as points with their intervals."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ffpipe.pipeline.plots import FAKE, GREY, PAGE, REAL, sheet, styled
from ffpipe.stages.perturb import KINDS
from ffpipe.stages.robustness import Control, Point

#: What the panels of the kinds are called.
_KINDS = {"h264": "H.264", "jpeg": "JPEG", "blur": "blur", "noise": "noise", "resize": "size"}
#: Height in inches of a row of panels.
_ROW = 2.3
_COLUMNS = 3
#: Letters that a panel has room for, below and above.
_LABEL, _TITLE = 30, 36
WORDS = {"auc": "AUC", "average_precision": "average precision", "accuracy": "accuracy"}


@styled
def curves(stored: Point, points: Sequence[Point], figure_name: str, title: str) -> Figure:
    """One figure of every curve: a panel a kind, damage growing to the right, the untouched faces as a line."""
    kinds = list(dict.fromkeys(point.kind for point in points))
    columns = min(_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = sheet(PAGE * columns / _COLUMNS + 0.4 * (columns < _COLUMNS), _ROW * rows + 0.5)
    panels = np.atleast_1d(figure.subplots(rows, columns, sharey=True, squeeze=False)).ravel()
    for axes, kind in zip(panels, kinds, strict=False):
        _panel(axes, kind, stored, [p for p in points if p.kind == kind], figure_name)
    for axes in panels[len(kinds) :]:
        axes.set_visible(False)
    for axes in panels[: len(kinds) : columns]:
        axes.set_ylabel(WORDS[figure_name])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names) if columns == _COLUMNS else 2)
    figure.suptitle(_wrapped(title, _TITLE * columns), fontsize=8)
    return figure


def _wrapped(text: str, width: int) -> str:
    return "\n".join(textwrap.fill(line, width) for line in text.splitlines())


def _panel(axes: Axes, kind: str, stored: Point, points: Sequence[Point], name: str) -> None:
    places = np.arange(len(points))
    values, lows, highs = (
        np.array([getattr(point.figures[name], part) for point in points], dtype=np.float64)
        for part in ("value", "low", "high")
    )
    if len(points) == 1 and points[0].figures[name].low is not None:
        # A band of one point has no width.
        # A percentile interval need not hold the figure.
        ends = np.maximum([values - lows, highs - values], 0)
        axes.errorbar(places, values, ends, color=REAL, capsize=2.2, linewidth=0.9)
    axes.fill_between(places, lows, highs, color=REAL, alpha=0.18, linewidth=0, label="95% interval")
    axes.plot(places, values, color=REAL, marker="o", markersize=3, label="damaged faces")
    untouched = stored.figures[name].value
    if untouched is not None:
        axes.axhline(untouched, color=FAKE, linestyle="--", linewidth=1, label="faces as stored")
    if name == "auc":
        axes.axhline(0.5, color=GREY, linestyle=":", linewidth=0.8, label="chance")
    axes.set_xticks(places, [f"{point.strength:g}" for point in points])
    axes.set_xlabel(textwrap.fill(KINDS[kind].unit, _LABEL))
    axes.set_title(_KINDS[kind])


@styled
def control_points(detector: Point, controls: Sequence[Control], title: str) -> Figure:
    """The AUC of the detector and of each control that was measured, with intervals, the chance line beside."""
    named = [("detector", detector.figures["auc"]), *((c.name, c.auc) for c in controls)]
    shown = [(name, found, found.value) for name, found in named if found.value is not None][::-1]
    figure = sheet(5.0, 0.34 * len(shown) + 0.9)
    axes = figure.subplots()
    axes.axvline(0.5, color=GREY, linestyle=":", linewidth=0.8)
    for place, (name, found, value) in enumerate(shown):
        is_detector = name == "detector"
        colour, marker = (FAKE, "s") if is_detector else (REAL, "o")
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([value], [place], color=colour, marker=marker, markersize=5)
    axes.set_yticks(range(len(shown)), [name for name, _, _ in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlim(0, 1)
    axes.set_xlabel("AUC with its range; the dotted line is chance")
    figure.suptitle(_wrapped(title, 2 * _TITLE), fontsize=8)
    return figure
