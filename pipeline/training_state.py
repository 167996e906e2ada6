"""An interrupted training run on disk: tensors as safetensors, the rest as JSON, no pickle, never half written.

`state.json` is the single file that counts. It names the tensor files with their sha256, and carries a hash of
itself; it is replaced atomically after the tensors are safe, and what it no longer names is then deleted.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import IntegrityError, StorageError
from ffpipe.models import tensors as safe

_PART = "losses."


@dataclass(slots=True)
class Position:
    """Where a run stands: the next step, what was measured so far, and which weights were best.

    history has one entry per finished epoch; losses one per step of all epochs, and parts the same of each named
    part of the loss. best is the entry of the best
    epoch; best_file its weights, and best_sha256 the hash of that file.
    """

    epoch: int = 0
    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    parts: dict[str, list[float]] = field(default_factory=dict)
    best: dict[str, Any] | None = None
    best_file: str | None = None
    best_sha256: str | None = None
    finished: bool = False


def save(folder: Path, position: Position, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    """Replace the stored state. Raises StorageError (disk full, read-only); the old state is then intact."""
    name = f"state-{position.epoch:04d}-{position.step:08d}.safetensors"
    content = {**tensors, "losses": torch.tensor(position.losses, dtype=torch.float64)}
    content |= {
        f"{_PART}{name}": torch.tensor(values, dtype=torch.float64) for name, values in position.parts.items()
    }
    sha256 = write_tensors(folder / name, content)
    stored = {k: v for k, v in asdict(position).items() if k not in ("losses", "parts")}
    body = {"position": stored, "scalars": dict(scalars), "tensors": name, "sha256": sha256}
    text = json.dumps(body, sort_keys=True)
    _replace(
        folder / "state.json", json.dumps({"hash": _digest(text), "body": body}, sort_keys=True).encode()
    )
    for old in folder.glob("*.safetensors"):
        if old.name not in (name, position.best_file):
            old.unlink()


def load(folder: Path) -> tuple[Position, dict[str, Tensor], dict[str, Any]] | None:
    """The stored state, or None where there is none. Raises IntegrityError naming a damaged file."""
    path = folder / "state.json"
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_bytes())
        body = stored["body"]
        if stored["hash"] != _digest(json.dumps(body, sort_keys=True)):
            raise ValueError("its content does not match its hash")
        position = Position(**body["position"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise IntegrityError(
            f"{path}: damaged training state: {error}; delete the run to start over"
        ) from None
    if position.best_file is not None:
        _check(folder / position.best_file, position.best_sha256)
    _check(folder / body["tensors"], body["sha256"])
    tensors = read_tensors(folder / body["tensors"])
    position.losses = tensors.pop("losses").tolist()
    names = [name for name in tensors if name.startswith(_PART)]
    position.parts = {name.removeprefix(_PART): tensors.pop(name).tolist() for name in names}
    return position, tensors, body["scalars"]


def load_best(folder: Path, position: Position) -> dict[str, Tensor]:
    """The best epoch's weights. Raises IntegrityError naming a damaged file, StorageError before the first epoch."""
    if position.best_file is None:
        raise StorageError(f"{folder}: training ended without a stored result")
    _check(folder / position.best_file, position.best_sha256)
    return read_tensors(folder / position.best_file)


def _check(path: Path, sha256: str | None) -> None:
    if not path.exists() or sha256_file(path) != sha256:
        raise IntegrityError(
            f"{path}: content differs from what state.json recorded; delete the run to start over"
        )


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write a safetensors file so that it appears whole or not at all; its sha256. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        sha256 = sha256_file(temporary)
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error}") from error
    return sha256


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file. Raises IntegrityError."""
    try:
        return safe.load(path)
    except (OSError, ValueError) as error:
        raise IntegrityError(f"{path}: cannot be read: {error}") from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def pack_optimizer(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimiser's state as named tensors and JSON scalars."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{index}.{key}"] = value
            else:
                scalars.setdefault(str(index), {})[key] = value
    return tensors, {"state": scalars, "groups": state["param_groups"]}


def unpack_optimizer(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]
) -> None:
    """Give an optimiser back what `pack_optimizer` took from it."""
    state: dict[int, dict[str, Any]] = {int(i): dict(values) for i, values in scalars["state"].items()}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, key = rest.partition(".")
            state.setdefault(int(index), {})[key] = tensor
    groups = [{k: tuple(v) if k == "betas" else v for k, v in group.items()} for group in scalars["groups"]]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def pack_weights(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and buffers, by name."""
    return {f"model.{name}": tensor for name, tensor in model.state_dict().items()}


def unpack_weights(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model back what `pack_weights` took from it."""
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})


def pack_random() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of this process's random generators: torch on CPU and CUDA, NumPy, Python."""
    tensors = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    kind, keys, place, has_gauss, gauss = np.random.get_state(legacy=True)
    tensors["numpy"] = torch.from_numpy(np.asarray(keys).astype(np.int64))
    version, words, following = random.getstate()
    python = {"version": version, "words": list(words), "next": following}
    return tensors, {"numpy": [kind, int(place), int(has_gauss), float(gauss)], "python": python}


def unpack_random(tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
    """Put this process's random generators where `pack_random` found them."""
    torch.set_rng_state(tensors["cpu"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    kind, place, has_gauss, gauss = scalars["numpy"]
    np.random.set_state((kind, tensors["numpy"].numpy().astype(np.uint32), place, has_gauss, gauss))
    python = scalars["python"]
    random.setstate((python["version"], tuple(python["words"]), python["next"]))
