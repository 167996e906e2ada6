"""The evaluate job: a stored dataset's split scored with a run's weights, in figures of all of it and of its parts.

The only job that reads a test split. Each opening of one is logged in the run's folder before a picture is read, and
what the run or its teacher is known to have learned from, at any quality, is never measured as if it were new.
An evaluation that was interrupted goes on where it was, and is one opening.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

import ffpipe
from ffpipe.pipeline import provenance
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.media import ChosenMedia, check_media, choose_split
from ffpipe.pipeline.evaluation.openings import open_test
from ffpipe.pipeline.evaluation.parts import EvaluationFolder
from ffpipe.pipeline.evaluation.scores import IMAGE, VIDEO, Scores, score_media
from ffpipe.pipeline.evaluation.verdicts import Outcome, outcomes, verdict_counts, without_score
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.score import arithmetic_for
from ffpipe.pipeline.stored_media import data_digest
from ffpipe.pipeline.weights import Weights, find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.breakdowns import media_parts, part_rows
from ffpipe.stages.evaluation import ALL, MEAN, METHOD, Bootstrap, Row, comparisons, table
from ffpipe.stages.infer import Scorer


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: its rows, what they rest on, and the folder with its files."""

    directory: Path
    rows: list[Row]
    facts: dict[str, Any]

    def to_json(self) -> str:
        """Everything but single scores, as JSON."""
        return json.dumps({**self.facts, "rows": [asdict(row) for row in self.rows]}, indent=1)


@dataclass(frozen=True, slots=True)
class _Job:
    """What an evaluation is of, once all that can be refused was checked."""

    config: EvaluateConfig
    weights: Weights
    chosen: ChosenMedia
    scorer: Scorer
    accepted: bool

    def depends(self) -> dict[str, Any]:
        """All that single scores depend on."""
        media = hashlib.sha256("\n".join(sorted(m.media_id for m in self.chosen.media)).encode())
        return {
            "ffpipe": ffpipe.__version__,
            "model_id": self.weights.model_id,
            "data_digest": data_digest([self.chosen.group]),
            "media": media.hexdigest(),
            "split": self.config.split,
            "frames": self.config.frames_per_video,
            "arithmetic": self.scorer.arithmetic.name,
            "device": self.scorer.device.type,
        }


def evaluate(
    run: str, config: EvaluateConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> Evaluation:
    """Score the pictures of a split with a run's weights, and write its figures into the run's folder.

    `run` is a model's folder, or `<model>/<run>` in the workspace. Raises UsageError (no such run or data, pictures
    cut otherwise than in training, media that the run or its teacher was trained on, another evaluation of the same
    at work), WeightsError, IntegrityError, StorageError.
    """
    directory = find_run(run, workspace)
    job = _prepare(directory, config, workspace, say)
    folder = EvaluationFolder.open(directory, f"{job.chosen.name}-{config.split}", job.depends())
    with folder.work(say):
        result = _work(directory, job, folder, say, advance)
    say(f"figures: {result.directory}")
    return result


def _prepare(directory: Path, config: EvaluateConfig, workspace: Workspace, say: Say) -> _Job:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = Weights.load(directory, device)
    chosen = choose_split(workspace, config, config.split)
    accepted = check_media(chosen, weights, config, say)
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    scorer = Scorer(weights.loaded, device, config.batch_size, arithmetic, weights.crop.fit)
    return _Job(config, weights, chosen, scorer, accepted)


def _work(
    directory: Path, job: _Job, folder: EvaluationFolder, say: Say, advance: Advance | None
) -> Evaluation:
    # Matplotlib takes a second to import, which only this needs.
    from ffpipe.pipeline.evaluation.files import write_files

    config, chosen = job.config, job.chosen
    facts = _facts(job, folder.path)
    if chosen.opens_test(config.split):
        facts["opening"] = open_test(directory, chosen.name, facts, folder.id, say)
    scores = score_media(
        chosen.group, chosen.labelled(), job.scorer, config.frames_per_video, advance, folder.parts
    )
    found = outcomes(scores, chosen.everything, job.weights.thresholds)
    facts |= {
        "headline": scores.headline,
        "untracked": scores.untracked,
        "verdicts": verdict_counts(chosen.everything, found),
    }
    if scores.untracked:
        say(f"{scores.untracked} videos have no score: no face was seen in frames enough")
    rows = _rows(scores, chosen, found, _bootstrap(config, job.weights.thresholds))
    result = Evaluation(folder.path, rows, facts)
    write_files(result, scores, chosen.everything, found)
    return result


def _bootstrap(config: EvaluateConfig, thresholds: Thresholds) -> Bootstrap:
    return Bootstrap(config.replicates, config.seed, thresholds.threshold if thresholds.usable else None)


def _facts(job: _Job, folder: Path) -> dict[str, Any]:
    config, weights, chosen = job.config, job.weights, job.chosen
    device = job.scorer.device.type
    thresholds = weights.thresholds
    return {
        "run": str(weights.loaded.directory),
        "detector": weights.loaded.config["detector"],
        "model_id": weights.model_id,
        "evaluation": folder.name,
        "data": chosen.name,
        "data_digest": data_digest([chosen.group]),
        "split": config.split,
        "split_source": chosen.split_source,
        "split_digest": chosen.given.digest if chosen.given else None,
        "methods": list(config.methods) if config.methods else None,
        "threshold": thresholds.threshold if thresholds.usable else None,
        "threshold_reason": thresholds.reason,
        "unscored": dict(chosen.unscored),
        "notes": chosen.notes,
        "provenance": provenance.collect(
            config.resolved(),
            model_id=weights.model_id,
            crops_accepted=job.accepted,
            fit=weights.crop.fit,
            arithmetic=job.scorer.arithmetic.name,
            device=torch.cuda.get_device_name() if device == "cuda" else device,
            seed=config.seed,
        ),
    }


def _rows(scores: Scores, chosen: ChosenMedia, found: dict[str, Outcome], how: Bootstrap) -> list[Row]:
    """The rows of every level; at the headline's, each with how many of its media have no score."""
    everything = chosen.everything
    sets, parts = comparisons(everything), media_parts(everything)
    lacking = without_score(found)
    whole = frozenset(m.media_id for m in everything)
    members = {ALL: whole, **sets}
    named = {(kind, name): ids for kind, of in parts.items() for name, ids in of.items()}
    rows: list[Row] = []
    for level, scored in scores.levels.items():
        found_rows: Sequence[Row] = [
            *table(level, scored, sets, replicates=how.replicates, seed=how.seed, threshold=how.threshold),
            *part_rows(level, scored, parts, how),
        ]
        if level in (VIDEO, IMAGE):
            found_rows = [_counted(row, members, named, lacking) for row in found_rows]
        rows.extend(found_rows)
    return rows


def _counted(
    row: Row,
    members: dict[str, frozenset[str]],
    named: dict[tuple[str, str], frozenset[str]],
    lacking: frozenset[str],
) -> Row:
    """The row with how many of its media have no score; a mean, or a size of face, has no such media."""
    ids = named.get((row.kind, row.name))
    if ids is None and row.kind == METHOD and row.name != MEAN:
        ids = members.get(row.name)
    return row if ids is None else replace(row, unscored=len(ids & lacking))
