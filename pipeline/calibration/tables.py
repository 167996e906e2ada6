"""The figures of a calibration as tables: before and after, with intervals, and what each method would cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ffpipe.pipeline.text_tables import Cell, TextTable, markdown_text
from ffpipe.stages.calibration import Calibration
from ffpipe.stages.calibration_choice import PARTS
from ffpipe.stages.calibration_figures import FIGURES, Measured

HEADINGS = {"ece": "ECE", "cllr": "Cllr (bits)", "cllr_min": "Cllr min (bits)"}


def figures_table(
    title: str, label: str, measured: Measured, draws: int, notes: Sequence[str] = ()
) -> TextTable:
    """ECE, Cllr and Cllr min of the same media before and after."""
    shown: list[list[Cell]] = [
        [HEADINGS[name], measured.raw[name], measured.calibrated[name]] for name in FIGURES
    ]
    real, fake = measured.misleading
    interval = (
        f"No intervals: {measured.interval_reason}."
        if measured.interval_reason
        else f"In brackets 95% intervals: {draws} draws of whole source groups, the same before and after."
    )
    told = [
        interval,
        "Cllr is what likelihood ratios cost (0 is perfect, 1 is what LR = 1 always costs), Cllr min what the best "
        "rising map of these very media would; their difference is lost by calibration.",
        "ECE, in 15 bins of equal width, is of posteriors at the share of fakes among these media; raw scores p are "
        "read as LR = p / (1 - p).",
        f"Misleading after calibration: {real:.1%} of the reals have an LR above 1, {fake:.1%} of the fakes one "
        "below 1.",
    ]
    return TextTable(title, label, ["figure", "raw score", "calibrated"], shown, [*notes, *told])


def markdown(facts: Mapping[str, Any], measured: Measured) -> str:
    """A calibration as Markdown."""
    calibration = Calibration.from_json(facts["calibration"])
    caps, scope = calibration.caps, calibration.scope
    draws = facts["provenance"]["configuration"]["replicates"]
    held_out = (
        f"Of held-out groups: each medium is read by a map fitted without its part of {PARTS}, under the caps that the "
        "other parts support. The stored map is fitted to all of them."
    )
    costs: list[list[Cell]] = [[name, f"{cost:.4f}"] for name, cost in facts["cross_validated_cllr"].items()]
    table = figures_table(
        f"Before and after, {scope.level} level: {measured.n_real} real, {measured.n_fake} fake, "
        f"{measured.groups} groups", "calibration", measured, draws, [held_out],
    )  # fmt: skip
    methods = TextTable(
        "Methods", "methods", ["method", "cross-validated Cllr (bits)"], costs,
        ["The method auto takes the least of these, which makes its figure a little too good."],
    )  # fmt: skip
    lines = [
        f"calibration {calibration.id} of {facts['run']}, model id {facts['model_id']}",
        f"method: {calibration.method}{_numbers(calibration)}",
        f"fitted to: {scope.words()}",
        f"log10 likelihood ratios are kept within {caps.lowest:.2f} and {caps.highest:.2f}: {scope.fake_groups} groups "
        f"with fakes and {scope.real_groups} with reals support no more (LR at most groups + 1)",
        f"no likelihood ratio is given to what is no {scope.level}, or where more face tracks count than "
        f"{scope.max_tracks}, the most that any of these media has",
        *facts["notes"],
    ]
    if facts["without_score"]:
        lines.append(f"{facts['without_score']} media have no score: no face was seen in frames enough")
    return "\n\n".join(
        [
            f"# Calibration of {markdown_text(facts['detector'])}",
            "\n".join(f"- {markdown_text(line)}" for line in lines),
            table.markdown(),
            methods.markdown(),
        ]
    )


def _numbers(calibration: Calibration) -> str:
    known = calibration.parameters
    if calibration.method == "isotonic":
        return f", {len(known['scores'])} knots"
    return ", " + ", ".join(f"{name} {value:.4f}" for name, value in known.items())
