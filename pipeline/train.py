"""The train job: choose recipe and data, train or go on training, measure on validation, store the model."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ffpipe.manifests.errors import ConfigMismatch, IntegrityError, UsageError
from ffpipe.manifests.run_lock import RunLock
from ffpipe.models import checkpoint
from ffpipe.models.errors import CheckpointError
from ffpipe.pipeline import environment, log, provenance
from ffpipe.pipeline.arithmetic_choice import device_name
from ffpipe.pipeline.balance import PseudoFakes, draws_in_words
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.engine import available_cores
from ffpipe.pipeline.faces import FaceTable
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.recipe_choice import Choice, choose
from ffpipe.pipeline.stored_media import labelled_media
from ffpipe.pipeline.teaching import Teaching, make_teaching, require_teacher, seen_in_training
from ffpipe.pipeline.train_result import Run, TrainResult, finish
from ffpipe.pipeline.training_data import TrainingMedia, choose_media, more_frames, pseudo_fakes
from ffpipe.pipeline.training_job import (
    STATE,
    Selection,
    TrainingJob,
    counted,
    duration,
    pretrained_sha256,
    select,
    work,
)
from ffpipe.pipeline.training_loop import Observer, Progress
from ffpipe.pipeline.weights import Weights, find_run
from ffpipe.pipeline.workspace import Workspace, bind_job


def train(config: TrainConfig, workspace: Workspace, say: Say, advance: Advance | None = None) -> TrainResult:
    """Train a detector on datasets of the workspace; the same call goes on with an interrupted run.

    The first line said is the recipe and why it was taken. The run's folder is `models/<model>/<run>`; while it
    trains, `state/` there holds what resuming needs. `advance` hears of every step.

    Raises UsageError (no, several or unfit datasets, weights that cannot be had, a loss that is no number, too few
    cores), LockedError where the run is being trained elsewhere, StorageError and IntegrityError.
    """
    if config.num_workers > 1 and config.engine == "local":
        raise UsageError(f"--num-workers {config.num_workers} needs --engine ray")
    pseudo = pseudo_fakes(config)
    require_teacher(config.model, given=config.teacher is not None)
    choice, media, teaching = _resolve(config, workspace, say)
    say(_data_line(media))
    if media.validation:
        say(media.halved)
    for note in media.notes:
        say(note)
    job = _job(config, workspace, choice, media, teaching, pseudo)
    if teaching:
        teaching.under(teaching.load(), job.build())
        say(teaching.line)
    new = not job.folder.exists()
    job.folder.mkdir(parents=True, exist_ok=True)
    with RunLock(job.folder / "_lock"):
        said, origin = _bind(job, config, choice, media)
        if is_finished(job.folder):
            return _clean(job, say, origin)
        say(said)
        console = _Console(say, advance)
        try:
            source = job.faces(verify=True)
            chosen = select(job, source.table)
            media.notes.extend(_say_selection(job, workspace, media, source.table, chosen, say))
            _run(job, config, say, console)
        except BaseException:
            if new and not console.stepped:
                _forget(job.folder)
            raise
        result = finish(Run(job, config, choice, media, source, chosen, origin), say)
    log.note(workspace, "train", result.provenance, [job.folder / checkpoint.HASHES], run=job.folder.name)
    return result


def run_digest(config: TrainConfig, workspace: Workspace) -> str:
    """What `train` would bind a run of these settings to, here and now; raises as it does before it trains."""
    return _digest(config, *_resolve(config, workspace, _silent))


def _silent(line: str) -> None:
    """Where what is said was said before."""


def _resolve(
    config: TrainConfig, workspace: Workspace, say: Say
) -> tuple[Choice, TrainingMedia, Teaching | None]:
    """Recipe, media and teacher of a run."""
    teacher = _teacher(config, workspace)
    choice = choose(config, _cuda(config, say))
    say(choice.line)
    media = choose_media(
        workspace,
        config.data,
        config.quality,
        choice.recipe.left_out,
        config.seed,
        pseudo_fakes(config),
        splits=config.splits,
        methods=config.methods,
        halve=config.halve_validation,
    )
    teaching = _teaching(config, workspace, choice, media, teacher) if teacher else None
    return choice, media, teaching


def is_finished(folder: Path) -> bool:
    """Whether a run's folder holds a trained model."""
    return (folder / checkpoint.HASHES).exists()


def _clean(job: TrainingJob, say: Say, origin: dict[str, Any]) -> TrainResult:
    """Drop the state that a run killed in its last moment left beside the finished model."""
    try:
        metrics = checkpoint.load(job.folder).metrics
    except CheckpointError as error:
        raise IntegrityError(str(error)) from error
    shutil.rmtree(job.state)
    say(
        f"{job.folder.parent.name}/{job.folder.name} was finished already; what was left of its training is removed"
    )
    return TrainResult(job.folder, metrics, origin)


def _forget(folder: Path) -> None:
    """Remove the folder of a run that never made a step, and its parent where nothing else is there."""
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        folder.parent.rmdir()


def _cuda(config: TrainConfig, say: Say) -> bool:
    """Whether the machines that will train have a GPU."""
    if config.engine == "ray" and config.address != "local":
        environment.prepare(config.address)
        import ray

        from ffpipe.pipeline.ray_cluster import connect

        connect(config.address, available_cores(), say=say)
        return bool(ray.cluster_resources().get("GPU", 0))
    return torch.cuda.is_available()


def _data_line(media: TrainingMedia) -> str:
    def count(part: dict[str, Labelled]) -> str:
        fake = sum(medium.label for medium in part.values())
        return f"{len(part) - fake} real and {fake} fake media"

    held_out = f"validating on {count(media.validation)}" if media.validation else "no validation"
    return (
        f"training on {count(media.train)} of {', '.join(media.datasets)}; {held_out}; split: {media.split}"
    )


def _teacher(config: TrainConfig, workspace: Workspace) -> Weights | None:
    return Weights.load(find_run(config.teacher, workspace, "--teacher")) if config.teacher else None


def _teaching(
    config: TrainConfig, workspace: Workspace, choice: Choice, media: TrainingMedia, teacher: Weights
) -> Teaching:
    """Raises UsageError where the teacher reads other crops, or nothing says of which quality."""
    if teacher.crop.fingerprint() != media.crop.fingerprint():
        raise UsageError(
            f"--teacher {teacher.loaded.directory}: it reads faces cut with the settings {teacher.crop.fingerprint()}, "
            f"those of {', '.join(media.datasets)} were cut with {media.crop.fingerprint()}; train it on these"
        )
    stored = [m for name in media.datasets for m in labelled_media(workspace.dataset(name))]
    teaching = make_teaching(
        teacher, choice.recipe, config.model, stored, set(media.train), drop=config.unpaired == "drop"
    )
    if teaching.quality == media.quality:
        media.notes.append(f"teacher and student both read {media.quality}: they see the same pixels")
    if seen := seen_in_training(teacher, stored, set(media.validation)):
        media.notes.append(
            f"warning: the teacher was trained on {seen} of the {len(media.validation)} clips that validate the "
            "student, whose figures they flatter"
        )
    return teaching


def _job(
    config: TrainConfig,
    workspace: Workspace,
    choice: Choice,
    media: TrainingMedia,
    teaching: Teaching | None,
    pseudo: PseudoFakes | None,
) -> TrainingJob:
    digest = _digest(config, choice, media, teaching)
    return TrainingJob(
        folder=_run_folder(config, workspace, digest, choice.recipe.name),
        datasets=tuple(workspace.dataset(name).root for name in media.datasets),
        train=media.train,
        validation=media.validation,
        model=config.model,
        recipe=choice.recipe,
        seed=config.seed,
        limit=config.limit,
        threads=config.loader_workers,
        fit=media.crop.fit,
        teaching=teaching,
        balance=config.balance,
        pseudo=pseudo,
        pretrained=pretrained_sha256(choice.recipe),
    )


def _digest(config: TrainConfig, choice: Choice, media: TrainingMedia, teaching: Teaching | None) -> str:
    """What a run is the run of: settings, recipe as resolved on this machine, teacher, and the content of the data."""
    # Where the teacher lies is a place; its hash says what it is.
    taught = {**teaching.facts(), "run": None} if teaching else None
    parts = [config.digest(), choice.recipe.to_json(), media.data_digest, media.datasets, taught]
    # Where a split file lies is a place as well. Runs without one keep the digest that they had before there were any.
    parts += [media.splits_digest] if media.splits_digest else []
    # A run that was begun when all of validation chose its checkpoint does not go on with half of it.
    parts += [media.halved] if media.calibration else []
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _run_folder(config: TrainConfig, workspace: Workspace, digest: str, recipe: str) -> Path:
    """The named run, else the newest of this digest that has something left to do, else a new one."""
    if config.run is not None:
        folder = workspace.model_run(config.model, config.run)
        if is_finished(folder) and not _has_state(folder):
            raise UsageError(f"--run {config.run}: {folder} is finished already; choose another name")
        return folder
    runs = workspace.model_run(config.model, "x").parent
    unfinished = [
        path
        for path in sorted(runs.glob("*/job.json"), key=lambda p: p.stat().st_mtime_ns, reverse=True)
        if (not is_finished(path.parent) or _has_state(path.parent)) and stored_digest(path) == digest
    ]
    if unfinished:
        return unfinished[0].parent
    taken = {path.name for path in runs.glob("*")} if runs.exists() else set()
    number = next(n for n in range(1, len(taken) + 2) if f"{recipe}-{n:03d}" not in taken)
    return runs / f"{recipe}-{number:03d}"


def _has_state(folder: Path) -> bool:
    """Whether what resuming needs is there; a finished run has dropped it, unless it was killed just before."""
    return (folder / STATE).exists()


def stored_digest(path: Path) -> str | None:
    """What the run of this job.json is bound to; None where nothing can be read."""
    try:
        return str(json.loads(path.read_bytes()).get("digest"))
    except (OSError, ValueError, AttributeError):
        return None


def _bind(
    job: TrainingJob, config: TrainConfig, choice: Choice, media: TrainingMedia
) -> tuple[str, dict[str, Any]]:
    """Tie the run's folder to its configuration; a line that says whether it is new, and the provenance."""
    resumed = (job.state / "state.json").exists()
    configuration = {**config.resolved(), "recipe": choice.recipe.name}
    taught = [job.teaching.facts()["model_id"]] if job.teaching else []
    began = {"pretrained_sha256": job.pretrained} if job.pretrained else {}
    origin = provenance.collect(
        config,
        configuration,
        weights=[*taught, *began.values()],
        seed=config.seed,
        device=device_name("cuda" if _cuda(config, _silent) else "cpu"),
        fit=job.fit,
        **began,
    )
    facts = {
        "configuration": configuration,
        "recipe": choice.recipe.to_json(),
        "datasets": media.datasets,
        "bound": {**config.bound(), "splits": media.splits_digest},
        "provenance": origin,
    }
    facts |= began
    stored = bind_job(
        job.folder, _digest(config, choice, media, job.teaching), facts, "choose another name with --run"
    )
    if stored.get("pretrained_sha256", job.pretrained) != job.pretrained:
        raise ConfigMismatch(
            f"--pretrained {choice.recipe.pretrained}: was replaced since {job.folder} began with it; choose another "
            "name with --run"
        )
    where = f"{job.folder.parent.name}/{job.folder.name}"
    said = f"going on with the interrupted run {where}" if resumed else f"new run {where}"
    # A run that was begun by an older version has none stored.
    return said, {**origin, "started": stored.get("provenance", origin)["started"]}


def _say_selection(
    job: TrainingJob,
    workspace: Workspace,
    media: TrainingMedia,
    table: FaceTable,
    chosen: Selection,
    say: Say,
) -> list[str]:
    """Say what the faces are; returns what the model card should repeat."""
    real, fake = table.classes(chosen.train)
    said = f"faces: {real} real and {fake} fake to train on{draws_in_words(chosen.parts)}"
    say(f"{said}, {len(chosen.validation)} to validate with")
    notes = []
    if chosen.unpaired and job.teaching:
        notes.append(
            f"left out by --unpaired drop: {counted(chosen.unpaired, 'face')} without a pair at {job.teaching.quality}"
        )
    wanted = job.recipe.frames_per_video
    # Still images have one frame each, and no other way of extracting them gives more.
    stills = media.crop.kind != "face" and chosen.frames_found == 1
    if chosen.frames_found < wanted and not stills:
        notes.append(
            f"the recipe takes up to {counted(wanted, 'frame')} a video, but at most {chosen.frames_found} "
            f"{'was' if chosen.frames_found == 1 else 'were'} extracted"
        )
    if chosen.downscaled:
        notes.append(
            f"{chosen.downscaled} of {len(chosen.train)} training crops were larger than the store size: "
            f"{'with pseudo-fakes' if job.pseudo else 'where such a face is augmented,'} its statistics come from the "
            "downscaled crop"
        )
    for note in notes:
        say(note)
    if chosen.frames_found < wanted and not stills:
        for command in more_frames(workspace, media.datasets, wanted):
            say(f"for more frames: {command} (another --name instead of --overwrite keeps what is there)")
    return notes


class _Console(Observer):
    """Tells the user of steps and epochs."""

    def __init__(self, say: Say, advance: Advance | None) -> None:
        self._say, self._advance = say, advance
        self.stepped = False

    def step(self, progress: Progress, total_step: int) -> None:
        self.stepped = True
        if self._advance:
            self._advance(
                total_step,
                progress.epochs * progress.steps,
                f"epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3f}, {progress.rate:.1f} faces/s",
            )

    def epoch(self, entry: dict[str, Any], total_step: int) -> None:
        figures = f"epoch {entry['epoch']}: train loss {entry['train_loss']:.4f}{_parts(entry)}"
        if "val_loss" in entry:
            area, video = (
                "undefined" if entry[key] is None else f"{entry[key]:.3f}"
                for key in ("val_auc", "val_video_auc")
            )
            figures += f", validation loss {entry['val_loss']:.4f}, AUC {area} (frames), {video} (videos)"
        self._say(f"{figures}, {duration(entry['seconds'])}")


def _parts(entry: dict[str, Any]) -> str:
    """What the loss is made of, where it is made of several."""
    parts = {name.removeprefix("train_"): value for name, value in entry.items() if name.startswith("train_")}
    shown = ", ".join(f"{name} {value:.4g}" for name, value in parts.items() if name != "loss")
    return f" ({shown})" if shown else ""


def _run(job: TrainingJob, config: TrainConfig, say: Say, observer: Observer) -> None:
    if config.engine == "ray":
        environment.prepare(config.address)
        from ffpipe.pipeline.ray_training import train_on_ray

        train_on_ray(job, config.num_workers, config.address, available_cores(), say, observer)
    else:
        work(job, torch.device("cuda" if torch.cuda.is_available() else "cpu"), say, observer)
