"""What an evaluation answered, what it held back and for which concern, and the risk of it all: coverage and risk.

Coverage is a share of every medium of the split, also of those that failed or have no score: a detector that answers
less is not better for it. AURC and the curve are of the media that have a score.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ffpipe.manifests.records import Concern, Label, MediaRecord, Verdict
from ffpipe.pipeline.evaluation.verdicts import Outcome
from ffpipe.stages.evaluation import Bootstrap, Scored, above
from ffpipe.stages.metrics import bootstrap_interval
from ffpipe.stages.selective import Answers, CoverageRisk, aurc, coverage_risk

_ANSWERS = {Verdict.LIKELY_MANIPULATED: Label.FAKE, Verdict.NO_MANIPULATION_FOUND: Label.REAL}


class Curves(TypedDict):
    """Curves of one evaluation: all scored media, and without those that the gate holds back."""

    scored: CoverageRisk | None
    gated: CoverageRisk | None


def coverage_facts(
    media: Sequence[MediaRecord], found: Mapping[str, Outcome], headline: Scored, how: Bootstrap
) -> dict[str, Any]:
    """Ready for JSON: AURC with its interval, answers with and without the gate, and media by concern and class."""
    unique = {m.media_id: m for m in media}
    facts: dict[str, Any] = {
        "media": len(unique),
        "scored": len(headline.label),
        "answers": {
            "with the gate": _answers(unique, {name: of.verdict for name, of in found.items()}),
            "without": _answers(unique, {name: of.ungated for name, of in found.items()}),
        },
        "concerns": concern_counts(unique, found),
    }
    return {**facts, "aurc": _area(headline, how)}


def concern_counts(
    media: Mapping[str, MediaRecord], found: Mapping[str, Outcome]
) -> dict[str, dict[str, dict[str, int]]]:
    """By concern and class how many media have it, and of how many it withheld the verdict."""
    have: Counter[tuple[Concern, Label]] = Counter()
    withheld: Counter[tuple[Concern, Label]] = Counter()
    for name, m in media.items():
        label = Label(m.label or 0)
        have.update((concern, label) for concern in found[name].concerns)
        withheld.update((concern, label) for concern in found[name].withheld)
    return {
        concern.value: {
            label.name.lower(): {"media": have[concern, label], "withheld": withheld[concern, label]}
            for label in Label
        }
        for concern in Concern
    }


def curves(found: Mapping[str, Outcome], headline: Scored, threshold: float, media: int) -> Curves:
    """The curves over `media` media; of those that the gate holds back none is answered at any confidence."""
    held = [bool(found[name].withheld) for name in headline.medium]
    bar = above(threshold)
    return {
        "scored": coverage_risk(headline.label, headline.score, bar, media),
        "gated": coverage_risk(headline.label, headline.score, bar, media, held) if any(held) else None,
    }


def _answers(media: Mapping[str, MediaRecord], verdicts: Mapping[str, Verdict]) -> dict[str, Any]:
    said = [(_ANSWERS.get(verdicts[name]), Label(m.label or 0)) for name, m in media.items()]
    answered = [(given, label) for given, label in said if given is not None]
    result = Answers(len(answered), sum(given is not label for given, label in answered), len(said))
    return {
        "answered": result.answered,
        "wrong": result.wrong,
        "coverage": result.coverage,
        "risk": result.risk,
    }


def _area(headline: Scored, how: Bootstrap) -> dict[str, Any]:
    if how.threshold is None:
        return {"value": None, "low": None, "high": None, "reason": "validation set no threshold"}
    if not len(headline.label):
        return {"value": None, "low": None, "high": None, "reason": "no medium has a score"}
    bar = above(how.threshold)
    interval = bootstrap_interval(
        aurc,
        headline.label,
        headline.score,
        headline.group,
        threshold=bar,
        replicates=how.replicates,
        seed=how.seed,
    )
    value = aurc(headline.label, headline.score, threshold=bar)
    return {"value": value, "low": interval.low, "high": interval.high, "reason": interval.reason}
