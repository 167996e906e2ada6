"""The files of a robustness run: table, JSON, Markdown for people, and plots, in a folder of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from matplotlib.figure import Figure as Plot

from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import tables
from ffpipe.pipeline.evaluation.plots import write_plots
from ffpipe.pipeline.output import inert
from ffpipe.pipeline.provenance_text import as_markdown
from ffpipe.pipeline.robustness import plots
from ffpipe.pipeline.text_tables import figure_text
from ffpipe.stages.perturb import KINDS
from ffpipe.stages.robustness import FIGURES, Control, Point

#: Folder in a run's folder with one folder a robustness run.
FOLDER = "robustness"
#: Names the result of a finished run; it is written last.
RESULT = "robustness.json"


@dataclass(frozen=True, slots=True)
class Robustness:
    """A finished run: the untouched faces, the points of every curve, the controls, and what it rests on."""

    directory: Path
    stored: Point
    points: list[Point]
    controls: list[Control]
    facts: dict[str, Any]

    def to_json(self) -> str:
        """Everything, as JSON."""
        told = {"stored": self.stored, "points": self.points, "controls": self.controls}
        return json.dumps({**self.facts, **told}, indent=1, default=asdict)


def write_files(result: Robustness) -> None:
    """Everything that a run leaves. Raises StorageError."""
    rows = pa.Table.from_pylist([point.flat() for point in (result.stored, *result.points)])
    origin = result.facts["provenance"]
    tables.write_table(result.directory / "curves.csv", tables.with_provenance(rows, origin))
    write_plots(result.directory, _figures(result), origin)
    write_atomic(result.directory / "robustness.md", f"{markdown(result)}\n{as_markdown(origin)}".encode())
    write_atomic(result.directory / RESULT, result.to_json().encode())


def _figures(result: Robustness) -> dict[str, Plot]:
    facts, stored = result.facts, result.stored
    detector, data = inert(facts["detector"]), inert(facts["data"])
    of = (
        f"{facts['level']} level\n{data} {facts['split']}, n = {stored.n_real} real, {stored.n_fake} fake, "
        f"{stored.groups} source groups"
    )
    figures: dict[str, Plot] = {}
    if result.points:
        for name in FIGURES:
            made = plots.curves(stored, result.points, name, f"{detector} under damage, {of}")
            figures[f"curves-{name.replace('_', '-')}"] = made
    if result.controls:
        figures["controls"] = plots.control_points(stored, result.controls, f"{detector} and controls, {of}")
    return figures


def _counts(result: Robustness) -> str:
    stored, level = result.stored, result.facts["level"]
    return f"{stored.n_real} real and {stored.n_fake} fake {level}s, {stored.groups} source groups"


def markdown(result: Robustness) -> str:
    """The curves and controls as tables, with what has to be known to read them."""
    facts = result.facts
    lines = [
        f"# {facts['detector']} under damage",
        "",
        f"{facts['data']}, split {facts['split']}: {_counts(result)}. Figures are of {facts['level']}s, with 95% "
        f"intervals over source groups; accuracy is at a score of {facts['threshold']:.3g} ({facts['threshold_is']}). "
        "Real and fake faces are treated alike, as they are stored; statistics are taken from the treated face.",
        "",
        *_table(("damage", "strength", *(plots.WORDS[name] for name in FIGURES)), _rows(result)),
    ]
    if result.controls:
        lines += ["", "## Controls", ""]
        lines += _table(("control", "AUC", "expected", "what it shows"), map(_control, result.controls))
    lines += ["", *(f"- {note}" for note in facts["notes"])]
    return "\n".join(lines).rstrip() + "\n"


def _rows(result: Robustness) -> list[tuple[str, ...]]:
    rows = []
    for point in (result.stored, *result.points):
        told = "" if point.strength is None else f"{point.strength:g}"
        unit = "none: as stored" if point.strength is None else KINDS[point.kind].unit
        rows.append((unit, told, *(figure_text(point.figures[name]) for name in FIGURES)))
    return rows


def _control(control: Control) -> tuple[str, ...]:
    told = f"not measured: {control.skipped}" if control.skipped else figure_text(control.auc)
    facts = "; ".join(f"{name}: {_plain(value)}" for name, value in control.facts.items())
    return control.name, told, control.expected, control.shows + (f" ({facts})" if facts else "")


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(value) if isinstance(value, list) else str(value)


def _table(heading: Sequence[str], rows: Any) -> list[str]:
    lines = [heading, ["---"] * len(heading), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
