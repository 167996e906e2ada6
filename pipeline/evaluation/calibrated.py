"""An evaluation's calibrated figures beside those of raw scores: what a calibration is worth on other media."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ffpipe.pipeline.calibration.scores import FoldScores
from ffpipe.pipeline.calibration.stored import read_stored
from ffpipe.pipeline.calibration.tables import figures_table
from ffpipe.pipeline.evaluation.media import ChosenMedia
from ffpipe.pipeline.evaluation.scores import Scores
from ffpipe.pipeline.stored_media import crop_settings, media_words, stored_job
from ffpipe.pipeline.text_tables import TextTable
from ffpipe.pipeline.weights import Weights
from ffpipe.stages.calibration import Calibration
from ffpipe.stages.calibration_figures import Measured, measure
from ffpipe.stages.evaluation import Bootstrap, Figure
from ffpipe.stages.sample import undefined_reason
from ffpipe.stages.score_maps import log_odds


def calibration_of(weights: Weights, chosen: ChosenMedia) -> Calibration | None:
    """The weights' calibration, where pictures that are cut like these are in its scope."""
    return weights.calibration_for(crop_settings([chosen.name], [stored_job(chosen.group)]))


def calibrated_on(weights: Weights, chosen: ChosenMedia) -> list[str]:
    """A line on media that calibrated the run, as such or as another copy of a clip."""
    stored = read_stored(weights.loaded.directory, weights.model_id)
    if stored is None:
        return []
    same = {m.media_id for m in chosen.media if m.media_id in stored.media or m.pair_id in stored.clips}
    if not same:
        return []
    return [
        f"warning: {media_words(len(same))} of these calibrated the run; its calibrated figures flatter it"
    ]


def calibrated_facts(scores: Scores, calibration: Calibration, how: Bootstrap) -> dict[str, Any]:
    """What is told of a calibration on scored media, ready for JSON: figures, or the reason why there are none."""
    every = FoldScores.of(scores)
    within = every.up_to(calibration.scope.max_tracks)
    facts = {
        **calibration.facts(),
        "level": every.level,
        "without_ratio": len(every.media) - len(within.media),
        "figures": None,
        "reason": undefined_reason(within.labels)
        if every.level == calibration.scope.level
        else f"it is of {calibration.scope.level}s, and these are {every.level}s",
    }
    if facts["reason"] is None:
        ratios = calibration.log_ratios(within.scores)
        found = measure(
            within.labels, log_odds(within.scores), ratios, within.groups,
            replicates=how.replicates, seed=how.seed,
        )  # fmt: skip
        facts["figures"] = asdict(found)
    return facts


def calibrated_table(facts: dict[str, Any], title: str, label: str, draws: int) -> TextTable:
    """Raw and calibrated figures of an evaluation whose `calibration` these facts are."""
    notes = [f"Calibration {facts['id']} ({facts['method']}): {facts['scope']['words']}."]
    if facts["without_ratio"]:
        notes.append(
            f"Without a likelihood ratio, and not in this table: {media_words(facts['without_ratio'])} with more face "
            "tracks than any that calibrated."
        )
    if facts["figures"] is None:
        return TextTable(title, label, ["figure"], [], [*notes, f"No figures: {facts['reason']}."])
    stored = facts["figures"]
    figures = {
        name: {key: Figure(**value) for key, value in stored[name].items()} for name in ("raw", "calibrated")
    }
    measured = Measured(**{**stored, **figures, "misleading": tuple(stored["misleading"])})
    return figures_table(title, label, measured, draws, notes)
