"""The evaluate job: a stored dataset's split scored with a run's weights, in figures per method and overall.

The only job that reads a test split. Each opening of one is logged in the run's folder before a picture is read, and
what the run or its teacher is known to have learned from, at any quality, is never measured as if it were new.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.manifests.records import MediaRecord, Split
from ffpipe.manifests.shards import ShardGroup, write_atomic
from ffpipe.manifests.split_files import SplitFile, read_split_file
from ffpipe.manifests.splits import components, group_key
from ffpipe.pipeline import provenance, tables
from ffpipe.pipeline.config import EvaluateConfig
from ffpipe.pipeline.evaluation_scores import Scores, score_media
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.openings import log_opening
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.overlap import check_overlap, shared_people
from ffpipe.pipeline.score import arithmetic_for
from ffpipe.pipeline.stored_media import (
    crop_settings,
    data_digest,
    media_of,
    of_methods,
    of_quality,
    parts_of,
    stored_job,
    without_conflicts,
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


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The media of a split, as rows of the media table; `unscored` counts those without a picture, by status.

    known: all rows of the dataset, of any split. given: the split file that says which is which, instead of the stored
    split.
    """

    name: str
    group: ShardGroup
    media: list[MediaRecord]
    unscored: Counter[str]
    known: list[MediaRecord]
    given: SplitFile | None = None
    notes: list[str] = field(default_factory=list)

    def opens_test(self) -> bool:
        """Whether media of the stored test split are among them, whatever a split file calls them."""
        if self.given is None:
            return False
        ids = {m.media_id for m in self.media}
        return any(m.split is Split.TEST and m.media_id in ids for m in media_of([self.group], None, []))

    def labelled(self) -> dict[str, Labelled]:
        """What scoring needs of each medium, with groups joined by content."""
        joined = components([group_key(m), m.media_id] for m in self.media)
        return {
            m.media_id: Labelled(int(m.label or 0), joined[m.media_id], m.frames_decoded) for m in self.media
        }


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
    chosen = _choose(config, workspace)
    accepted = _check_crop(chosen, weights, config)
    chosen.notes.extend(check_overlap(chosen.media, weights.loaded.config, chosen.name, config.split))
    chosen.notes.extend(shared_people(chosen.media, chosen.known, weights.loaded.config))
    say(_data_line(chosen, config.split))
    for note in chosen.notes:
        say(note)
    arithmetic = arithmetic_for(config.arithmetic, workspace, weights, device, say)
    folder = _new_folder(directory, f"{chosen.name}-{config.split}")
    try:
        facts = _facts(config, weights, chosen, folder, device, arithmetic.name, accepted)
        if config.split in (Split.TEST, "all") or chosen.opens_test():
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


def _choose(config: EvaluateConfig, workspace: Workspace) -> _Chosen:
    there = workspace.datasets()
    if config.data not in there:
        raise UsageError(
            f"--data {config.data}: no such dataset in {workspace.root}; there are {', '.join(there) or 'none'}"
        )
    group = workspace.dataset(config.data)
    notes: list[str] = []
    given = read_split_file(config.splits) if config.splits else None
    listed = media_of([group], given, notes)
    # What a split file does not list may have been trained on by another.
    known = {m.path_bytes: m for rows in (media_of([group], None, []), listed) for m in rows}
    media = [m for m in listed if m.label is not None]
    media = of_quality(of_methods(media, config.methods), config.quality, notes)
    media = without_conflicts(media, notes)
    if config.split != "all":
        # A copy in several splits counts for the one that learns least from it.
        parts = parts_of(media)
        media = [m for m in media if parts[m.media_id] == (m.split or Split.TRAIN) == config.split]
    scored = [m for m in media if m.faces]
    if not scored:
        raise UsageError(f"--split {config.split}: {config.data} has no labelled media with pictures in it")
    unscored = Counter(m.status.value for m in media if not m.faces)
    return _Chosen(config.data, group, scored, unscored, [*known.values()], given, notes)


def _check_crop(chosen: _Chosen, weights: Weights, config: EvaluateConfig) -> bool:
    """Whether the pictures were cut otherwise than in training. Raises UsageError where that was not accepted."""
    cut = crop_settings([chosen.name], [stored_job(chosen.group)])
    if cut.fingerprint() == weights.crop.fingerprint():
        return False
    if not config.accept_crops:
        raise UsageError(
            f"{chosen.name} was stored with other crop settings ({cut.kind}, {cut.fingerprint()}) than the weights "
            f"were trained with ({weights.crop.kind}, {weights.crop.fingerprint()}); --accept-crops scores it all"
            " the same"
        )
    return True


def _data_line(chosen: _Chosen, split: str) -> str:
    fake = len({m.media_id for m in chosen.media if m.label})
    real = len({m.media_id for m in chosen.media}) - fake
    line = f"{chosen.name}, split {split}: {real} real and {fake} fake media"
    if chosen.unscored:
        listed = ", ".join(f"{count} {status}" for status, count in sorted(chosen.unscored.items()))
        line += f"; without a picture to score: {listed}"
    return line


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
    chosen: _Chosen,
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
        "split_source": str(chosen.given or stored_job(chosen.group).get("split_source", "none")),
        "methods": list(config.methods) if config.methods else None,
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


def _open(run: Path, chosen: _Chosen, facts: dict[str, Any], say: Say) -> int:
    logged = {key: facts[key] for key in ("data_digest", "split", "split_source", "model_id", "evaluation")}
    logged["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    number = log_opening(run, chosen.name, logged)
    say(f"opening {number} of the test split of {chosen.name} by this run")
    return number


def _rows(scores: Scores, chosen: _Chosen, config: EvaluateConfig) -> list[Row]:
    sets = comparisons(chosen.media)
    return [
        row
        for level, scored in scores.levels.items()
        for row in table(level, scored, sets, replicates=config.replicates, seed=config.seed)
    ]


def _write(result: Evaluation, scores: Scores, chosen: _Chosen) -> None:
    """The figures as CSV and JSON, and every single score, so that runs can be compared picture by picture."""
    origin = result.facts["provenance"]
    figures = pa.Table.from_pylist([row.flat() for row in result.rows])
    tables.write_table(result.directory / "figures.csv", tables.with_provenance(figures, origin))
    single = scores.table(chosen.media)
    tables.write_table(result.directory / "scores.parquet", tables.with_provenance(single, origin))
    write_atomic(result.directory / "evaluation.json", result.to_json().encode())
