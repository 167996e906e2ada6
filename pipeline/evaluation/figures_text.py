"""An evaluation's rows, and a comparison's pairs, for people: a line each, every figure with its 95% interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ffpipe.pipeline.output import inert, say
from ffpipe.pipeline.text_tables import figure_text
from ffpipe.stages.evaluation import ALL, MEAN, METHOD, Row

if TYPE_CHECKING:
    from ffpipe.pipeline.evaluation.compare import Pair

#: The figures that fit on a line; all of them are in the files.
_SHOWN = {"accuracy": "accuracy", "average_precision": "AP", "auc": "AUC"}


def print_figures(rows: Sequence[Row], console: Console) -> None:
    """One table a level, or plain lines where there is no terminal; then why figures or intervals are missing.

    Methods alone: what else a set was divided by is in the files.
    """
    rows = [row for row in rows if row.kind == METHOD]
    for level in dict.fromkeys(row.level for row in rows):
        part = [row for row in rows if row.level == level]
        if console.is_terminal:
            console.print(_table(level, part), soft_wrap=False)
        else:
            for row in part:
                console.print(Text(plain_line(row)))
    for line in dict.fromkeys(_reasons(rows)):
        say(line, console)


def plain_line(row: Row) -> str:
    """One row on one line, such as `image biggan  20 real 20 fake  accuracy 0.900 (0.800 to 0.975)`."""
    counts = "" if row.n_real is None else f"  {row.n_real} real {row.n_fake} fake"
    figures = "  ".join(f"{heading} {figure_text(row.figures[key])}" for key, heading in _SHOWN.items())
    return f"{row.level} {inert(row.name)}{counts}  {figures}"


def _table(level: str, rows: Sequence[Row]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(level)
    for heading in ("real", "fake", *_SHOWN.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        counts = ["" if count is None else str(count) for count in (row.n_real, row.n_fake)]
        figures = [figure_text(row.figures[key]) for key in _SHOWN]
        style = "bold" if row.name in (ALL, MEAN) else ""
        table.add_row(Text(inert(row.name), style), *counts, *figures)
    return table


def _reasons(rows: Sequence[Row]) -> list[str]:
    lines = [
        f"{row.level}, {inert(row.name)}: {line}" for row in rows for line in (row.reason, row.note) if line
    ]
    return lines + [
        f"{row.level}, {inert(row.name)}: no interval: {row.interval_reason}"
        for row in rows
        if row.interval_reason and (not row.reason or row.name == MEAN)
    ]


def print_pairs(pairs: Sequence[Pair], console: Console) -> None:
    """The AUC of every pair on a line; the other figures are in the files."""
    for pair in pairs:
        if pair.figure == "auc":
            console.print(Text(pair_line(pair)))


def pair_line(pair: Pair) -> str:
    """One pair, such as `video all  b/2 minus a/1  AUC 0.810 - 0.790 = 0.020 (-0.010 to 0.050), p 0.21`."""
    line = f"{pair.level} {inert(pair.name)}  {inert(pair.second)} minus {inert(pair.first)}  AUC "
    if pair.first_value is None or pair.second_value is None:
        return f"{line}undefined: {pair.reason}"
    line += f"{pair.second_value:.3f} - {pair.first_value:.3f} = {figure_text(pair.difference)}"
    if pair.p is None:
        return f"{line}, no test: {pair.reason}"
    corrected = "" if pair.p_holm in (None, pair.p) else f", with Holm's correction {pair.p_holm:.3f}"
    return f"{line}, p {pair.p:.3f}{corrected}"
