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

from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation.calibrated import calibrated_facts, calibration_of
from ffpipe.pipeline.evaluation.coverage import coverage_facts
from ffpipe.pipeline.evaluation.media import ChosenMedia
from ffpipe.pipeline.evaluation.parts import RESULT, EvaluationFolder
from ffpipe.pipeline.evaluation.scores import IMAGE, VIDEO, Scores, score_media
from ffpipe.pipeline.evaluation.subject import Subject, prepare
from ffpipe.pipeline.evaluation.verdicts import Outcome, outcomes, verdict_counts, without_score
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.weights import find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.breakdowns import media_parts, part_rows
from ffpipe.stages.evaluation import ALL, MEAN, METHOD, Bootstrap, Row, comparisons, table
from ffpipe.stages.quality import QualityGate


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A finished evaluation: its rows, what they rest on, and the folder with its files."""

    directory: Path
    rows: list[Row]
    facts: dict[str, Any]

    def to_json(self) -> str:
        """Everything but single scores, as JSON."""
        return json.dumps({**self.facts, "rows": [asdict(row) for row in self.rows]}, indent=1)


def evaluate(
    run: str, config: EvaluateConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> Evaluation:
    """Score the pictures of a split with a run's weights, and write its figures into the run's folder.

    `run` is a model's folder, or `<model>/<run>` in the workspace. Raises UsageError (no such run or data, pictures
    cut otherwise than in training, media that the run or its teacher was trained on, another evaluation of the same
    at work), WeightsError, IntegrityError, StorageError.
    """
    subject = prepare(find_run(run, workspace), config, workspace, say)
    folder = EvaluationFolder.open(subject.run, subject.name, _depends(subject))
    with folder.work(say):
        result = _work(subject, folder, say, advance)
    log.note(workspace, "evaluate", result.facts["provenance"], [result.directory / RESULT])
    say(f"figures: {result.directory}")
    return result


def _depends(subject: Subject) -> dict[str, Any]:
    """All that single scores depend on."""
    media = hashlib.sha256("\n".join(sorted(m.media_id for m in subject.chosen.media)).encode())
    return {
        **subject.depends(),
        "media": media.hexdigest(),
        "split": subject.config.split,
        "frames": subject.config.frames_per_video,
    }


def _work(subject: Subject, folder: EvaluationFolder, say: Say, advance: Advance | None) -> Evaluation:
    # Matplotlib takes a second to import, which only this needs.
    from ffpipe.pipeline.evaluation.files import write_files

    config, chosen = subject.config, subject.chosen
    facts = subject.facts(folder.path.name)
    subject.open(folder, facts, say)
    reference = subject.weights.reference
    scores = score_media(
        [chosen.group],
        chosen.labelled(),
        subject.scorer,
        config.frames_per_video,
        advance,
        folder.parts,
        reference,
    )
    gate = QualityGate(reference, config.quality_gate)
    found = outcomes(scores, chosen.everything, subject.weights.thresholds, gate)
    how = Bootstrap(config.replicates, config.seed, subject.threshold)
    facts |= {
        "headline": scores.headline,
        "untracked": scores.untracked,
        "verdicts": verdict_counts(chosen.everything, found),
        "coverage": coverage_facts(chosen.everything, found, scores.levels[scores.headline], how),
    }
    if scores.untracked:
        say(f"{scores.untracked} videos have no score: no face was seen in frames enough")
    rows = _rows(scores, chosen, found, how)
    calibration = calibration_of(subject.weights, chosen)
    facts["calibration"] = calibrated_facts(scores, calibration, how) if calibration else None
    result = Evaluation(folder.path, rows, {**facts, "provenance": provenance.finish(facts["provenance"])})
    write_files(result, scores, chosen.everything, found)
    return result


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
