"""Training on Ray Train: one process per rank, restarted from the stored state when one dies."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

from ffpipe.manifests.errors import FfpipeError, UsageError
from ffpipe.pipeline.ray_engine import connect
from ffpipe.pipeline.training_job import TrainingJob, loading_threads, threads_here, work
from ffpipe.pipeline.training_loop import Observer, Progress

#: Restarts after a lost worker; each goes on from the stored state.
MAX_RESTARTS = 3
#: Seconds between two progress lines of a worker, and between two looks of the driver.
_TELL_SECONDS = 0.5

_MESSAGES, _FAILURE = "messages.jsonl", "failure.json"


def train_on_ray(
    job: TrainingJob, workers: int, address: str, cores: int, say: Callable[[str], None], observer: Observer
) -> None:
    """Run a training job on Ray Train; its results are in the job's folder, which all nodes must share.

    Raises UsageError where the cluster has too few cores or GPUs for the workers, and what the job raised.
    """
    owner = connect(address, cores, torch.cuda.device_count() if address == "local" else None)
    try:
        scaling = _scaling(workers, loading_threads(job, gpu=True))
        storage = job.state / "ray"
        shutil.rmtree(storage, ignore_errors=True)
        (job.state / _FAILURE).unlink(missing_ok=True)
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"job": job, "cores": scaling.resources_per_worker["CPU"]},
            scaling_config=scaling,
            run_config=RunConfig(
                name=job.folder.name,
                storage_path=str(storage),
                failure_config=FailureConfig(max_failures=MAX_RESTARTS),
            ),
        )
        with _listening(job.state / _MESSAGES, say, observer):
            trainer.fit()
        shutil.rmtree(storage, ignore_errors=True)
    finally:
        if owner:
            ray.shutdown()
    _raise_failure(job.state / _FAILURE)


def _scaling(workers: int, threads: int) -> ScalingConfig:
    """An equal share of the cluster for each worker, and a GPU each where there are any."""
    there = ray.cluster_resources()
    cores, gpus = int(there.get("CPU", 0)), int(there.get("GPU", 0))
    if workers > cores or 0 < gpus < workers:
        raise UsageError(f"--num-workers {workers}: the cluster has {cores} cores and {gpus} GPUs")
    share = cores // workers if not gpus else min(cores // workers, 1 + threads)
    return ScalingConfig(
        num_workers=workers,
        use_gpu=gpus > 0,
        resources_per_worker={"CPU": share, **({"GPU": 1} if gpus else {})},
    )


def _worker(config: dict[str, Any]) -> None:
    """One rank. What the user can mend is written down instead of raised, since Ray would only try it again."""
    job: TrainingJob = config["job"]
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    torch.set_num_threads(threads_here(int(config["cores"])))
    told = _Teller(job.state / _MESSAGES) if rank == 0 else None
    try:
        work(
            job,
            ray.train.torch.get_device(),
            told.say if told else _silent,
            told or Observer(),
            ray.train.torch.prepare_model if world > 1 else None,
        )
    except FfpipeError as error:
        if world > 1:
            raise
        failure = {"kind": type(error).__name__, "message": error.message}
        (job.state / _FAILURE).write_text(json.dumps(failure))


def _silent(_: str) -> None:
    """What ranks other than the first have to say."""


class _Teller(Observer):
    """Appends what the driver should hear to a file, since the driver may be on another machine."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1)
        self._told = 0.0

    def say(self, text: str) -> None:
        self._write({"say": text})

    def step(self, progress: Progress, total_step: int) -> None:
        last = progress.step == progress.steps
        if last or time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self._write({"progress": asdict(progress), "total": total_step})

    def epoch(self, entry: dict[str, Any], total_step: int) -> None:
        self._write({"epoch": entry, "total": total_step})

    def _write(self, message: dict[str, Any]) -> None:
        self._file.write(json.dumps(message) + "\n")


@contextmanager
def _listening(path: Path, say: Callable[[str], None], observer: Observer) -> Iterator[None]:
    """Pass on what workers append to the file, until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    done = threading.Event()

    def listen() -> None:
        with path.open() as file:
            rest = ""
            while True:
                last = done.is_set()
                rest += file.read()
                *lines, rest = rest.split("\n")
                for line in lines:
                    _pass_on(json.loads(line), say, observer)
                if last:
                    return
                done.wait(_TELL_SECONDS)

    thread = threading.Thread(target=listen, name="training messages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _pass_on(message: dict[str, Any], say: Callable[[str], None], observer: Observer) -> None:
    if "say" in message:
        say(message["say"])
    elif "epoch" in message:
        observer.epoch(message["epoch"], message["total"])
    else:
        observer.step(Progress(**message["progress"]), message["total"])


def _raise_failure(path: Path) -> None:
    if not path.exists():
        return
    failure = json.loads(path.read_text())
    kinds = {kind.__name__: kind for kind in _kinds(FfpipeError)}
    raise kinds.get(failure["kind"], FfpipeError)(failure["message"])


def _kinds(base: type[FfpipeError]) -> Iterator[type[FfpipeError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)
