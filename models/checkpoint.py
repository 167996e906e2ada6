"""A model directory: weights, configuration, metrics and card, each under its hash, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from ffpipe.models import tensors
from ffpipe.models.detector import LABELS, Detector
from ffpipe.models.errors import CheckpointError
from ffpipe.models.pretrained import describe_difference, listed
from ffpipe.models.registry import create_detector

FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
METRICS = "metrics.json"
CARD = "MODEL_CARD.md"
HASHES = "hashes.json"
#: Most bytes that are read of the weights and of each other file: the largest detector has 0.9 GB, and a
#: configuration that names a million media 0.1 GB.
_MAX_WEIGHTS = 8 << 30
_MAX_TEXT = 512 << 20
_CONTENT = (WEIGHTS, CONFIG, METRICS, CARD)


@dataclass(frozen=True)
class LoadedModel:
    """A detector from disk in eval mode. `model_id` is the sha256 of its weights file, hex."""

    model: Detector
    config: dict[str, Any]
    metrics: dict[str, Any]
    model_id: str
    directory: Path


def save(
    directory: Path,
    model: Detector,
    *,
    name: str,
    options: Mapping[str, object],
    extra: Mapping[str, object],
    metrics: Mapping[str, object],
    card: str,
) -> str:
    """Write `model`, which `create_detector(name, **options)` rebuilds, into `directory`; returns its model_id.

    `extra` joins the top level of config.json beside detector, options, input, labels and format_version, and may
    not reuse those names (ValueError). Numbers that are not finite are stored as null. All files are complete on
    disk before the first takes its place, and the hashes come last: a full disk leaves an older model intact, and
    what a kill leaves half replaced is refused by `load`. Other files in `directory` stay. Raises OSError.
    """
    config = _describe(model, name, options)
    clash = sorted(set(config) & set(extra))
    if clash:
        raise ValueError(f"extra may not redefine {', '.join(clash)}")
    contents = {
        WEIGHTS: _weights(model),
        CONFIG: _json({**config, **extra}),
        METRICS: _json(metrics),
        CARD: card.encode(),
    }
    hashes = {file: content_id(data) for file, data in contents.items()}
    _replace_all(directory, {**contents, HASHES: _json(hashes)})
    return hashes[WEIGHTS]


def weights_id(model: Detector) -> str:
    """The model_id that `save` gives a model."""
    return content_id(_weights(model))


def load(directory: Path, device: str | torch.device = "cpu") -> LoadedModel:
    """Read back what `save` wrote, in eval mode on `device`.

    Raises CheckpointError, naming the file, where one is missing or is not what was saved, and listing the
    difference where names, shapes or dtypes are not those of the detector.
    """
    contents = _verified(Path(directory))
    config = _parse(contents[CONFIG], Path(directory) / CONFIG)
    if config.get("format_version") != FORMAT_VERSION:
        found = config.get("format_version")
        raise CheckpointError(
            f"{directory} has format {found}, this version of ffpipe reads {FORMAT_VERSION}"
        )
    try:
        # Random weights, whatever the file says: its options may not name others, or have them fetched.
        model = create_detector(config["detector"], None, **config["options"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{directory}: {CONFIG} does not describe a known detector: {error}") from error
    _compare_contract(config, model, Path(directory) / CONFIG)
    _fill(model, contents[WEIGHTS], Path(directory) / WEIGHTS)
    return LoadedModel(
        model=model.to(device).eval(),
        config=config,
        metrics=_parse(contents[METRICS], Path(directory) / METRICS),
        model_id=content_id(contents[WEIGHTS]),
        directory=Path(directory),
    )


def stored_hash(directory: Path) -> str | None:
    """The SHA-256 that a model directory says its weights have; None for a folder that is none. `load` checks it."""
    path = Path(directory) / HASHES
    try:
        return str(_parse(_read(path), path).get(WEIGHTS))
    except (CheckpointError, ValueError):  # a name with a null byte
        return None


def _describe(model: Detector, name: str, options: Mapping[str, object]) -> dict[str, object]:
    spec = model.spec
    return {
        "format_version": FORMAT_VERSION,
        "detector": name,
        "options": dict(spec.resolve(options)),
        "labels": list(LABELS),
        "input": {
            "size": spec.input_size,
            "channels": "RGB",
            "range": [0.0, 1.0],
            "mean": list(spec.mean),
            "std": list(spec.std),
            "needs_sida": spec.needs_sida,
        },
    }


def _compare_contract(config: Mapping[str, Any], model: Detector, path: Path) -> None:
    """CheckpointError where the file promises another input or order of labels than the detector has."""
    expected = _describe(model, model.spec.name, model.options)
    for key in ("labels", "input"):
        if config.get(key) != expected[key]:
            raise CheckpointError(
                f"{path}: its {key} {str(config.get(key))[:200]} are not those of {model.spec.name}, {expected[key]}"
            )


def _weights(model: Detector) -> bytes:
    """The state dict as safetensors; a shared tensor is stored once per name, since the format knows no sharing."""
    state = {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in _state(model)
    }
    return bytes(safetensors.torch.save(state, metadata={"format": "pt"}))


def _state(model: Detector) -> list[tuple[str, Tensor]]:
    return sorted(model.state_dict().items())


def _fill(model: Detector, data: bytes, path: Path) -> None:
    try:
        found = tensors.parse(data)
    except ValueError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    difference = describe_difference(model.state_dict(), found)
    if difference:
        raise CheckpointError(
            f"{path} does not fit {model.spec.name} with the options in {CONFIG}: {difference}"
        )
    if broken := tensors.not_finite(found):
        raise CheckpointError(f"{path} holds NaN or infinity in {listed(broken)}: no score can come of it")
    model.load_state_dict(found)


def _verified(directory: Path) -> dict[str, bytes]:
    """The content of each file, after comparing it with its hash."""
    hashes = _parse(_read(directory / HASHES), directory / HASHES)
    if unknown := sorted(set(hashes) - set(_CONTENT)):
        raise CheckpointError(f"{directory / HASHES} names files that no model has: {listed(unknown)}")
    contents = {}
    for file in _CONTENT:
        data = _read(directory / file)
        if content_id(data) != hashes.get(file):
            raise CheckpointError(f"{directory / file} is damaged: its sha256 is not the one in {HASHES}")
        contents[file] = data
    return contents


def _read(path: Path) -> bytes:
    try:
        return _content(path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path} is missing: {path.parent} is not a finished model directory"
        ) from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error


def _content(path: Path) -> bytes:
    """A regular file's bytes; opening does not wait for what stands at the other end of a pipe."""
    with open(path, "rb", opener=_without_waiting) as file:  # noqa: PTH123 - Path.open takes no opener
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise CheckpointError(f"{path} is no regular file")
        limit = _MAX_WEIGHTS if path.name == WEIGHTS else _MAX_TEXT
        if found.st_size > limit:
            raise CheckpointError(f"{path} has {found.st_size} bytes; the limit is {limit}")
        return file.read()


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _parse(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds no JSON object")
    return value


def _replace_all(directory: Path, contents: Mapping[str, bytes]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    staged = {file: directory / f".{file}.{os.getpid()}.tmp" for file in contents}
    try:
        for file, data in contents.items():
            _write_synced(staged[file], data)
        for file, path in staged.items():
            path.replace(directory / file)
    finally:
        for path in staged.values():
            path.unlink(missing_ok=True)
    _sync_directory(directory)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def content_id(data: bytes) -> str:
    """The sha256 of a weights file's content, hex: what `model_id` is."""
    return hashlib.sha256(data).hexdigest()


def _json(value: Mapping[str, object]) -> bytes:
    return (json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _finite(value: object) -> object:
    """The same with null for every number that JSON cannot write."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
