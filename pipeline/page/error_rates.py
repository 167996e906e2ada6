"""How often a model errs, in words: its validation, and the calibrated meaning of a score where it has one."""

from __future__ import annotations

import math

from scipy.stats import beta

from ffpipe.manifests.records import ReportRow
from ffpipe.pipeline.page.evidence import ModelFacts
from ffpipe.pipeline.page.video_texts import ENFSI, ENFSI_SOURCE
from ffpipe.stages.aggregate import Thresholds

_LEVEL = 0.95


def alarms(thresholds: Thresholds, bar: float) -> int | None:
    """How many real validation videos scored above a bar; None where the stored scores do not reach that far down."""
    tail = thresholds.real_tail
    if not tail or (bar < tail[-1] and len(tail) < thresholds.n_real):
        return None
    return sum(score > bar for score in tail)


def share(count: int, of: int) -> str:
    """A count with its share and the 95% Clopper-Pearson interval of that."""
    tail = (1 - _LEVEL) / 2
    low = float(beta.ppf(tail, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, of - count)) if count < of else 1.0
    return f"{count} of {of} ({count / of:.1%}; 95% interval {low:.1%} to {high:.1%})"


def validation_lines(model: ModelFacts | None, row: ReportRow) -> list[str]:
    """What validation says of verdicts such as this one."""
    if model is None:
        return ["The weights that scored this medium are not at hand, so their error rates cannot be shown."]
    known = model.thresholds
    if not known.n_real:
        return [f"No error rates are known: {known.reason or 'these weights were not validated'}."]
    where = f" of {', '.join(model.datasets)}" if model.datasets else ""
    lines = [
        f"Validation{where}: {known.n_real} real videos from {known.real_groups} independent sources, and "
        f"{known.n_fake} fakes, none of them used in training. All of validation is meant: no figures are kept for "
        "videos of this quality or size of face alone."
    ]
    for bar, words in (
        (row.threshold, "above the threshold"),
        (row.inconclusive_from, "above where doubt begins"),
    ):
        count = None if bar is None else alarms(known, bar)
        if bar is not None and count is not None:
            lines.append(
                f"Real validation videos that scored {words} of this medium, {bar:.3f}: {share(count, known.n_real)}."
            )
    if known.auc is not None:
        interval = (
            "" if known.auc_low is None else f" (95% interval {known.auc_low:.3f} to {known.auc_high:.3f})"
        )
        lines.append(
            f"Video AUC in validation: {known.auc:.3f}{interval}. It is the chance that a random fake scores above a "
            "random real video: 0.5 is guessing, 1 is without error."
        )
    if known.reason:
        lines.append(f"No verdict rests on these weights: {known.reason}.")
    return lines


def calibration_lines(model: ModelFacts | None, row: ReportRow) -> list[str]:
    """What the calibrated score says, or that it is uncalibrated."""
    ratio = row.log10_likelihood_ratio
    if ratio is None:
        return [
            "Uncalibrated: the score is no probability. It orders media by suspicion and is compared with the bars "
            "above; 0.9 does not mean that nine in ten such videos are fake."
        ]
    lines = [f"Log10 likelihood ratio {ratio:+.2f}: {support(ratio)}."]
    if row.probability is not None:
        lines.append(f"At even odds beforehand that is a probability of {row.probability:.2f} for fake.")
    if row.posterior is not None:
        lines.append(
            f"With the prior that was given for this run, the probability for fake is {row.posterior:.2f}."
        )
    scope = getattr(getattr(model, "calibration", None), "scope", None)
    lines.append(
        f"Scope: {scope.words()}." if scope is not None else "The calibration's scope is not at hand."
    )
    lines.append(f"The words for the strength of support are those of the {ENFSI_SOURCE}.")
    return lines


def support(log10_ratio: float) -> str:
    """The words of the verbal scale for a likelihood ratio, which proposition it supports included."""
    ratio = 10 ** abs(log10_ratio)
    times = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    words = next((words for least, words in ENFSI if ratio >= least * (1 - 1e-9)), None)
    if words is None or not math.isfinite(log10_ratio):
        return "no support for either “fake” or “real”"
    which, other = ("fake", "real") if log10_ratio > 0 else ("real", "fake")
    return (
        f"the score is {times} times as likely for a {which} video as for a {other} one of the calibration data, which is "
        f"{words} for “{which}”"
    )
