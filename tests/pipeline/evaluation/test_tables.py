"""Tables of an evaluation: the headline named, every level labelled, n in each cell, gaps explained."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ffpipe.pipeline.evaluation.tables import (
    HEADINGS,
    headline_line,
    latex_tables,
    markdown_document,
    text_tables,
)
from ffpipe.stages.breakdowns import part_rows
from ffpipe.stages.evaluation import FIGURES, Bootstrap, Figure, Row, Scored, table

FACTS: dict[str, Any] = {
    "detector": "mine",
    "run": "/models/mine/a_1",
    "model_id": "f" * 64,
    "data": "FF++",
    "data_digest": "d" * 16,
    "split": "test",
    "headline": "video",
    "opening": 3,
    "threshold": 0.75,
    "threshold_reason": None,
    "notes": ["noted <b>"],
    "verdicts": {"real": {"inconclusive": 2}, "fake": {"likely_manipulated": 1, "not_assessable: no_face": 4}},
    "reference": None,
    "coverage": {
        "media": 9, "scored": 8, "aurc": {"value": 0.125, "low": 0.05, "high": 0.25, "reason": None},
        "answers": {
            "with the gate": {"answered": 4, "wrong": 1, "coverage": 4 / 9, "risk": 0.25},
            "without": {"answered": 0, "wrong": 0, "coverage": 0.0, "risk": None},
        },
        "concerns": {"blurred": {"real": {"media": 3, "withheld": 2}, "fake": {"media": 1, "withheld": 0}}},
    },
    "provenance": {
        "id": "p1", "ffpipe": "0.1.0", "crops_accepted": False, "configuration": {"replicates": 100, "seed": 0},
    },
}  # fmt: skip


def rows(fakes: bool = True) -> list[Row]:
    labels = (np.arange(40) % 2 if fakes else np.zeros(40)).astype(np.int8)
    scores = np.clip(np.random.default_rng(1).normal(0.4 + 0.2 * labels, 0.2), 0, 1)
    ids = [f"{n:032x}" for n in range(40)]
    made = []
    for level in ("video", "frame"):
        scored = Scored(labels, scores, ids, [f"g{n // 2}" for n in range(40)], [100.0] * 40)
        made += table(level, scored, {"a_b": frozenset(ids)}, replicates=100, threshold=0.75)
        made += part_rows(level, scored, {"quality": {"c23": frozenset(ids)}}, Bootstrap(100))
    return [replace(row, unscored=5) if row.level == "video" and row.name == "all" else row for row in made]


def test_the_headline_says_its_level_and_n() -> None:
    line = headline_line(FACTS, rows())
    assert line.startswith("headline, video level: AUC 0.")
    assert line.endswith("n = 20 real, 20 fake")
    assert headline_line(FACTS, rows(fakes=False)) == (
        "headline, video level: AUC undefined (all media are real), n = 40 real, 0 fake"
    )


def test_every_table_says_its_level_and_each_row_its_n() -> None:
    first, *parts, verdicts, coverage, concerns = text_tables(FACTS, rows())
    assert list(first.columns) == ["figure", "video level (headline)", "frame level"]
    assert [row[0] for row in first.rows][-len(FIGURES) :] == [HEADINGS[figure] for figure in FIGURES]
    assert first.rows[3] == ["media without a score", 5, None]
    assert [table.title for table in parts] == [
        f"mine on FF++, split test: {what}, {level}"
        for level in ("video level (headline)", "frame level")
        for what in ("methods", "qualities", "sizes of face")
    ]
    for part in parts:
        assert list(part.columns[1:5]) == ["real", "fake", "groups", "no score"]
        assert all(row[1:3] == [20, 20] for row in part.rows)
    assert "pixels of the original picture" in parts[2].notes[0]
    assert verdicts.rows == [
        ["inconclusive", 2, 0],
        ["likely manipulated", 0, 1],
        ["not assessable: no face", 0, 4],
    ]
    assert coverage.rows[2] == ["with a verdict", 4, 0]
    assert coverage.rows[-1] == ["AURC", *[Figure(0.125, 0.05, 0.25)] * 2]
    assert concerns.rows == [["blurred", 3, 2, 1, 0]]
    assert any("no reference" in note for note in concerns.notes)


def test_the_documents_hold_it_all_and_say_what_is_missing() -> None:
    text = markdown_document(FACTS, rows())
    for words in (
        "**headline, video level",
        "opening 3 of the test split",
        "noted \\<b\\>",
        "15 bins of equal width",
        "Threshold: 0.7500",
        "100 draws of whole source groups",
    ):
        assert words in text
    without = {**FACTS, "threshold": None, "threshold_reason": "these weights were not validated"}
    text = markdown_document(without, rows(fakes=False))
    assert "Threshold: none (these weights were not validated)" in text
    assert "video, a\\_b: all media are real." in text
    latex = latex_tables(FACTS, rows())
    assert latex.count(r"\begin{table*}") == latex.count(r"\end{table*}") == 10
    assert r"a\_b & 20 & 20" in latex
    assert r"\label{tab:mine-FF---test-video-face-size}" in latex
