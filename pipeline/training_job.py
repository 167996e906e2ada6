"""What one training worker does, in this process or under Ray: faces, model, loop, and the final validation."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import nn

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.shards import ShardGroup, write_atomic
from ffpipe.models.detector import Detector
from ffpipe.models.pretrained import TIMM_WEIGHTS
from ffpipe.models.registry import create_detector
from ffpipe.pipeline import training_state
from ffpipe.pipeline.arithmetic_choice import measure_all
from ffpipe.pipeline.balance import Balance, Part, PseudoFakes, entries, parts_of_epoch
from ffpipe.pipeline.batches import EvalBatches, NetworkInput, Pairs, TrainBatches, sida_batches
from ffpipe.pipeline.faces import (
    FaceTable,
    Rows,
    at_most,
    largest_per_frame,
    most_frames,
    rows_of_media,
    spread_frames,
)
from ffpipe.pipeline.loader import Labelled, ShardFaces
from ffpipe.pipeline.objectives import Distil, Objective, Supervised
from ffpipe.pipeline.pairs import UNPAIRED, bytes_with_pairs
from ffpipe.pipeline.recipes import Recipe
from ffpipe.pipeline.sampler import POOL_BYTES, Sampler
from ffpipe.pipeline.teaching import Teaching
from ffpipe.pipeline.tensorboard import EventFiles
from ffpipe.pipeline.training_loop import (
    LoopResult,
    LoopSettings,
    Observer,
    TrainingLoop,
    seed_everything,
)
from ffpipe.pipeline.training_pace import estimate_seconds
from ffpipe.pipeline.validation import Logits, Validation, score_faces
from ffpipe.stages.window import Fit

#: Seconds between stored states within an epoch; a killed run redoes at most that much.
SAVE_SECONDS = 60.0

#: Threads that load faces for one GPU, where there are cores enough.
_GPU_LOADERS = 8
#: Folder of a run that holds what resuming needs.
STATE = "state"
_LOGITS, _ARITHMETIC = "validation.safetensors", "arithmetic.json"


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training run, complete and picklable; the same on every worker.

    folder: of the run; its `state` holds what resuming needs. datasets: the folders of their shards.
    limit: most faces an epoch. threads: that load faces ahead, a worker; None leaves it to `work`. fit: how the
    stored pictures become the network's input. teaching: who teaches the detector; None where it learns alone.
    pseudo: fakes that are made of real faces; None for none. pretrained: sha256 of the file to start from.
    """

    folder: Path
    datasets: tuple[Path, ...]
    train: dict[str, Labelled]
    validation: dict[str, Labelled]
    model: str
    recipe: Recipe
    seed: int
    limit: int | None = None
    threads: int | None = None
    fit: Fit = "resize"
    teaching: Teaching | None = None
    balance: Balance = "recipe"
    pseudo: PseudoFakes | None = None
    pretrained: str | None = None

    @property
    def state(self) -> Path:
        """Folder of what resuming needs."""
        return self.folder / STATE

    def faces(self, verify: bool) -> ShardFaces:
        """The faces of train and validation, and those that a teacher reads, in one source."""
        groups = [ShardGroup(root, "media", ["faces"]) for root in self.datasets]
        taught = self.teaching.media if self.teaching else {}
        return ShardFaces.index(groups, {**taught, **self.train, **self.validation}, verify=verify)

    def build(self) -> Detector:
        """The detector with its first weights, drawn from the seed. Raises UsageError where their file was replaced."""
        seed_everything(self.seed)
        if self.pretrained is not None and pretrained_sha256(self.recipe) != self.pretrained:
            raise UsageError(f"--pretrained {self.recipe.pretrained}: was replaced since the run began")
        return create_detector(self.model, self.recipe.pretrained, **self.recipe.options)

    def network(self, model: Detector) -> NetworkInput:
        """What the detector reads of the stored pictures."""
        return NetworkInput(model.spec.input_size, model.spec.needs_sida, self.fit)


@dataclass(frozen=True, slots=True)
class Selection:
    """The faces that a run uses; rows of a table. parts: how often an epoch draws them, and as what.

    pairs: for each face of the table the row of its pair, under a teacher. unpaired: training faces left out since
    they have none.
    """

    train: Rows
    validation: Rows
    parts: tuple[Part, ...]
    frames_found: int
    downscaled: int
    pairs: Rows | None = None
    unpaired: int = 0


def select(job: TrainingJob, table: FaceTable) -> Selection:
    """Largest face of each frame for training, all faces for validation, as many frames as the recipe takes.

    Raises UsageError where fewer than two faces or one class are left to train on, or faces have no pair.
    """
    frames = job.recipe.frames_per_video
    train = rows_of_media(table, list(job.train))
    found = most_frames(table, train)
    teaching, unpaired = job.teaching, 0
    pairs = teaching.pairs(table) if teaching else None
    if teaching and teaching.drop and pairs is not None:
        paired = train[pairs[train] != UNPAIRED]
        train, unpaired = paired, len(train) - len(paired)
    train = largest_per_frame(table, spread_frames(table, train, frames))
    validation = spread_frames(table, rows_of_media(table, list(job.validation)), frames)
    if job.limit is not None:
        train = at_most(table, train, max(2, job.limit), job.seed)
        validation = at_most(table, validation, job.limit, job.seed) if len(validation) else validation
    labels = set(table.label[train].tolist())
    if labels != {0, 1} and not (job.pseudo and 0 in labels):
        raise UsageError("training needs faces of both classes, and the data have none of one")
    if teaching and pairs is not None:
        teaching.require_pairs(table, train, pairs)
    parts = parts_of_epoch(table, train, job.balance, job.recipe.balance, job.pseudo)
    return Selection(train, validation, parts, found, table.downscaled(train), pairs, unpaired)


def prepare(
    job: TrainingJob,
    source: ShardFaces,
    network: NetworkInput,
    world: int = 1,
    rank: int = 0,
    threads: int = 0,
    taught: NetworkInput | None = None,
) -> tuple[TrainBatches, Validation | None]:
    """The batches of one rank, with pairs where a teacher reads them as `taught` says.

    Raises UsageError where there are fewer batches than ranks.
    """
    table = source.table
    chosen = select(job, table)
    pairs = None if taught is None or chosen.pairs is None else Pairs(chosen.pairs, taught)
    block_bytes = table.block_bytes if pairs is None else bytes_with_pairs(table, chosen.train, pairs.rows)
    # A pool may exceed its bound by one unit, and the reader's memory has room for one block.
    beyond = int(block_bytes.max(initial=0) - table.block_bytes.max(initial=0))
    drawn = entries(chosen.parts)
    sampler = Sampler(
        rows=drawn.rows,
        blocks=table.block[drawn.rows],
        copies=drawn.copies,
        block_bytes=block_bytes,
        batch_size=job.recipe.batch_size,
        seed=job.seed,
        pool_bytes=max(1, POOL_BYTES - beyond),
        world=world,
        part=drawn.part,
        extra=drawn.extra,
        blended=drawn.blended,
    )
    if not sampler.steps:
        raise UsageError(
            f"{sampler.draws} faces make {sampler.batches} batches of {job.recipe.batch_size}, too few for "
            f"--num-workers {world}"
        )
    batches = TrainBatches(
        source, sampler, network, job.recipe.augmentation, threads, rank, pairs, job.pseudo is not None
    )
    if not len(chosen.validation):
        return batches, None
    held_out = EvalBatches(source, chosen.validation, network, job.recipe.batch_size, threads)
    return batches, Validation(held_out)


def work(
    job: TrainingJob,
    device: torch.device,
    say: Callable[[str], None],
    observer: Observer,
    wrap: Callable[[nn.Module], nn.Module] | None = None,
) -> LoopResult:
    """Train to the end, then score the validation faces with the best weights and store their logits."""
    world, rank = (dist.get_world_size(), dist.get_rank()) if dist.is_initialized() else (1, 0)
    model = job.build()
    objective, taught = _objective(job, model)
    threads = loading_threads(job, gpu=device.type == "cuda")
    source = job.faces(verify=False)
    train, validation = prepare(job, source, job.network(model), world, rank, threads, taught)
    settings = _settings(job, device)
    new = training_state.load(job.state) is None
    if new:
        # On every rank, with the same faces; a run that goes on finds what was measured among its weights.
        model.fit_statistics(sida_batches(train.source, np.unique(train.sampler.rows)))
    if rank == 0 and new:
        seconds = estimate_seconds(
            model, train, validation, objective, settings.epochs, device, settings.precision
        )
        seconds /= world
        say(
            f"training will take about {duration(seconds)}: {counted(settings.epochs, 'epoch')} of "
            f"{counted(train.steps, 'step')}"
        )
    watching = [observer]
    if rank == 0:
        watching.append(EventFiles(job.folder / "tensorboard"))
    loop = TrainingLoop(model, train, validation, settings, job.state, _Several(watching), wrap, objective)
    result = loop.run()
    if validation is not None:
        training_state.unpack_weights(model, training_state.load_best(job.state, loop.position))
        # In the reference's arithmetic: which one is fastest is a matter of timing, and figures have to repeat.
        logits = score_faces(model, validation.batches, device)
        if rank == 0:
            training_state.write_tensors(job.state / _LOGITS, {"logits": torch.from_numpy(logits)})
            found = measure_all(model, validation.batches, device)
            write_atomic(job.state / _ARITHMETIC, json.dumps(found).encode())
    return result


def _objective(job: TrainingJob, model: Detector) -> tuple[Objective, NetworkInput | None]:
    """What the run minimises, and what a teacher is fed, where one teaches."""
    if job.teaching is None:
        return Supervised(), None
    teacher = job.teaching.load()
    return Distil(job.teaching.under(teacher, model)), job.network(teacher)


def pretrained_sha256(recipe: Recipe) -> str | None:
    """The sha256 of the file that a recipe starts from, hex; None where it is no file. Raises UsageError."""
    if recipe.pretrained is None or recipe.pretrained in TIMM_WEIGHTS:
        return None
    try:
        return sha256_file(recipe.pretrained)
    except OSError as error:
        raise UsageError(f"--pretrained {recipe.pretrained}: cannot be read: {error.strerror}") from None


def arithmetic_record(job: TrainingJob) -> dict[str, Any]:
    """What `work` found of the arithmetics, by kind of device; empty where there was no validation."""
    path = job.state / _ARITHMETIC
    return dict(json.loads(path.read_bytes())) if path.exists() else {}


def validation_logits(job: TrainingJob) -> Logits:
    """The logits that `work` stored. Raises IntegrityError."""
    logits: Logits = training_state.read_tensors(job.state / _LOGITS)["logits"].numpy()
    return logits


def _settings(job: TrainingJob, device: torch.device) -> LoopSettings:
    recipe = job.recipe
    return LoopSettings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        optimiser=recipe.optimiser,
        momentum=recipe.momentum,
        schedule=recipe.schedule,
        seed=job.seed,
        device=str(device),
        # On CPU bfloat16 gained too little over float32 to be worth its rounding (benchmarks/training.py).
        precision="bfloat16" if device.type == "cuda" else "float32",
        accumulate=recipe.accumulate,
        patience=recipe.patience,
        save_seconds=SAVE_SECONDS,
    )


class _Several(Observer):
    """Passes everything on to several observers."""

    def __init__(self, observers: list[Observer]) -> None:
        self._observers = observers

    def begin(self, first_step: int) -> None:
        for observer in self._observers:
            observer.begin(first_step)

    def step(self, progress: Any, total_step: int) -> None:
        for observer in self._observers:
            observer.step(progress, total_step)

    def epoch(self, entry: dict[str, Any], total_step: int) -> None:
        for observer in self._observers:
            observer.epoch(entry, total_step)

    def end(self) -> None:
        for observer in self._observers:
            observer.end()


def duration(seconds: float) -> str:
    """A time span in words, such as `40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def counted(number: int, noun: str) -> str:
    """A number of things in words: `1 epoch`, `2 epochs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def loading_threads(job: TrainingJob, gpu: bool) -> int:
    """Threads that load ahead: as asked, else enough to feed a GPU; on a CPU they would only take its cores."""
    if job.threads is not None:
        return job.threads
    return min(_GPU_LOADERS, max(1, len(os.sched_getaffinity(0)) - 1)) if gpu else 0


def threads_here(cores: int) -> int:
    """Threads for torch: what OMP_NUM_THREADS asks for, else every core that the worker has."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else max(1, cores)
