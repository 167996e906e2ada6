"""Tables as Markdown and LaTeX: figures with intervals, and names that are inert in both."""

from __future__ import annotations

import re

import pytest
from names import NAMES

from ffpipe.manifests.inputs import display_path
from ffpipe.pipeline.text_tables import TextTable, figure_text, latex_document, latex_text, markdown_text
from ffpipe.stages.evaluation import Figure

TABLE = TextTable(
    "A & B",
    "t",
    ["set", "n", "AUC"],
    [["all", 3, Figure(0.5, 0.25, 0.75)], ["x_1", None, Figure(-0.125)], ["none", 0, Figure(None)]],
    ["90% of it"],
)


def test_markdown() -> None:
    assert TABLE.markdown().splitlines() == [
        "## A \\& B",
        "",
        "| set | n | AUC |",
        "| --- | ---: | ---: |",
        "| all | 3 | 0.500 (0.250 to 0.750) |",
        "| x\\_1 |  | -0.125 |",
        "| none | 0 | - |",
        "",
        "- 90% of it",
    ]


def test_latex_is_a_booktabs_table() -> None:
    text = latex_document([TABLE])
    assert text.startswith("% \\usepackage{booktabs}")
    for line in (
        r"\caption{A \& B}",
        r"\begin{tabular}{lrr}",
        r"\toprule",
        r"all & 3 & 0.500 {\scriptsize [0.250, 0.750]} \\",
        r"x\_1 &  & $-$0.125 \\",
        r"none & 0 & -- \\",
        r"\bottomrule",
        r"\par\smallskip\parbox{\linewidth}{\footnotesize 90\% of it}",
    ):
        assert line in text.splitlines()
    assert text.count("{") == text.count("}")


def test_many_figures_in_a_row_have_their_intervals_below_them() -> None:
    row = ["all", *[Figure(0.5, 0.25, 0.75)] * 4]
    text = TextTable("many", "t", ["set", "AUC", "accuracy at 0.5", "AP", "EER"], [row]).latex()
    assert r"\begin{tabular}[t]{@{}r@{}}0.500\\{\tiny [0.250, 0.750]}\end{tabular}" in text
    assert r"\begin{tabular}[t]{@{}r@{}}accuracy\\at 0.5\end{tabular}" in text
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_inert(name: bytes) -> None:
    shown = display_path(name)
    latex = latex_text(shown)
    assert "\n" not in latex
    bare = re.sub(r"\\(?:textbackslash|textasciitilde|textasciicircum|text\w+)\{\}|\\[&%$#_{}]", "", latex)
    assert not set(bare) & set("\\&%$#_{}~^<>|")
    markdown = markdown_text(shown)
    assert "\n" not in markdown
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<`*_\[]", re.sub(r"\\.", "", markdown))


def test_a_figure_alone() -> None:
    assert figure_text(Figure(None)) == "-"
    assert figure_text(Figure(0.5)) == "0.500"
