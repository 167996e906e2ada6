"""The plots of an evaluation, at its headline level, and plots as files: PNG and SVG that are the same every time."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import plots
from ffpipe.pipeline.evaluation.coverage import curves
from ffpipe.pipeline.evaluation.verdicts import Outcome
from ffpipe.pipeline.output import inert
from ffpipe.pipeline.provenance_text import FIELD, as_json
from ffpipe.stages.curves import reliability, roc, roc_band
from ffpipe.stages.evaluation import ALL, MEAN, METHOD, Row, Scored

_DOTS_PER_INCH = 300
#: Suffix -> what its writer is told, so that neither a date nor a version gets into the file.
_FORMATS: dict[str, dict[str, Any]] = {
    "png": {"dpi": _DOTS_PER_INCH, "metadata": {"Software": None}},
    "svg": {"metadata": {"Date": None, "Creator": None}},
}


def evaluation_plots(
    facts: Mapping[str, Any], rows: Sequence[Row], scored: Scored, found: Mapping[str, Outcome]
) -> dict[str, Figure]:
    """Name -> figure of the headline level; no curves where one class is absent, nothing where nothing was scored.

    found: by id what became of each medium of the split.
    """
    if not len(scored.label):
        return {}
    settings = facts["provenance"]["configuration"]
    label, score = scored.label, scored.score
    n_fake = int(label.sum())
    title = _title(facts, len(label) - n_fake, n_fake)
    made = {
        "reliability": plots.reliability_figure(reliability(label, score), f"Reliability, {title}"),
        "histogram": plots.histogram_figure(
            score[label == 0],
            score[label == 1],
            f"Scores, {title}",
            facts["threshold"],
            f"{facts['headline']}s",
        ),
    }
    curve = roc(label, score)
    if curve is not None:
        band = roc_band(label, score, scored.group, replicates=settings["replicates"], seed=settings["seed"])
        point = None if facts["threshold"] is None else curve.at(facts["threshold"], label, score)
        name = inert(facts["detector"])
        line = plots.Line(f"{name}{' (95% band)' if band else ''}", curve, band, point)
        bare = plots.Line(name, curve, None, point)
        made["roc"] = plots.roc_figure([line], f"ROC, {title}")
        made["det"] = plots.det_figure([bare], f"DET, {title}")
    bars = _bars([row for row in rows if row.level == facts["headline"] and row.kind == METHOD])
    if bars:
        made["methods"] = plots.bars_figure(bars, "AUC (95% interval)", f"Methods, {title}")
    if facts["threshold"] is not None:
        drawn = curves(found, scored, facts["threshold"], len(found))
        ends = {name: (of["coverage"], of["risk"]) for name, of in facts["coverage"]["answers"].items()}
        made["coverage"] = plots.coverage_figure(
            drawn["scored"], drawn["gated"], ends, f"Coverage and risk, {title}"
        )
    return made


def _title(facts: Mapping[str, Any], n_real: int, n_fake: int) -> str:
    return f"{facts['headline']} level\n{inert(facts['data'])} {facts['split']}, n = {n_real} real, {n_fake} fake"


def _bars(rows: Sequence[Row]) -> list[plots.Bar]:
    """A bar for each method whose AUC is defined, and one for all of them where there are several."""
    methods = {row.name for row in rows} - {ALL, MEAN}
    left_out = {MEAN, ALL} if len(methods) == 1 else {MEAN}
    return [
        plots.Bar(inert(row.name), area.value, area.low, area.high, row.n_real, row.n_fake)
        for row in rows
        if row.name not in left_out and (area := row.figures["auc"]).value is not None
    ]


def write_plots(
    folder: Path, figures: Mapping[str, Figure], origin: Mapping[str, Any] | None = None
) -> list[Path]:
    """Write each figure as PNG and SVG, with its provenance inside; returns the files. Raises StorageError."""
    written = []
    for name, figure in figures.items():
        for suffix, how in _FORMATS.items():
            written.append(folder / f"{name}.{suffix}")
            write_atomic(written[-1], rendered(figure, suffix, _told(suffix, how, origin)))
    return written


def _told(suffix: str, how: Mapping[str, Any], origin: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the writer is told; SVG knows a few fields of the Dublin Core only."""
    field = {FIELD if suffix == "png" else "Description": as_json(origin)} if origin else {}
    return {**how, "metadata": {**how["metadata"], **field}}


def rendered(figure: Figure, suffix: str, how: Mapping[str, Any]) -> bytes:
    """A figure as the content of a file."""
    sink = io.BytesIO()
    with plots.style():
        figure.savefig(sink, format=suffix, **how)
    return sink.getvalue()
