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
import ray.exceptions
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, WorkerGroupError
from ray.train.torch import TorchTrainer

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline.ray_cluster import Nodes, connect, ray_failure
from ffpipe.pipeline.training_failure import TrainingBug, explained, is_lost_neighbour, raise_recorded, record
from ffpipe.pipeline.training_job import TrainingJob, loading_threads, threads_here, work
from ffpipe.pipeline.training_loop import Observer, Progress

#: Restarts after a lost worker; each goes on from the stored state.
MAX_RESTARTS = 3
#: Seconds between two progress lines of a worker, and between two looks of the driver.
_TELL_SECONDS = 0.5
#: Seconds that a signal waits at most until the main thread sees it.
_LOOK_SECONDS = 0.2

_MESSAGES, _FAILURE = "messages.jsonl", "failure.json"


def train_on_ray(
    job: TrainingJob, workers: int, address: str, cores: int, say: Callable[[str], None], observer: Observer
) -> None:
    """Run a training job on Ray Train; its results are in the job's folder, which all nodes must share.

    Only lost workers are tried again. Raises UsageError where the cluster has too few cores or GPUs for the
    workers, what stopped the job (an FfpipeError, or TrainingBug), and KeyboardInterrupt once the workers of a
    cluster started here are gone.
    """
    owner = connect(address, cores, torch.cuda.device_count() if address == "local" else None, say)
    failure = job.state / _FAILURE
    try:
        scaling = _scaling(workers, loading_threads(job, gpu=True))
        storage = job.state / "ray"
        shutil.rmtree(storage, ignore_errors=True)
        failure.unlink(missing_ok=True)
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
            _fit(trainer, Nodes(workers))
        shutil.rmtree(storage, ignore_errors=True)
    except TrainingFailedError as error:
        raise_recorded(failure)
        raise _unwrapped(error) from error
    except ray.exceptions.RayError as error:
        raise ray_failure(error) from error
    finally:
        if owner:
            ray.shutdown()
    raise_recorded(failure)


def _fit(trainer: TorchTrainer, nodes: Nodes) -> None:
    """`trainer.fit()` in a thread: in the main one Ray would replace the handler of SIGINT by one that exits.

    Raises ClusterError where the cluster is gone, or has too few cores for too long: Ray Train would wait for ever.
    """
    raised: list[BaseException] = []

    def fit() -> None:
        try:
            trainer.fit()
        except BaseException as error:  # noqa: BLE001 - raised again in the waiting thread
            raised.append(error)

    thread = threading.Thread(target=fit, name="ray training", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_LOOK_SECONDS)
            nodes.cores()
    finally:
        nodes.settle()
    if raised:
        raise raised[0]


def _unwrapped(error: TrainingFailedError) -> Exception:
    """The first worker's error in words for the user, where there is one."""
    failures = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    first = next(iter(failures.values()), error)
    if known := explained(first):
        return known
    lines = str(first).strip().splitlines() or [""]
    return TrainingBug(
        f"Ray Train gave up after {MAX_RESTARTS} restarts: {type(first).__name__}: {lines[-1]}"
    )


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
    """One rank. What stops it is written down: Ray would try it again, and then wrap it beyond recognition.

    A rank alone then just ends. One of several raises, so that Ray ends its neighbours, who wait for it; started
    again they all find what was written, and end.
    """
    job: TrainingJob = config["job"]
    failure = job.state / _FAILURE
    if failure.exists():
        return
    context = ray.train.get_context()
    world, rank = context.get_world_size(), context.get_world_rank()
    torch.set_num_threads(threads_here(int(config["cores"])))
    try:
        told = _Teller(job.state / _MESSAGES) if rank == 0 else None
        work(
            job,
            ray.train.torch.get_device(),
            told.say if told else _silent,
            told or Observer(),
            ray.train.torch.prepare_model if world > 1 else None,
        )
    except Exception as error:
        if world > 1 and is_lost_neighbour(error):
            raise
        record(failure, error)
        if world > 1:
            raise


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
