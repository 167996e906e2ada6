"""Tables as text for people: Markdown, and LaTeX with booktabs; every name in them is inert there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ffpipe.pipeline.output import inert
from ffpipe.stages.evaluation import Figure

Cell = str | int | Figure | None

#: Figures in a row that a page has room for with their intervals beside them.
_FIGURES = 3

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedblright{}",
}  # fmt: skip
_MARKDOWN = {mark: f"\\{mark}" for mark in "\\`*_{}[]<>|#~&!"}


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table with its title and notes; a first column of names, and cells that are text, counts or figures."""

    title: str
    label: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = field(default=())

    def markdown(self) -> str:
        """The table below a heading, its notes as a list."""
        lines = [
            f"## {markdown_text(self.title)}",
            "",
            _markdown_row([markdown_text(column) for column in self.columns]),
            _markdown_row(["---", *["---:"] * (len(self.columns) - 1)]),
            *(_markdown_row([_markdown_cell(cell) for cell in row]) for row in self.rows),
        ]
        if self.notes:
            lines += ["", *(f"- {markdown_text(note)}" for note in self.notes)]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A floating table across both columns of a page, its notes below it.

        Many figures in a row fit on a page with their intervals below them.
        """
        wide = any(sum(isinstance(cell, Figure) for cell in row) > _FIGURES for row in self.rows)
        head = " & ".join((_latex_heading if wide else latex_text)(column) for column in self.columns)
        lines = [
            r"\begin{table*}",
            r"\centering\footnotesize\setlength{\tabcolsep}{3pt}" if wide else r"\centering\small",
            rf"\caption{{{latex_text(self.title)}}}",
            rf"\label{{tab:{self.label}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.columns) - 1)}}}",
            r"\toprule",
            rf"{head} \\",
            r"\midrule",
            *(rf"{' & '.join(_latex_cell(cell, wide) for cell in row)} \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
        if self.notes:
            notes = r"\\ ".join(latex_text(note) for note in self.notes)
            lines.append(rf"\par\smallskip\parbox{{\linewidth}}{{\footnotesize {notes}}}")
        return "\n".join([*lines, r"\end{table*}"]) + "\n"


def latex_document(tables: Sequence[TextTable]) -> str:
    """The tables one after another, for \\input in a document that uses booktabs."""
    return "% \\usepackage{booktabs}\n\n" + "\n".join(table.latex() for table in tables)


def markdown_text(text: str) -> str:
    """One line in which nothing is markup."""
    return "".join(_MARKDOWN.get(mark, mark) for mark in inert(text))


def latex_text(text: str) -> str:
    """One line in which nothing is a command."""
    return "".join(_LATEX.get(mark, mark) for mark in inert(text))


def _markdown_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _markdown_cell(cell: Cell) -> str:
    if isinstance(cell, Figure):
        return figure_text(cell)
    return "" if cell is None else markdown_text(str(cell))


def _latex_heading(text: str) -> str:
    """A heading in two lines, where it has two words or more."""
    first, _, rest = text.partition(" ")
    return _latex_stack(latex_text(first), latex_text(rest)) if rest else latex_text(text)


def _latex_stack(above: str, below: str) -> str:
    """Two lines in a cell, the upper one level with the row."""
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{above}\\{below}\end{{tabular}}"


def _latex_cell(cell: Cell, stacked: bool) -> str:
    if not isinstance(cell, Figure):
        return "" if cell is None else latex_text(str(cell))
    if cell.value is None:
        return "--"
    if cell.low is None or cell.high is None:
        return _latex_number(cell.value)
    value, interval = (
        _latex_number(cell.value),
        f"[{_latex_number(cell.low)}, {_latex_number(cell.high)}]",
    )
    if stacked:
        return _latex_stack(value, rf"{{\tiny {interval}}}")
    return rf"{value} {{\scriptsize {interval}}}"


def _latex_number(value: float) -> str:
    return f"{value:.3f}" if value >= 0 else f"$-${-value:.3f}"


def figure_text(figure: Figure, places: int = 3) -> str:
    """A figure with its interval, or a dash."""
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.{places}f}"
    return f"{figure.value:.{places}f} ({figure.low:.{places}f} to {figure.high:.{places}f})"
