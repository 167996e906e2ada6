"""Figures show the numbers that they are given, say their n, and are the same file every time."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import norm

from ffpipe.manifests.records import Concern, Verdict
from ffpipe.pipeline import plots
from ffpipe.pipeline.evaluation.plots import evaluation_plots, write_plots
from ffpipe.pipeline.evaluation.verdicts import Outcome
from ffpipe.stages.curves import Band, Curve, reliability, roc
from ffpipe.stages.evaluation import Bootstrap, Scored, table

LABELS = np.arange(40, dtype=np.int8) % 2
SCORES = np.round(np.clip(np.random.default_rng(0).normal(0.4 + 0.2 * LABELS, 0.2), 0, 1), 2)
SCORED = Scored(LABELS, SCORES, [f"{n:032x}" for n in range(40)], [f"g{n // 2}" for n in range(40)])
FACTS = {
    "headline": "video",
    "detector": "$mine_1$",
    "data": "FF++",
    "split": "test",
    "threshold": 0.6,
    "coverage": {
        "answers": {
            "with the gate": {"coverage": 0.5, "risk": 0.25},
            "without": {"coverage": 0.0, "risk": None},
        }
    },
    "provenance": {"configuration": {"replicates": 100, "seed": 0}},
}


def curve() -> Curve:
    found = roc(LABELS, SCORES)
    assert found is not None
    return found


def test_the_roc_curve_is_drawn_with_its_band_and_threshold() -> None:
    band = Band(np.array([0.0, 1.0]), np.array([0.0, 0.5]), np.array([0.5, 1.0]))
    figure = plots.roc_figure(
        [plots.Line("one", curve(), band, (0.1, 0.6)), plots.Line("two", curve())], "title"
    )
    (axes,) = figure.axes
    _, first, point, second, _ = axes.lines
    np.testing.assert_array_equal(first.get_xydata(), np.stack([curve().alarm, curve().hit], 1))
    assert point.get_xydata().tolist() == [[0.1, 0.6]]
    assert first.get_linestyle() != second.get_linestyle(), "a print in grey is readable"
    assert first.get_color() != second.get_color()
    assert len(axes.collections) == 1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "one",
        "two",
        "thresholds of validation",
    ]


def test_normal_scores_are_a_straight_line_of_a_det_curve() -> None:
    places = np.linspace(-2, 2, 41)[::-1]
    line = Curve(norm.sf(places), norm.sf(places - 1))
    (axes,) = plots.det_figure([plots.Line("one", line)], "title").axes
    x, y = axes.lines[1].get_xydata().T
    np.testing.assert_allclose(x + y, -1, atol=1e-9)
    assert np.isfinite(plots.det_figure([plots.Line("one", curve())], "").axes[0].lines[1].get_xydata()).all()


def test_reliability_writes_the_count_of_each_bin() -> None:
    found = reliability(LABELS, SCORES)
    axes, counts = plots.reliability_figure(found, "title").axes
    assert [text.get_text() for text in counts.texts] == [str(count) for count in found.count]
    assert found.count.sum() == 40
    assert axes.get_title() == "title"


def test_a_histogram_shows_shares_of_each_class() -> None:
    (axes,) = plots.histogram_figure(SCORES[LABELS == 0], SCORES[LABELS == 1], "title", 0.6).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "real (n = 20)",
        "fake (n = 20)",
        "threshold 0.600",
    ]
    steps = [patch.get_data().values for patch in axes.patches]
    assert [step.sum() for step in steps] == pytest.approx([1, 1, 1, 1])


def test_bars_have_intervals_where_there_are_any() -> None:
    bars = [plots.Bar("a", 0.9, 0.8, 0.95, 5, 6), plots.Bar("b", 0.7, None, None, 5, 7)]
    (axes,) = plots.bars_figure(bars, "AUC", "title").axes
    assert [patch.get_width() for patch in axes.patches] == [0.9, 0.7]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "a\n5 real, 6 fake",
        "b\n5 real, 7 fake",
    ]
    assert len(axes.containers) == 3, "two bars and one interval"


def made() -> dict[str, Figure]:
    rows = table("video", SCORED, {"$x$": frozenset(SCORED.medium)}, replicates=100)
    return evaluation_plots(FACTS, rows, SCORED, outcomes(SCORED))


def outcomes(scored: Scored) -> dict[str, Outcome]:
    """Every fourth medium is held back, and one beside the scored ones failed."""
    held = (Concern.BLURRED,)
    found = {
        name: Outcome(score, Verdict.INCONCLUSIVE, "", 1, None, withheld=held if k % 4 == 0 else ())
        for k, (name, score) in enumerate(zip(scored.medium, scored.score.tolist(), strict=True))
    }
    return {**found, "f" * 32: Outcome(None, Verdict.NOT_ASSESSABLE, "cut", 0, None)}


def test_coverage_is_drawn_of_every_medium_with_the_gate_apart_and_the_verdicts_marked() -> None:
    (axes,) = made()["coverage"].axes
    scored, end, gated, _, point = axes.lines
    assert scored.get_xydata()[-1, 0] == end.get_xydata()[0, 0] == 40 / 41
    assert gated.get_xydata()[-1, 0] == 30 / 41
    assert scored.get_linestyle() != gated.get_linestyle()
    assert point.get_xydata().tolist() == [[0.5, 0.25]], "no point for verdicts that nobody got"
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == [
        "by confidence, all scored",
        "without those that the gate holds back",
        "verdicts with the gate",
    ]
    assert axes.get_xlabel() == "coverage: share of all media of the split"


def test_files_are_the_same_every_time_and_leave_no_settings_behind(tmp_path) -> None:
    before = dict(mpl.rcParams)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        files = write_plots(tmp_path / name, {key: made()[key] for key in ("roc", "histogram")})
    assert dict(mpl.rcParams) == before
    assert len(files) == 4
    for file in files:
        assert file.read_bytes() == (tmp_path / "a" / file.name).read_bytes()
    assert Image.open(tmp_path / "a" / "roc.png").width == 1050, "a column of 3.5 inches at 300 dots"
    assert b"<dc:date>" not in (tmp_path / "a" / "roc.svg").read_bytes()


def test_every_plot_says_its_level_and_n() -> None:
    figures = made()
    assert set(figures) == {"roc", "det", "reliability", "histogram", "methods", "coverage"}
    for figure in figures.values():
        assert "video level\nFF++ test, n = 20 real, 20 fake" in figure.axes[0].get_title()


def test_one_class_has_no_curves() -> None:
    fakes = SCORED.at(np.flatnonzero(LABELS == 1).tolist())
    rows = table("video", fakes, {}, replicates=100, threshold=Bootstrap().threshold)
    assert set(evaluation_plots(FACTS, rows, fakes, outcomes(fakes))) == {
        "reliability", "histogram", "coverage",
    }  # fmt: skip
    assert evaluation_plots(FACTS, rows, SCORED.at([]), {}) == {}
