"""Arrays to figures for papers: ROC, DET, reliability, score histograms and bars with intervals. Nothing is written.

Colours are Okabe and Ito's, told apart by colour-blind readers; line styles, markers and hatches differ as well, so
that a print in grey can be read. Every title says the level and how many media it rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.stats import norm

from ffpipe.stages.calibration_figures import Tippett
from ffpipe.stages.curves import Band, Curve, Reliability
from ffpipe.stages.sample import Floats
from ffpipe.stages.selective import CoverageRisk

P = ParamSpec("P")
R = TypeVar("R")

#: Okabe and Ito's colours: real blue, fake vermilion; further curves in this order.
REAL, FAKE = "#0072B2", "#D55E00"
GREY = "#767676"
_COLOURS = (REAL, FAKE, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (7, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
#: Widths in inches: a column of a two-column page, and a page.
COLUMN, PAGE = 3.5, 7.0
#: Rates that are marked on the axes of a DET curve, where it stays readable.
_RATES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 0.999)
_HISTOGRAM_BINS = 20

_STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.3,
    "hatch.linewidth": 0.5,
    "legend.framealpha": 1,
    "legend.edgecolor": "white",
    "figure.dpi": 100,
    # Names come from folders: a dollar sign in one is no formula.
    "text.parse_math": False,
    # Names of parts of an SVG are then the same in every run.
    "svg.hashsalt": "ffpipe",
}


@dataclass(frozen=True, slots=True)
class Line:
    """A curve with its name in the legend, its band, and the point (false, true positive rate) of its threshold."""

    name: str
    curve: Curve
    band: Band | None = None
    point: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure of a part of the media with its interval, and how many of each class it rests on."""

    name: str
    value: float
    low: float | None
    high: float | None
    n_real: int | None
    n_fake: int | None


@contextmanager
def style() -> Iterator[None]:
    """The settings under which figures are made and saved; matplotlib's own are as before afterwards."""
    # Neither a user's own settings nor those of a host program change a figure.
    settings: Any = {name: value for name, value in mpl.rcParamsDefault.items() if name != "backend"}
    with mpl.rc_context(settings | _STYLE):
        yield


def styled(draw: Callable[P, R]) -> Callable[P, R]:
    """The function, drawing under the settings of `style`."""

    @wraps(draw)
    def inner(*given: P.args, **named: P.kwargs) -> R:
        with style():
            return draw(*given, **named)

    return inner


def sheet(width: float, height: float) -> Figure:
    """An empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _new(width: float, height: float, rows: int = 1, **settings: Any) -> tuple[Figure, list[Axes]]:
    figure = sheet(width, height)
    axes = np.atleast_1d(figure.subplots(rows, 1, **settings))
    return figure, list(axes)


@styled
def roc_figure(lines: Sequence[Line], title: str) -> Figure:
    """ROC curves, with bands and the points of thresholds where they are known."""
    figure, (axes,) = _new(COLUMN, 3.6)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    for number, line in enumerate(lines):
        colour, dash, _ = _look(number)
        if line.band is not None:
            axes.fill_between(
                line.band.alarm, line.band.low, line.band.high, color=colour, alpha=0.18, linewidth=0
            )
        axes.plot(line.curve.alarm, line.curve.hit, color=colour, linestyle=dash, label=line.name)
        if line.point is not None:
            _mark(axes, line.point, number)
    _explain_marks(axes, lines)
    axes.set(
        xlim=(0, 1), ylim=(0, 1), aspect="equal", xlabel="false positive rate", ylabel="true positive rate"
    )
    axes.set_title(title)
    axes.legend(loc="lower right")
    return figure


@styled
def det_figure(lines: Sequence[Line], title: str) -> Figure:
    """DET curves: misses against false alarms on normal deviate axes, where normal scores give straight lines."""
    figure, (axes,) = _new(COLUMN, 3.6)
    ends = norm.ppf([_RATES[0], _RATES[-1]])
    axes.plot(ends, ends, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    for number, line in enumerate(lines):
        colour, dash, _ = _look(number)
        alarm, miss = _deviates(line.curve.alarm), _deviates(1 - line.curve.hit)
        axes.plot(alarm, miss, color=colour, linestyle=dash, label=line.name)
        if line.point is not None:
            x, y = _deviates(np.array([line.point[0], 1 - line.point[1]]))
            _mark(axes, (x, y), number)
    _explain_marks(axes, lines)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(norm.ppf(np.array(_RATES)).tolist()))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda deviate, _: f"{100 * norm.cdf(deviate):.3g}"))
    axes.tick_params(axis="x", rotation=90)
    axes.grid(color="#e6e6e6", linewidth=0.4)
    axes.set(xlim=ends, ylim=ends, aspect="equal")
    axes.set(xlabel="false positive rate (%)", ylabel="false negative rate (%)", title=title)
    axes.legend(loc="upper right")
    return figure


def _deviates(rates: Floats) -> Floats:
    """Normal deviates of rates; those beyond the axes stay finite, so that a line leaves the axes and is cut there."""
    return np.asarray(norm.ppf(np.clip(rates, _RATES[0] / 2, 1 - _RATES[0] / 2)))


def _mark(axes: Axes, point: tuple[float, float], number: int) -> None:
    """Mark where the threshold of a curve lies."""
    colour, _, marker = _look(number)
    axes.plot(*point, marker, color=colour, markeredgecolor="white", markersize=6, zorder=5)


def _explain_marks(axes: Axes, lines: Sequence[Line]) -> None:
    """Say in the legend what the marks are: in the colour of the one curve, or in grey for all of them."""
    if any(line.point is not None for line in lines):
        colour = REAL if len(lines) == 1 else GREY
        words = "threshold of validation" if len(lines) == 1 else "thresholds of validation"
        axes.plot([], [], "o", color=colour, markeredgecolor="white", markersize=6, label=words)


def _look(number: int) -> tuple[Any, Any, Any]:
    return tuple(looks[number % len(looks)] for looks in (_COLOURS, _LINES, _MARKERS))  # type: ignore[return-value]


@styled
def reliability_figure(
    found: Reliability, title: str, *, before: Reliability | None = None, score: str = "score"
) -> Figure:
    """Share of fakes against mean score by bin, with the number of media of each bin written below.

    `before` are the same media before calibration, drawn hollow; `score` is what the axis is of.
    """
    figure, (axes, counts) = _new(COLUMN, 4.0, 2, sharex=True, height_ratios=(3.2, 1))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    errors = np.abs(np.stack([found.share - found.low, found.high - found.share]))
    axes.errorbar(
        found.mean, found.share, errors, fmt="o", color=REAL, markersize=3.5, elinewidth=0.8, capsize=1.8,
    )  # fmt: skip
    if before is not None:
        axes.plot(
            before.mean, before.share, "s", color=FAKE, markerfacecolor="white", markersize=3.5, zorder=1,
            label="raw score",
        )  # fmt: skip
        axes.plot([], [], "o", color=REAL, markersize=3.5, label="calibrated")
        axes.legend(loc="upper left")
    axes.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share of fakes (95%)", title=title)
    counts.bar(found.mean, found.count, width=0.035, color="#bdbdbd", edgecolor="#404040", linewidth=0.5)
    counts.set(ylabel="media", xlabel=f"{score} (mean of bin)", ylim=(0, 1.5 * found.count.max(initial=1)))
    for place, count in zip(found.mean, found.count, strict=True):
        counts.annotate(
            str(count), (place, count), (0, 1.5), textcoords="offset points", ha="center", va="bottom",
            fontsize=5.5, rotation=90,
        )  # fmt: skip
    return figure


@styled
def tippett_figure(found: Tippett, title: str, *, before: Tippett, name: str) -> Figure:
    """Shares of reals and of fakes whose log10 LR is at least as high: calibrated as lines, raw scores as dots.

    What reals have right of 0, and fakes lack there, is misleading evidence.
    """
    figure, (axes,) = _new(COLUMN, 3.6)
    axes.axvline(0, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    for curves, words, dash in ((found, name, "-"), (before, "raw score", ":")):
        for shares, colour, kind in ((curves.real, REAL, "real"), (curves.fake, FAKE, "fake")):
            look = "--" if dash == "-" and kind == "fake" else dash
            axes.step(
                *_steps(curves.at, shares), where="pre", color=colour, linestyle=look, label=f"{kind}, {words}",
                linewidth=1.3 if dash == "-" else 0.9,
            )  # fmt: skip
    axes.set(
        ylim=(0, 1.02),
        xlabel="log10 likelihood ratio",
        ylabel="share of the class with at least this",
        title=title,
    )
    axes.legend(loc="upper right", fontsize=6)
    return figure


def _steps(at: Floats, shares: Floats) -> tuple[Floats, Floats]:
    """A curve that begins with all of the class, and ends with none of it just after its last step."""
    return np.concatenate([at[:1], at, at[-1:]]), np.concatenate([[1.0], shares, [0.0]])


@styled
def histogram_figure(
    real: Floats, fake: Floats, title: str, threshold: float | None = None, unit: str = "media"
) -> Figure:
    """Shares of the reals and of the fakes at each score, in bins of equal width."""
    figure, (axes,) = _new(COLUMN, 2.7)
    edges = np.linspace(0, 1, _HISTOGRAM_BINS + 1)
    looks = ((real, REAL, "real", "/////", "-"), (fake, FAKE, "fake", "\\\\\\\\\\", "--"))
    for values, colour, name, hatch, dash in looks:
        shares = np.histogram(values, edges)[0] / max(1, values.size)
        axes.stairs(
            shares, edges, fill=True, facecolor=(colour, 0.15), edgecolor=colour, linewidth=0, hatch=hatch,
            label=f"{name} (n = {values.size})",
        )  # fmt: skip
        axes.stairs(shares, edges, color=colour, linewidth=1.1, linestyle=dash, zorder=3)
    top = axes.get_ylim()[1]
    if threshold is not None:
        # Below the legend, which would cut it.
        axes.plot([threshold] * 2, [0, top], color="black", linewidth=0.9, linestyle=":",
                  label=f"threshold {threshold:.3f}")  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="score", ylabel=f"share of {unit} of the class", title=title)
    axes.set_ylim(0, top * 1.3)
    axes.legend(loc="upper center", ncols=2)
    return figure


@styled
def coverage_figure(
    scored: CoverageRisk | None,
    gated: CoverageRisk | None,
    answers: Mapping[str, tuple[float | None, float | None]],
    title: str,
) -> Figure:
    """Risk against coverage, with a line where the gate holds media back, and the points of the verdicts given.

    answers: coverage and risk of the verdicts, by what they are called; those without a verdict are not drawn.
    """
    figure, (axes,) = _new(COLUMN, 3.0)
    lines = ((scored, "by confidence, all scored"), (gated, "without those that the gate holds back"))
    for number, (line, name) in enumerate(lines):
        if line is not None:
            colour, dash, _ = _look(number)
            axes.plot(line.coverage, line.risk, color=colour, linestyle=dash, label=name)
            axes.plot(line.coverage[-1:], line.risk[-1:], "|", color=colour, markersize=9)
    for number, (name, (coverage, risk)) in enumerate(answers.items()):
        if coverage is not None and risk is not None:
            marker = _MARKERS[number % len(_MARKERS)]
            axes.plot(coverage, risk, marker, color="black", markerfacecolor=(GREY, "white")[number % 2], zorder=5,
                      label=f"verdicts {name}")  # fmt: skip
    axes.set(xlim=(0, 1), xlabel="coverage: share of all media of the split", title=title)
    axes.set(ylim=(0, 1.35 * max(axes.get_ylim()[1], 0.05)), ylabel="risk: share of wrong calls")
    axes.legend(loc="upper left")
    return figure


@styled
def bars_figure(bars: Sequence[Bar], label: str, title: str) -> Figure:
    """A figure of each part with its interval; the line is chance level of AUC."""
    figure, (axes,) = _new(PAGE if len(bars) > 8 else COLUMN, 1.0 + 0.26 * max(3, len(bars)))
    places = np.arange(len(bars))[::-1]
    for place, bar in zip(places, bars, strict=True):
        axes.barh(place, bar.value, height=0.6, color="#9ecae1", edgecolor=REAL, linewidth=0.7)
        if bar.low is not None and bar.high is not None:
            ends = [[max(0.0, bar.value - bar.low)], [max(0.0, bar.high - bar.value)]]
            axes.errorbar(bar.value, place, xerr=ends, color="black", capsize=2.2, linewidth=0.9)
        reach = max(bar.value, bar.high or 0)
        axes.annotate(
            f"{bar.value:.3f}", (reach, place), (3, 0), textcoords="offset points", va="center", fontsize=6.5
        )
    axes.set_yticks(places, [_counted(bar) for bar in bars])
    axes.axvline(0.5, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    middle, half = (len(bars) - 1) / 2, max(3, len(bars)) / 2
    axes.set_ylim(middle - half, middle + half)
    axes.set(xlim=(0, 1.12), xlabel=label, title=title, xticks=np.linspace(0, 1, 6))
    return figure


def _counted(bar: Bar) -> str:
    counts = "" if bar.n_real is None else f"\n{bar.n_real} real, {bar.n_fake} fake"
    return f"{bar.name}{counts}"
