"""The end of a training run: thresholds, reference, metrics and model card from what was stored, and the folder."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.shards import ShardGroup, write_atomic
from ffpipe.models import checkpoint
from ffpipe.models.detector import Detector
from ffpipe.pipeline import provenance, training_state
from ffpipe.pipeline.balance import draws_per_face
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.faces import FaceTable, Rows, largest_per_frame
from ffpipe.pipeline.loader import ShardFaces
from ffpipe.pipeline.model_card import CardFacts, write_card
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.provenance_text import as_markdown
from ffpipe.pipeline.recipe_choice import Choice
from ffpipe.pipeline.reference import make_reference, worst_rows
from ffpipe.pipeline.stored_media import labelled_media
from ffpipe.pipeline.training_data import TrainingMedia
from ffpipe.pipeline.training_job import Selection, TrainingJob, arithmetic_record, prepare, validation_logits
from ffpipe.pipeline.validation import Logits, Validation, VideoResult
from ffpipe.pipeline.weights import REFERENCE_HASH
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.domain import Reference
from ffpipe.stages.metrics import auc, bootstrap_interval
from ffpipe.stages.reference_file import REFERENCE, to_bytes

#: Bootstrap replicates of the frame AUC's interval: faces are many, and groups decide its width.
_FRAME_REPLICATES = 500


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Where the model is, what metrics.json says of it, and the provenance that config.json and the card carry."""

    directory: Path
    metrics: dict[str, Any]
    provenance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """A run trained to its end: what it was asked to do, on which faces it did it, and (`origin`) its provenance."""

    job: TrainingJob
    config: TrainConfig
    choice: Choice
    media: TrainingMedia
    source: ShardFaces
    chosen: Selection
    origin: dict[str, Any]


def finish(run: Run, say: Say) -> TrainResult:
    """Measure on validation, write the model's folder, and drop the state that resuming needed.

    Raises StorageError and IntegrityError.
    """
    job = run.job
    model, history, best = _best_model(job)
    _, validation = prepare(job, run.source, job.network(model))
    thresholds, frame = Thresholds.from_json(None), None
    videos: list[VideoResult] = []
    if validation is not None:
        logits = validation_logits(job)
        videos = validation.videos(logits)
        thresholds, frame = (
            validation.thresholds(logits, job.seed),
            _frame_figures(validation, logits, job.seed),
        )
    counts = _counts(run.source.table, run.chosen)
    metrics = {
        "best": best,
        "history": history,
        "validation": {
            "video": thresholds.to_json(),
            "frame": frame,
            "media": _judged(run.source.table, run.chosen.validation, videos),
        },
        "counts": counts,
    }
    arithmetic = arithmetic_record(job)
    reference = _reference(run, model, videos)
    origin = provenance.finish(run.origin)
    card = write_card(_card_facts(run, model, counts, best, frame, thresholds, arithmetic, reference))
    card = f"{card}\n{as_markdown(origin)}"
    extra = {
        **_facts(run),
        "provenance": origin,
        "arithmetic": arithmetic,
        "thresholds": thresholds.to_json(),
        "validated": frame is not None,
        REFERENCE_HASH: checkpoint.content_id(stored := to_bytes(reference)),
    }
    # Before the hashes, which make the folder a model.
    write_atomic(job.folder / REFERENCE, stored)
    try:
        checkpoint.save(
            job.folder, model, name=job.model, options=model.options, extra=extra, metrics=metrics, card=card
        )
    except OSError as error:
        raise StorageError(f"cannot write {job.folder}: {error.strerror or error}") from error
    shutil.rmtree(job.state, ignore_errors=True)
    say(_result_line(best, thresholds, frame))
    return TrainResult(job.folder, metrics, origin)


def _reference(run: Run, model: Detector, videos: list[VideoResult]) -> Reference:
    """What the training faces were like, as far as they were stored: fakes made of real faces are not among them."""
    media = [m for root in run.job.datasets for m in labelled_media(ShardGroup(root, "media", ["faces"]))]
    chosen, model_id = run.chosen, checkpoint.weights_id(model)
    return make_reference(run.source, chosen.train, chosen.validation, videos, media, model_id)


def _judged(table: FaceTable, rows: Rows, videos: list[VideoResult]) -> dict[str, list[Any]]:
    """Class, score, and median side in pixels of the crops that it rests on, of each validation medium with a score."""
    sides = {name: float(np.median(table.side[own])) for name, own in worst_rows(table, rows, videos).items()}
    scored = [video for video in videos if video.media_id in sides]
    return {
        "label": [video.label for video in scored],
        "score": [video.score for video in scored],
        "face_side": [sides[video.media_id] for video in scored],
    }


def _best_model(job: TrainingJob) -> tuple[Detector, list[dict[str, Any]], dict[str, Any]]:
    """The detector with its best weights, the entry of each epoch, and that of the best one."""
    stored = training_state.load(job.state)
    if stored is None or stored[0].best is None:
        raise StorageError(f"{job.state}: training ended without a stored result")
    position = stored[0]
    model = job.build()
    training_state.unpack_weights(model, training_state.load_best(job.state, position))
    return model, position.history, stored[0].best


def _card_facts(
    run: Run,
    model: Detector,
    counts: dict[str, Any],
    best: dict[str, Any],
    frame: dict[str, Any] | None,
    thresholds: Thresholds,
    arithmetic: dict[str, Any],
    reference: Reference,
) -> CardFacts:
    return CardFacts(
        spec=model.spec,
        choice=run.choice,
        seed=run.config.seed,
        workers=run.config.num_workers,
        datasets=run.media.datasets,
        quality=run.media.quality,
        split=run.media.split,
        halved=run.media.halved,
        counts=counts,
        notes=run.media.notes,
        best=best,
        frame=frame,
        thresholds=thresholds,
        crop=run.media.crop,
        teacher=run.job.teaching.facts() if run.job.teaching else None,
        arithmetic=arithmetic,
        reference=reference,
        balance=run.job.balance,
        pseudo=run.job.pseudo,
    )


def _facts(run: Run) -> dict[str, Any]:
    """What the model's config.json says of the run."""
    media, choice, teaching = run.media, run.choice, run.job.teaching
    return {
        "crop": asdict(media.crop),
        "crop_fingerprint": media.crop.fingerprint(),
        "fit": media.crop.fit,
        "recipe": {**choice.recipe.to_json(), "reason": choice.reason},
        "data": {
            "datasets": list(media.datasets),
            "quality": media.quality,
            "digest": media.data_digest,
            "split": media.split,
            **({"splits_digest": media.splits_digest} if media.splits_digest else {}),
            **({"methods": list(run.config.methods)} if run.config.methods else {}),
        },
        "balance": run.job.balance,
        **({"pseudo_fakes": asdict(run.job.pseudo)} if run.job.pseudo else {}),
        **({"teacher": {**teaching.facts(), **teaching.taught_from}} if teaching else {}),
        "train_media": sorted(media.train),
        "train_clips": media.train_clips,
        "validation_media": sorted(media.validation),
        "validation_clips": media.validation_clips,
        "calibration_media": {name: media.calibration[name].group for name in sorted(media.calibration)},
        "calibration_clips": media.calibration_clips,
        "calibration_half": media.halved,
    }


def _frame_figures(validation: Validation, logits: Logits, seed: int) -> dict[str, Any]:
    """Frame AUC over the largest face of each frame, with its interval over groups."""
    main = np.isin(validation.rows, largest_per_frame(validation.table, validation.rows))
    rows, scores = validation.rows[main], logits[main]
    labels = validation.table.label[rows]
    groups = [validation.table.groups[medium] for medium in validation.table.medium[rows]]
    if len(set(labels.tolist())) < 2:
        return {"auc": None, "low": None, "high": None, "faces": len(rows)}
    interval = bootstrap_interval(auc, labels, scores, groups, replicates=_FRAME_REPLICATES, seed=seed)
    return {"auc": auc(labels, scores), "low": interval.low, "high": interval.high, "faces": len(rows)}


def _counts(table: FaceTable, chosen: Selection) -> dict[str, Any]:
    def part(rows: Rows) -> dict[str, int]:
        real, fake = table.classes(rows)
        media, first = np.unique(table.medium[rows], return_index=True)
        fakes = int(table.label[rows[first]].sum())
        return {
            "real_media": len(media) - fakes,
            "fake_media": fakes,
            "groups": len({table.groups[m] for m in media}),
            "real_faces": real,
            "fake_faces": fake,
        }

    train = {
        **part(chosen.train),
        "downscaled": chosen.downscaled,
        "draws": draws_per_face(chosen.parts),
        "epoch": {part.name: part.draws for part in chosen.parts},
    }
    return {"train": train, "validation": part(chosen.validation)}


def _result_line(best: dict[str, Any], thresholds: Thresholds, frame: dict[str, Any] | None) -> str:
    if frame is None:
        return f"unvalidated model of the last epoch, {best['epoch']}; verdicts with it stay inconclusive"
    area = "undefined" if thresholds.auc is None else f"{thresholds.auc:.3f}"
    if thresholds.auc_low is not None and thresholds.auc_high is not None:
        area += f" ({thresholds.auc_low:.3f} to {thresholds.auc_high:.3f})"
    line = f"best epoch {best['epoch']}; video AUC on validation {area}"
    return line if thresholds.usable else f"{line}; verdicts stay inconclusive: {thresholds.reason}"
