"""A reproduction in words and files: the plan in lines, the comparison on the console, as Markdown, CSV and JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import tables
from ffpipe.pipeline.output import inert, say
from ffpipe.pipeline.provenance_text import as_markdown
from ffpipe.pipeline.reproduction.data import Lack
from ffpipe.pipeline.reproduction.plan import Plan
from ffpipe.pipeline.reproduction.protocols.protocol import Printed, Protocol
from ffpipe.pipeline.reproduction.results import RESULTS, Outcome, Result
from ffpipe.pipeline.text_tables import figure_text
from ffpipe.pipeline.training_job import counted
from ffpipe.stages.evaluation import Figure

#: The comparisons for spreadsheets and for people.
FIGURES, REPORT = "figures.csv", "report.md"
_METRICS = {"accuracy": "accuracy", "average_precision": "AP", "auc": "AUC"}
_MARKS = {Outcome.INSIDE: "=", Outcome.OUTSIDE: "x", Outcome.NO_INTERVAL: "?", Outcome.NOT_RUN: "-"}


def plan_lines(plan: Plan, states: dict[str, str], deviations: dict[str, list[str]]) -> Iterator[str]:
    """What can be run in its order, with the state of each training, and what is missing with how to get it."""
    yield f"{plan.protocol.name}: {plan.protocol.paper}"
    yield (
        f"{len(plan.figures) - len(plan.missing)} of {len(plan.figures)} printed figures can be measured, with "
        f"{counted(len(plan.steps), 'training')}"
    )
    for step in plan.steps:
        training = step.training
        tests = ", ".join(dict.fromkeys(m.data.name for m in step.measurements)) or "nothing: it only teaches"
        quality = f" at {training.quality}" if training.quality else ""
        where = f"{training.detector} on {step.data.name}{quality}"
        yield f"{states[training.name]}: {training.name}: {where}; tests {tests}"
    for line, number in Counter(line for lines in deviations.values() for line in lines).items():
        yield f"differs from the paper ({number} of {counted(len(plan.steps), 'training')}): {line}"
    for lack, figures in _by_lack(plan).items():
        yield f"missing: {lack.reason} (for {_places(figures)})"
        for command in lack.commands:
            yield f"    {command}"
    for note in plan.protocol.notes:
        yield f"note: {note}"


def plan_json(plan: Plan, states: dict[str, str], deviations: dict[str, list[str]]) -> dict[str, Any]:
    """The same for programs."""
    return {
        "protocol": plan.protocol.name,
        "paper": plan.protocol.paper,
        "notes": list(plan.protocol.notes),
        "experiments": [
            {
                "experiment": step.training.name,
                "state": states[step.training.name],
                "detector": step.training.detector,
                "data": step.data.name,
                "quality": step.training.quality,
                "methods": list(step.training.methods),
                "options": dict(step.training.options),
                "teacher": step.training.teacher,
                "figures": [figure.reference for m in step.measurements for figure in m.figures],
                "deviations": deviations[step.training.name],
            }
            for step in plan.steps
        ],
        "missing": [
            {
                "reason": lack.reason,
                "commands": list(lack.commands),
                "figures": [figure.reference for figure in figures],
            }
            for lack, figures in _by_lack(plan).items()
        ],
    }


def _by_lack(plan: Plan) -> dict[Lack, list[Printed]]:
    found: dict[Lack, list[Printed]] = {}
    for figure, lacks in plan.missing.items():
        for lack in lacks:
            found.setdefault(lack, []).append(figure)
    return found


def _places(figures: Sequence[Printed]) -> str:
    """Tables with the number of figures, such as `table 1: 4 figures, table 2: 1 figure`."""
    counts = Counter(figure.table for figure in figures)
    return ", ".join(f"table {table}: {counted(count, 'figure')}" for table, count in sorted(counts.items()))


def print_results(results: Sequence[Result], console: Console) -> None:
    """The comparison as one table, or plain lines where there is no terminal; then the differences, each once."""
    if console.is_terminal:
        console.print(_table(results), soft_wrap=False)
    else:
        for result in results:
            console.print(Text(plain_line(result)))
    for line, number in _deviations(results).items():
        say(f"differs from the paper ({counted(number, 'figure')}): {line}", console)


def plain_line(result: Result) -> str:
    """A comparison on one line."""
    figure = result.figure
    words = [
        _MARKS[result.outcome],
        inert(figure.reference),
        _METRICS[figure.metric],
        f"printed {figure.value:.4f}",
    ]
    if result.ours is not None:
        words.append(f"ours {ours_text(result)}")
    words.append(f"{result.outcome}" + (f": {inert(result.reason)}" if result.reason else ""))
    return "  ".join(words)


def ours_text(result: Result) -> str:
    """Our figure with its interval, or a dash."""
    return figure_text(Figure(result.ours, result.low, result.high), places=4)


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("table", "row", "column", "figure"):
        table.add_column(heading)
    for heading in ("printed", "ours (95% interval)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("printed is")
    for result in results:
        figure = result.figure
        places = [str(figure.table), figure.row, figure.column, _METRICS[figure.metric]]
        said = f"{result.outcome}" + (f": {inert(result.reason)}" if result.reason else "")
        numbers = [f"{figure.value:.4f}", ours_text(result)]
        table.add_row(*map(Text, (*map(inert, places), *numbers, said)))
    return table


def _deviations(results: Sequence[Result]) -> Counter[str]:
    return Counter(line for result in results for line in dict.fromkeys(result.deviations))


def markdown(protocol: Protocol, results: Sequence[Result], headline: Sequence[str]) -> str:
    """The comparison as a page: what may be said, a table a table of the paper, differences and notes."""
    parts = [
        f"# {protocol.name}: printed figures beside ours",
        f"{protocol.paper}.",
        "\n".join(f"- {line}" for line in headline),
    ]
    for number in protocol.tables:
        part = [result for result in results if result.figure.table == number]
        if part:
            parts += [f"## Table {number}", _markdown_table(part)]
    differences = [f"- {line} ({counted(count, 'figure')})" for line, count in _deviations(results).items()]
    if differences:
        parts += ["## In what the runs differ from the paper's", "\n".join(differences)]
    own = [f"- {r.figure.reference}: {r.figure.note}" for r in results if r.figure.note]
    parts += [
        "## Notes on what is printed",
        "\n".join([*(f"- {note}" for note in protocol.notes), *dict.fromkeys(own)]),
    ]
    return "\n\n".join(parts) + "\n"


def _markdown_table(results: Sequence[Result]) -> str:
    rows = [
        "| row | column | figure | printed | ours (95% interval) | level | real, fake | printed is | run |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for result in results:
        figure = result.figure
        counts = "" if result.n_real is None else f"{result.n_real}, {result.n_fake}"
        said = f"{result.outcome}" + (f": {result.reason}" if result.reason else "")
        cells = [
            figure.row, figure.column, _METRICS[figure.metric], f"{figure.value:.4f}", ours_text(result),
            result.level or "", counts, said, result.run or "",
        ]  # fmt: skip
        rows.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(rows)


def _cell(text: str) -> str:
    return inert(text).replace("|", "\\|").replace("<", "&lt;")


def write_results(
    folder: Path,
    protocol: Protocol,
    results: Sequence[Result],
    headline: Sequence[str],
    provenance: dict[str, Any],
) -> None:
    """Write the comparisons as CSV, Markdown and JSON. Raises StorageError; old files stay whole."""
    rows = [result.to_json() for result in results]
    document = {
        "protocol": protocol.name,
        "paper": protocol.paper,
        "headline": list(headline),
        "notes": list(protocol.notes),
        "figures": rows,
        "provenance": provenance,
    }
    flat = [{**row, **{key: "; ".join(row[key]) for key in ("deviations", "commands")}} for row in rows]
    tables.write_table(folder / FIGURES, tables.with_provenance(pa.Table.from_pylist(flat), provenance))
    write_atomic(
        folder / REPORT, f"{markdown(protocol, results, headline)}\n{as_markdown(provenance)}".encode()
    )
    write_atomic(folder / RESULTS, json.dumps(document, indent=1).encode())
