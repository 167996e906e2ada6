"""What the bars of the verdicts are and what they rest on, in sentences, from what a report's provenance says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ffpipe.manifests.errors import WeightsError
from ffpipe.manifests.inputs import display_path
from ffpipe.stages.thresholds import Bars, Thresholds

_UNKNOWN = "This report does not say which bars its verdicts were held to."


def thresholds_of(provenance: Mapping[str, Any]) -> Thresholds | None:
    """The thresholds that the scores were held to; None where the provenance has none that hold together."""
    model = provenance.get("model")
    stored = model.get("thresholds") if isinstance(model, Mapping) else None
    try:
        return Thresholds.from_json(stored) if isinstance(stored, Mapping) else None
    except WeightsError:
        return None


def prior_of(provenance: Mapping[str, Any]) -> float | None:
    """The probability of "fake" that the run's posteriors start from; None where none was given, or none is told."""
    configuration = provenance.get("configuration")
    prior = configuration.get("prior") if isinstance(configuration, Mapping) else None
    return prior if isinstance(prior, float) else None


def calibration_of(provenance: Mapping[str, Any]) -> str | None:
    """What the run's calibration was fitted to, in words; None of a run without one."""
    if not provenance.get("calibration"):
        return None
    found: Any = provenance
    for key in ("model", "calibration", "scope", "words"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return display_path(found) if isinstance(found, str) else "what is not on record"


def kind_of(provenance: Mapping[str, Any]) -> str:
    """What was scored: "face", "whole" for pictures without looking for faces, "crop" for ready-made crops."""
    configuration = provenance.get("configuration")
    asked = isinstance(configuration, Mapping) and configuration.get("whole")
    return str(provenance.get("kind") or ("whole" if asked else "face"))


def explained(thresholds: Thresholds | None) -> list[str]:
    """The threshold explained, a sentence or two in each entry."""
    if thresholds is None:
        return [_UNKNOWN]
    if not thresholds.usable:
        return [f"No verdict can rest on these scores: {thresholds.reason}. All of them are inconclusive."]
    return [*_bars(thresholds, thresholds.bars(1)), *_validation(thresholds)]


def _bars(thresholds: Thresholds, bars: Bars) -> Iterator[str]:
    alarm, doubt = thresholds.false_alarm_rate, thresholds.inconclusive_rate
    if bars.threshold is None:
        yield (
            f"{thresholds.real_groups:,} independent real videos in validation are too few to hold false alarms at "
            f"{alarm:.0%}: no score alone is called likely manipulated."
        )
    elif bars.supported:
        yield (
            f"The threshold is {bars.threshold:.3f}: at most {alarm:.0%} of {thresholds.n_real:,} real videos in "
            "validation scored above it. What does is called likely manipulated."
        )
    else:
        yield (
            f"The threshold is {bars.threshold:.3f}, the highest score of any of {thresholds.n_real:,} real videos in "
            "validation. What scores above it is called likely manipulated."
        )
    if bars.inconclusive_from is not None:
        yield (
            f"Doubt begins at {bars.inconclusive_from:.3f}, which at most {doubt:.0%} of them passed. What scores "
            "above it and not above the threshold is inconclusive."
        )
    yield (
        "These are the bars for one face. With several faces in a video they rise, because the highest of several "
        "scores passes any bar more often."
    )


def _validation(thresholds: Thresholds) -> Iterator[str]:
    area, low, high = thresholds.auc, thresholds.auc_low, thresholds.auc_high
    if area is not None and low is not None and high is not None:
        yield (
            f"In validation ({thresholds.n_real:,} real and {thresholds.n_fake:,} manipulated videos) the scores told "
            f"the two apart with an AUC of {area:.2f} (95% interval {low:.2f} to {high:.2f}); 0.5 is chance, 1 is "
            "without error. On videos of another kind it can be lower."
        )
