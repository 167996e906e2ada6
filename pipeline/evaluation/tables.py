"""An evaluation's rows as tables for a paper: the headline first, every table with its level and the n of each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffpipe.pipeline.evaluation.calibrated import calibrated_table
from ffpipe.pipeline.text_tables import Cell, TextTable, latex_document, markdown_text
from ffpipe.stages.calibration_metrics import BINS
from ffpipe.stages.evaluation import (
    ALL,
    AT_THRESHOLD,
    DATASET,
    FACE_SIZE,
    FIGURES,
    MEAN,
    METHOD,
    QUALITY,
    Figure,
    Row,
)

#: What figures are called in tables.
HEADINGS = {
    "auc": "AUC", "eer": "EER", "average_precision": "AP", "accuracy": "accuracy at 0.5",
    AT_THRESHOLD: "accuracy at threshold", "tpr_at_1_fpr": "TPR at 1% FPR", "log_loss": "log loss", "brier": "Brier",
    "ece": "ECE", "cllr": "Cllr", "cllr_min": "Cllr min",
}  # fmt: skip
#: Figures of the tables that have a row a set; all of them stand in the table of levels and in figures.csv.
_IN_TABLES = ("auc", "eer", "average_precision", "accuracy", AT_THRESHOLD, "tpr_at_1_fpr")
_LEVELS = {
    "video": "a video's score is that of its worst face track with frames enough, a track's the mean over its frames",
    "track": "a track carries its video's label: a bystander in a forged video counts as fake",
    "frame": "the largest face of each frame, which carries its video's label",
    "image": "the largest face of each image, or the whole image",
}


def headline_line(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The result in a sentence, with the level that it is of."""
    level = facts["headline"]
    row = next(row for row in rows if (row.level, row.kind, row.name) == (level, METHOD, ALL))
    area = row.figures["auc"]
    if area.value is None:
        return (
            f"headline, {level} level: AUC undefined ({row.reason}), n = {row.n_real} real, {row.n_fake} fake"
        )
    interval = "no interval" if area.low is None else f"95% interval {area.low:.3f} to {area.high:.3f}"
    return f"headline, {level} level: AUC {area.value:.3f} ({interval}), n = {row.n_real} real, {row.n_fake} fake"


def text_tables(facts: Mapping[str, Any], rows: Sequence[Row]) -> list[TextTable]:
    """The tables of an evaluation."""
    levels = list(dict.fromkeys(row.level for row in rows))
    titles = {METHOD: "methods", DATASET: "datasets", QUALITY: "qualities", FACE_SIZE: "sizes of face"}
    parts = [
        _sets(facts, level, kind, title, [row for row in rows if (row.level, row.kind) == (level, kind)])
        for level in levels
        for kind, title in titles.items()
    ]
    return [
        _levels(facts, levels, rows),
        *_calibrated(facts),
        *(part for part in parts if part.rows),
        _verdicts(facts),
        _coverage(facts),
        _concerns(facts),
    ]


def _calibrated(facts: Mapping[str, Any]) -> list[TextTable]:
    """Raw and calibrated figures, where the run has a calibration for such pictures."""
    if facts.get("calibration") is None:
        return []
    title = f"{_what(facts)}: calibration, {facts['headline']} level"
    draws = facts["provenance"]["configuration"]["replicates"]
    return [calibrated_table(facts["calibration"], title, _label(facts, "calibration"), draws)]


def _levels(facts: Mapping[str, Any], levels: Sequence[str], rows: Sequence[Row]) -> TextTable:
    """Every figure of all media, a column a level."""
    whole = {row.level: row for row in rows if row.kind == METHOD and row.name == ALL}
    shown: list[list[Cell]] = [
        ["real", *(whole[level].n_real for level in levels)],
        ["fake", *(whole[level].n_fake for level in levels)],
        ["source groups", *(whole[level].groups for level in levels)],
        ["media without a score", *(whole[level].unscored for level in levels)],
    ]
    shown += [[HEADINGS[key], *(whole[level].figures[key] for level in levels)] for key in FIGURES]
    columns = [f"{level} level{' (headline)' if level == facts['headline'] else ''}" for level in levels]
    notes = [f"{level} level: {_LEVELS[level]}." for level in levels]
    notes += [line for level in levels for line in _remarks(whole[level])]
    return TextTable(
        f"{_what(facts)}: all media",
        _label(facts, "levels"),
        ["figure", *columns],
        shown,
        [*notes, *_notes(facts)],
    )


def _sets(facts: Mapping[str, Any], level: str, kind: str, title: str, rows: Sequence[Row]) -> TextTable:
    shown: list[list[Cell]] = [
        [
            row.name,
            row.n_real,
            row.n_fake,
            row.groups,
            row.unscored,
            *(row.figures[key] for key in _IN_TABLES),
        ]
        for row in rows
    ]
    columns = [kind, "real", "fake", "groups", "no score", *(HEADINGS[key] for key in _IN_TABLES)]
    notes = [line for row in rows for line in _remarks(row)]
    if kind == FACE_SIZE:
        notes.insert(
            0,
            "Side of the crop in pixels of the original picture; of a track or video, the median over its frames.",
        )
    where = f"{level} level{' (headline)' if level == facts['headline'] else ''}"
    return TextTable(
        f"{_what(facts)}: {title}, {where}", _label(facts, f"{level}-{kind}"), columns, shown, notes
    )


def _verdicts(facts: Mapping[str, Any]) -> TextTable:
    counts = facts["verdicts"]
    names = sorted({name for of in counts.values() for name in of})
    shown: list[list[Cell]] = [
        [name.replace("_", " "), *(of.get(name, 0) for of in counts.values())] for name in names
    ]
    notes = [
        "Every medium of the split, whatever became of it; inconclusive and not assessable are abstentions.",
        "Figures are of the media that have a score, and of those alone.",
    ]
    if facts["threshold_reason"]:
        notes.append(f"No verdict but inconclusive can rest on these weights: {facts['threshold_reason']}.")
    return TextTable(
        f"{_what(facts)}: verdicts", _label(facts, "verdicts"), ["verdict", *counts], shown, notes
    )


def _coverage(facts: Mapping[str, Any]) -> TextTable:
    """How many media were answered, how many of those wrongly, and the area under the risk-coverage curve."""
    coverage = facts["coverage"]
    area = coverage["aurc"]
    answers = coverage["answers"].values()
    shown: list[list[Cell]] = [
        ["media of the split", *(coverage["media"] for _ in answers)],
        ["with a score", *(coverage["scored"] for _ in answers)],
        ["with a verdict", *(each["answered"] for each in answers)],
        ["of these wrong", *(each["wrong"] for each in answers)],
        ["coverage", *(Figure(each["coverage"]) for each in answers)],
        ["risk", *(Figure(each["risk"]) for each in answers)],
        ["AURC", *(Figure(area["value"], area["low"], area["high"]) for _ in answers)],
    ]
    notes = [
        "Verdicts: likely manipulated, no manipulation found. Coverage: the share of all media with one, failures "
        "and abstentions being media without. Risk: the share of wrong verdicts.",
        "AURC: mean risk over all coverages of the media with a score, those of a score farthest from the threshold "
        "answered first; the gate has no part in it.",
    ]
    if area["reason"]:
        notes.append(f"AURC: {area['reason']}.")
    columns = ["verdicts", *coverage["answers"]]
    return TextTable(f"{_what(facts)}: coverage and risk", _label(facts, "coverage"), columns, shown, notes)


def _concerns(facts: Mapping[str, Any]) -> TextTable:
    concerns = facts["coverage"]["concerns"]
    shown: list[list[Cell]] = [
        [name.replace("_", " "), *(of[label][what] for label in of for what in ("media", "withheld"))]
        for name, of in concerns.items()
    ]
    columns = ["concern", "real media", "real, made inconclusive", "fake media", "fake, made inconclusive"]
    notes = ["A medium may have several concerns, and counts under each of them."]
    if facts["reference"] is None:
        notes.append("These weights have no reference: sharpness, bit rate and domain were not looked at.")
    if not facts["provenance"]["configuration"].get("quality_gate", True):
        notes.append("The quality gate was off: no concern withheld a verdict.")
    return TextTable(f"{_what(facts)}: concerns", _label(facts, "concerns"), columns, shown, notes)


def _what(facts: Mapping[str, Any]) -> str:
    return f"{facts['detector']} on {facts['data']}, split {facts['split']}"


def _label(facts: Mapping[str, Any], part: str) -> str:
    """A LaTeX label: letters, digits and hyphens alone."""
    text = f"{facts['detector']}-{facts['data']}-{facts['split']}-{part}"
    return "".join(mark if mark.isascii() and mark.isalnum() else "-" for mark in text)


def _remarks(row: Row) -> list[str]:
    lines = [f"{row.level}, {row.name}: {line}." for line in (row.reason, row.note) if line]
    if row.interval_reason and (not row.reason or row.name == MEAN):
        lines.append(f"{row.level}, {row.name}: no interval: {row.interval_reason}.")
    return lines


def _notes(facts: Mapping[str, Any]) -> list[str]:
    """How the figures are to be read."""
    draws = facts["provenance"]["configuration"]["replicates"]
    threshold = facts["threshold"]
    bar = (
        f"{threshold:.4f}, the bar that validation set for a video of one face track"
        if threshold is not None
        else f"none ({facts['threshold_reason'] or 'validation is too small for one'})"
    )
    return [
        f"In brackets 95% intervals: {draws} draws of whole source groups, the same for every figure.",
        f"Threshold: {bar}; a score above it is called fake.",
        f"ECE: {BINS} bins of equal width. ECE of few media is too high, Cllr min too low, and their intervals with "
        "them.",
        "Cllr, in bits, reads a score p as the likelihood ratio p / (1 - p). TPR at 1% FPR is not interpolated.",
        "Calibrated figures are in a table of their own."
        if facts.get("calibration")
        else "Uncalibrated: `ffpipe calibrate` turns scores into likelihood ratios.",
    ]


def markdown_document(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The whole evaluation as Markdown."""
    head = [
        f"# {markdown_text(_what(facts))}",
        f"**{markdown_text(headline_line(facts, rows))}**",
        "\n".join(f"- {markdown_text(line)}" for line in _origin(facts)),
    ]
    return "\n\n".join([*head, *(table.markdown() for table in text_tables(facts, rows))])


def latex_tables(facts: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """The tables as LaTeX."""
    return latex_document(text_tables(facts, rows))


def _origin(facts: Mapping[str, Any]) -> list[str]:
    provenance = facts["provenance"]
    lines = [
        f"run {facts['run']}, model id {facts['model_id']}",
        f"data digest {facts['data_digest']}, provenance {provenance['id']}, ffpipe {provenance['ffpipe']}",
    ]
    if "opening" in facts:
        lines.append(f"opening {facts['opening']} of the test split by this run")
    if provenance["crops_accepted"]:
        lines.append("pictures that were cut otherwise than in training were accepted")
    return lines + list(facts["notes"])
