"""What a comparison leaves in its folder: every pair as JSON and CSV, tables as Markdown and LaTeX, and the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa

from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import plots, tables
from ffpipe.pipeline.evaluation.finished import Finished
from ffpipe.pipeline.evaluation.plots import write_plots
from ffpipe.pipeline.evaluation.tables import HEADINGS
from ffpipe.pipeline.output import inert
from ffpipe.pipeline.provenance_text import as_latex, as_markdown
from ffpipe.pipeline.text_tables import Cell, TextTable, latex_document, markdown_text
from ffpipe.stages.curves import roc
from ffpipe.stages.evaluation import ALL

if TYPE_CHECKING:
    from ffpipe.pipeline.evaluation.compare import Comparison, Pair

#: Holds all of a comparison; it is written last.
COMPARISON = "comparison.json"


def write_files(result: Comparison, done: Sequence[Finished], items: Sequence[pd.DataFrame]) -> None:
    """Write them all; `items` are those of the headline level, a table a run. Raises StorageError."""
    folder, origin = result.directory, result.facts["provenance"]
    flat = pa.Table.from_pylist([pair.flat() for pair in result.pairs])
    tables.write_table(folder / "comparison.csv", tables.with_provenance(flat, origin))
    texts = text_tables(result.facts, result.pairs)
    write_atomic(
        folder / "comparison.md", f"{_document(result.facts, texts)}\n\n{as_markdown(origin)}".encode()
    )
    write_atomic(folder / "comparison.tex", (as_latex(origin) + latex_document(texts)).encode())
    write_plots(folder, _plots(result.facts, done, items), origin)
    write_atomic(folder / COMPARISON, result.to_json().encode())


def text_tables(facts: Mapping[str, Any], pairs: Sequence[Pair]) -> list[TextTable]:
    """A table of every figure at the headline level, one of the methods' AUC, and one of each further level."""
    headline = facts["headline"]
    whole = [pair for pair in pairs if pair.level == headline and pair.name == ALL]
    methods = [pair for pair in pairs if pair.level == headline and pair.name != ALL and pair.figure == "auc"]
    found = [_table(facts, headline, "all media", whole, "figure")]
    if methods:
        found.append(_table(facts, headline, "AUC by method", methods, "method"))
    for level in dict.fromkeys(pair.level for pair in pairs if pair.level != headline):
        found.append(
            _table(facts, level, "all media", [pair for pair in pairs if pair.level == level], "figure")
        )
    return found


def _table(facts: Mapping[str, Any], level: str, what: str, pairs: Sequence[Pair], by: str) -> TextTable:
    shown: list[list[Cell]] = [
        [
            HEADINGS[pair.figure] if by == "figure" else pair.name,
            pair.second,
            f"{pair.n_real} / {pair.n_fake}",
            _number(pair.first_value),
            _number(pair.second_value),
            pair.difference,
            _p(pair.p),
            _p(pair.p_holm),
            _p(pair.p_delong),
        ]
        for pair in pairs
    ]
    first = facts["runs"][0]["name"]
    columns = [by, "run", "real / fake", first, "run's", "difference", "p", "p (Holm)", "p (DeLong)"]
    where = f"{level} level{' (headline)' if level == facts['headline'] else ''}"
    draws = facts["provenance"]["configuration"]["replicates"]
    notes = [
        f"{level}s: {facts['pairing'][level]['line']}.",
        f"Difference: the run's figure minus that of {first}, with its 95% interval; both from the same {draws} draws "
        f"of whole source groups. p: two-sided, from the same draws, at least {2 / (draws + 1):.2g}.",
        "p (Holm): corrected for the runs compared by that figure. p (DeLong): takes items for independent; a "
        "cross-check alone.",
        *dict.fromkeys(f"{pair.name}: no interval: {pair.reason}." for pair in pairs if pair.reason),
    ]
    label = "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in f"compare-{level}-{what}")
    return TextTable(
        f"{facts['data']}, split {facts['split']}: {what}, {where}", label, columns, shown, notes
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _p(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.3f}" if value >= 0.0995 else f"{value:.2g}"


def _document(facts: Mapping[str, Any], texts: Sequence[TextTable]) -> str:
    runs = "\n".join(
        f"- {markdown_text(run['name'])}: model id {run['model_id']}, evaluation {markdown_text(run['evaluation'])}"
        for run in facts["runs"]
    )
    head = f"# Comparison on {markdown_text(facts['data'])}, split {facts['split']}\n\n{runs}\n"
    return "\n".join([head, *(table.markdown() for table in texts)])


def _plots(
    facts: Mapping[str, Any], done: Sequence[Finished], items: Sequence[pd.DataFrame]
) -> dict[str, Any]:
    """ROC and DET of every run on the paired items; none where one class is absent."""
    lines = []
    for each, table in zip(done, items, strict=True):
        labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
        curve = roc(labels, scores)
        if curve is None:
            return {}
        threshold = each.facts.get("threshold")
        point = None if threshold is None else curve.at(threshold, labels, scores)
        lines.append(plots.Line(inert(each.name), curve, None, point))
    fake = int(items[0]["label"].sum())
    title = (
        f"{facts['headline']} level\n{inert(facts['data'])} {facts['split']}, "
        f"n = {len(items[0]) - fake} real, {fake} fake"
    )
    return {
        "roc": plots.roc_figure(lines, f"ROC, {title}"),
        "det": plots.det_figure(lines, f"DET, {title}"),
    }
