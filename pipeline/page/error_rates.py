"""How often a model errs, in sentences: its validation, and the calibrated meaning of a score where it has one."""

from __future__ import annotations

import math
from collections.abc import Iterator

from scipy.stats import beta

from ffpipe.manifests.records import ReportRow
from ffpipe.pipeline.page.evidence import Evidence, ModelFacts
from ffpipe.pipeline.page.strata import Judged, Rates
from ffpipe.pipeline.page.video_texts import ENFSI, ENFSI_SOURCE, INDEPENDENT, NOT_COVERED, UNCALIBRATED
from ffpipe.stages.aggregate import Thresholds

_LEVEL = 0.95


def alarms(thresholds: Thresholds, bar: float) -> int | None:
    """How many real validation media scored above a bar; None where the stored scores do not reach that far down."""
    tail = thresholds.real_tail
    if not tail or (bar < tail[-1] and len(tail) < thresholds.n_real):
        return None
    return sum(score > bar for score in tail)


def share(count: int, of: int) -> str:
    """A count with its share and the 95% Clopper-Pearson interval of that."""
    if not of:
        return "none of none"
    tail = (1 - _LEVEL) / 2
    low = float(beta.ppf(tail, count, of - count + 1)) if count else 0.0
    high = float(beta.ppf(1 - tail, count + 1, of - count)) if count < of else 1.0
    return f"{count} of {of}, {count / of:.1%} (95% interval {low:.1%} to {high:.1%})"


def validation_lines(evidence: Evidence) -> list[str]:
    """What validation says of verdicts such as this one."""
    model = evidence.model
    if model is None:
        return ["The weights that scored this file are not at hand, so their error rates cannot be shown."]
    if not model.thresholds.n_real:
        return [f"No error rates are known: {model.thresholds.reason or 'these weights were not validated'}."]
    rates = [*_bars(model.thresholds, evidence), *_strata(evidence)]
    return [
        *_validation(model),
        *rates,
        *([INDEPENDENT] if any("interval" in line for line in rates) else []),
    ]


def _validation(model: ModelFacts) -> Iterator[str]:
    known = model.thresholds
    where = f" on {', '.join(model.datasets)}" if model.datasets else ""
    yield (
        f"The bars were set{where} with {known.n_real} real files from {known.real_groups} independent sources and "
        f"{known.n_fake} fakes. The model was not trained on them, but its best state was chosen by them: new files "
        "may fare worse."
    )
    if known.auc is not None:
        interval = (
            "" if known.auc_low is None else f" (95% interval {known.auc_low:.3f} to {known.auc_high:.3f})"
        )
        yield (
            f"AUC there: {known.auc:.3f}{interval}. That is how often a fake scored above a real file, both taken at "
            "random: 0.5 is guessing, 1 is without error."
        )
    if known.reason:
        yield f"No verdict rests on these weights: {known.reason}."


def _bars(known: Thresholds, evidence: Evidence) -> Iterator[str]:
    row = evidence.row
    for bar, words, so in (
        (row.threshold, "the threshold", "falsely called likely manipulated"),
        (row.inconclusive_from, "the score where doubt begins", "not cleared"),
    ):
        count = None if bar is None else alarms(known, bar)
        if bar is not None and count is not None:
            yield f"Real files above {words} of this file, {bar:.3f}, so {so}: {share(count, known.n_real)}."
    tracks = sum(track.eligible for track in evidence.tracks)
    if tracks > 1 and row.inconclusive_from is not None:
        yield (
            f"{tracks} tracks count here, and the highest of {tracks} scores is high by chance more easily than one "
            f"alone. The bars were raised so that of real files with {tracks} tracks {known.false_alarm_rate:.0%} at "
            f"most should still pass the threshold, and {known.inconclusive_rate:.0%} at most come into doubt."
        )


def _strata(evidence: Evidence) -> Iterator[str]:
    """Rates of validation media with faces of this size, or why it is all of validation that was meant."""
    validated = evidence.model.validated if evidence.model else None
    bar = evidence.row.threshold
    if validated is None:
        yield (
            "These are rates of all of validation. For faces of this size or this quality alone they may be better or "
            "worse: the model's folder does not tell, as long as it has no evaluation of its validation split."
        )
        return
    if bar is None:
        return
    yield f"All files of validation ({validated.name}): {_rates(list(validated.media), bar)}"
    like = validated.like(evidence.face_side)
    if like is None:
        yield "The size of this file's faces is not on record, so no rates of files like it can be given."
    else:
        yield f"Of those, files with faces of {like[0]}, like this one: {_rates(like[1], bar)}"


def _rates(media: list[Judged], bar: float) -> str:
    found = Rates.of(media, bar)
    return (
        f"real files above the threshold {share(found.real_above, found.real)}; "
        f"fakes above it {share(found.fake_above, found.fake)}: the other fakes were missed."
    )


def calibration_lines(row: ReportRow, prior: float | None, scope: str | None) -> list[str]:
    """What the calibrated score says, or why there is nothing; `scope` is that of the run's calibration, in words."""
    ratio = row.log10_likelihood_ratio
    if ratio is None:
        return [UNCALIBRATED if scope is None else f"{NOT_COVERED} It was fitted to: {scope}."]
    lines = [f"Log10 likelihood ratio {ratio:+.2f}: {support(ratio)}."]
    if row.probability is not None:
        lines.append(
            f"Where fake and real are equally likely beforehand, that makes fake {row.probability:.0%} probable. "
            "What was known beforehand is for the reader to say, not for this tool."
        )
    if row.posterior is not None:
        told = "the prior that was given for this run" if prior is None else f"a prior of {prior:g}"
        lines.append(
            f"With {told}, the probability of fake before anyone looked at the file, fake is {row.posterior:.1%} "
            "probable."
        )
    if scope is None:
        lines.append("What the calibration was fitted to is not at hand; it holds for files like those only.")
    else:
        lines.append(f"This holds for files like those of the calibration: {scope}.")
    lines.append(f"The words for support are those of the {ENFSI_SOURCE}.")
    return lines


def support(log10_ratio: float) -> str:
    """The words of the verbal scale for a likelihood ratio, and which of the two propositions it supports."""
    ratio = 10 ** abs(log10_ratio)
    words = next((words for least, words in ENFSI if ratio >= least * (1 - 1e-9)), None)
    if words is None or not math.isfinite(log10_ratio):
        return "it supports neither “fake” nor “real”"
    which, other = ("fake", "real") if log10_ratio > 0 else ("real", "fake")
    times = f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}"
    return (
        f"such a score is {times} times as frequent among {which} files as among {other} ones of the calibration data. "
        f"That is {words} for “{which}”"
    )
