"""What stops a training worker, carried from the worker to the user: as one line, and with its place for a bug."""

from __future__ import annotations

import contextlib
import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.distributed as dist

from ffpipe.manifests.errors import FfpipeError, StorageError, UsageError

#: How torch's collectives name themselves in what they raise when a neighbour is gone.
_COLLECTIVE_WORDS = ("gloo", "nccl", "connection closed by peer", "connection reset by peer")


class TrainingBug(Exception):
    """An unexpected error of a training worker in one line; its cause holds the worker's traceback."""


class WorkerTraceback(Exception):
    """A traceback of another process, as text."""


def explained(error: Exception) -> FfpipeError | None:
    """The error in words that tell the user what to mend; None for what only the program's author can."""
    if isinstance(error, FfpipeError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        return UsageError(
            f"the GPU's memory does not suffice; give a smaller --batch-size ({_one_line(error)})"
        )
    if isinstance(error, OSError):
        return StorageError(f"{error.filename or 'input/output'}: {error.strerror or error}")
    return None


def is_lost_neighbour(error: Exception) -> bool:
    """Whether a rank stopped only because another one is gone."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _COLLECTIVE_WORDS)


def record(path: Path, error: Exception) -> None:
    """Write down what stopped a worker, unless another worker was first. Raises OSError."""
    known = explained(error)
    failure = {
        "kind": type(known).__name__ if known else None,
        "message": known.message if known else _one_line(error),
        "traceback": "".join(traceback.format_exception(error)),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(failure))
    # What stopped the first worker is what stopped the others.
    with contextlib.suppress(FileExistsError):
        os.link(temporary, path)
    temporary.unlink()


def raise_recorded(path: Path) -> None:
    """Raise what `record` wrote, if it did: an FfpipeError of the same kind, or a TrainingBug."""
    if not path.exists():
        return
    failure = json.loads(path.read_text())
    cause = WorkerTraceback("\n" + failure["traceback"])
    if failure["kind"] is None:
        raise TrainingBug(failure["message"]) from cause
    kinds = {kind.__name__: kind for kind in _kinds(FfpipeError)}
    raise kinds.get(failure["kind"], FfpipeError)(failure["message"]) from cause


def _kinds(base: type[FfpipeError]) -> Iterator[type[FfpipeError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds(kind)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
