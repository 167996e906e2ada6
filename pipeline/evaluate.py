"""The evaluate job: a stored dataset's split scored with a run's weights, in figures per method and overall.

The only job that reads a test split. Each opening of one is logged in the run's folder before a picture is read, and
what the run or its teacher is known to have learned from, at any quality, is never measured as if it were new.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import Split
from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import provenance, tables
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation_media import ChosenMedia, check_crop, choose_split
from ffpipe.pipeline.evaluation_scores import Scores, score_media
from ffpipe.pipeline.openings import log_opening
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.overlap import check_overlap
from ffpipe.pipeline.score import arithmetic_for
from ffpipe.pipeline.stored_media import (
    data_digest,
)
from ffpipe.pipeline.weights import Weights, find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.evaluation import Row, comparisons, table
from ffpipe.stages.infer import Scorer

#: Folder in a run's folder with one folder an evaluation.
EVALUATIONS = "evaluations"


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
    cut otherwise than in training, media that the run or its teacher was trained on), WeightsError, IntegrityError,
    StorageError.
    """
    directory = find_run(run, workspace)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weights = Weights.load(directory, device)
    chosen = choose_split(workspace, config.data, config.split, config.quality)
    accepted = check_crop(chosen, weights, config.accept_crops)
    chosen.notes.extend(check_overlap(chosen.media, weights.loaded.config, chosen.name, config.split))
    say(chosen.line(config.split))
    for note in chosen.notes:
        say(note)
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    folder = _new_folder(directory, f"{chosen.name}-{config.split}")
    try:
        facts = _facts(config, weights, chosen, folder, device, arithmetic.name, accepted)
        if config.split in (Split.TEST, "all"):
            facts["opening"] = _open(directory, chosen, facts, say)
        scorer = Scorer(weights.loaded, device, config.batch_size, arithmetic, weights.crop.fit)
        scores = score_media(chosen.group, chosen.labelled(), scorer, config.frames_per_video, advance)
        facts["untracked"] = scores.untracked
        if scores.untracked:
            say(f"{scores.untracked} videos have no score: no face was seen in frames enough")
        rows = _rows(scores, chosen, config)
        result = Evaluation(folder, rows, facts)
        _write(result, scores, chosen)
    except BaseException:
        _forget(folder)
        raise
    say(f"figures: {folder}")
    return result


def _new_folder(run: Path, name: str) -> Path:
    parent = run / EVALUATIONS
    try:
        parent.mkdir(exist_ok=True)
        number = 1
        while (folder := parent / f"{name}-{number:03d}").exists():
            number += 1
        folder.mkdir()
    except OSError as error:
        raise StorageError(f"cannot write to {parent}: {error.strerror or error}") from error
    return folder


def _forget(folder: Path) -> None:
    """Remove what an evaluation that did not end has written."""
    for path in folder.iterdir():
        path.unlink(missing_ok=True)
    folder.rmdir()


def _facts(
    config: EvaluateConfig,
    weights: Weights,
    chosen: ChosenMedia,
    folder: Path,
    device: str,
    arithmetic: str,
    accepted: bool,
) -> dict[str, Any]:
    return {
        "run": str(weights.loaded.directory),
        "detector": weights.loaded.config["detector"],
        "model_id": weights.model_id,
        "evaluation": folder.name,
        "data": chosen.name,
        "data_digest": data_digest([chosen.group]),
        "split": config.split,
        "unscored": dict(chosen.unscored),
        "notes": chosen.notes,
        "provenance": provenance.collect(
            config.resolved(),
            model_id=weights.model_id,
            crops_accepted=accepted,
            fit=weights.crop.fit,
            arithmetic=arithmetic,
            device=torch.cuda.get_device_name() if device == "cuda" else device,
            seed=config.seed,
        ),
    }


def _open(run: Path, chosen: ChosenMedia, facts: dict[str, Any], say: Say) -> int:
    logged = {key: facts[key] for key in ("data_digest", "split", "model_id", "evaluation")}
    logged["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    number = log_opening(run, chosen.name, logged)
    say(f"opening {number} of the test split of {chosen.name} by this run")
    return number


def _rows(scores: Scores, chosen: ChosenMedia, config: EvaluateConfig) -> list[Row]:
    sets = comparisons(chosen.media)
    return [
        row
        for level, scored in scores.levels.items()
        for row in table(level, scored, sets, replicates=config.replicates, seed=config.seed)
    ]


def _write(result: Evaluation, scores: Scores, chosen: ChosenMedia) -> None:
    """The figures as CSV and JSON, and every single score, so that runs can be compared picture by picture."""
    origin = result.facts["provenance"]
    figures = pa.Table.from_pylist([row.flat() for row in result.rows])
    tables.write_table(result.directory / "figures.csv", tables.with_provenance(figures, origin))
    single = scores.table(chosen.media)
    tables.write_table(result.directory / "scores.parquet", tables.with_provenance(single, origin))
    write_atomic(result.directory / "evaluation.json", result.to_json().encode())
