"""The arithmetic that scoring uses: measured when a model is trained, and timed anew on other machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ffpipe.manifests.shards import write_atomic
from ffpipe.models.detector import Detector
from ffpipe.models.sida import SIDA_SIZE
from ffpipe.pipeline.batches import EvalBatches
from ffpipe.pipeline.provenance import processor
from ffpipe.stages.arithmetic import REFERENCE, Arithmetic
from ffpipe.stages.tuning import TOLERANCE, Inputs, Trial, fastest, try_all

#: What `--arithmetic` says for the fastest one within the tolerance.
AUTO = "auto"

#: Validation faces whose scores are compared.
FACES = 64
#: The same on the processor after training on a GPU: large networks take a second a face there.
FEWER_FACES = 16
#: Made-up faces that are timed on a machine that is not the one of the comparison.
_TIMED_BATCHES, _TIMED_FACES = 2, 8
#: Instructions that decide how fast bfloat16 is.
_FLAGS = ("avx512_bf16", "amx_bf16")


def machine(device: torch.device) -> str:
    """What the speed of arithmetic depends on, in words: the processor or GPU, and torch's version."""
    torch_version = f"torch {torch.__version__.split('+')[0]}"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {torch_version}"
    name, flags = processor()
    fast = [flag for flag in _FLAGS if flag in flags]
    return ", ".join([name, torch.backends.cpu.get_cpu_capability(), *fast, torch_version])


def device_name(kind: str) -> str:
    """What a kind of device is called in provenance: the GPU's name, or "cpu"."""
    return torch.cuda.get_device_name() if kind == "cuda" and torch.cuda.is_available() else kind


def measure_all(model: Detector, batches: EvalBatches, device: torch.device) -> dict[str, dict[str, Any]]:
    """`measure` on the device of training and, of fewer faces, on the processor, where the model may be used as well.

    By kind of device. The model stays on `device`.
    """
    found = {device.type: measure(model, batches, device)}
    if device.type != "cpu":
        found["cpu"] = measure(model, batches, torch.device("cpu"), FEWER_FACES)
        model.to(device)
    return found


def measure(
    model: Detector, batches: EvalBatches, device: torch.device, faces: int = FACES
) -> dict[str, Any]:
    """Compare all arithmetics on up to `faces` validation faces, evenly drawn; the record that goes with the weights.

    `chosen` is the fastest one whose scores are within TOLERANCE of eager float32's.
    """
    wanted = max(1, faces // batches.batch_size)
    steps = [batches.steps * k // wanted for k in range(wanted)] if batches.steps > wanted else None
    # Only a single batch can be larger than what is asked for.
    inputs: list[Inputs] = [
        (batch.image[:faces], None if batch.sida is None else batch.sida[:faces])
        for _, batch in batches.batches(steps)
    ]
    trials = try_all(model, inputs, device)
    return {
        "machine": machine(device),
        "tolerance": TOLERANCE,
        "faces": sum(len(image) for image, _ in inputs),
        "chosen": fastest(trials).arithmetic,
        "trials": [trial.to_json() for trial in trials],
    }


def choose(
    asked: str, config: dict[str, Any], model: Detector, device: torch.device, model_id: str, cache: Path
) -> tuple[Arithmetic, str]:
    """The arithmetic to score with, and why, in words.

    As asked by name; else what was chosen when the model was trained, where this is such a machine; else the
    fastest here of those that were near enough then, timed once and remembered in the file `cache`. Eager float32
    for a kind of device on which nothing was compared. Raises ValueError for an unknown name.
    """
    if asked != AUTO:
        return Arithmetic.parse(asked), "asked for"
    record = config.get("arithmetic", {}).get(device.type)
    if record is None:
        return REFERENCE, f"no other was compared with it on a {device.type} device"
    within = f"scores within {record['tolerance']:g} of eager float32's on {record['faces']} validation faces"
    here = machine(device)
    if record["machine"] == here:
        return Arithmetic.parse(record["chosen"]), within
    near = {t.arithmetic: t.difference for t in map(Trial.from_json, record["trials"]) if t.accepted}
    key = f"{model_id} {here}"
    known = _remembered(cache)
    if known.get(key) not in near:
        known[key] = _fastest_here(model, near, device)
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(cache, json.dumps(known, indent=1, sort_keys=True).encode())
    return Arithmetic.parse(known[key]), f"{within}; the fastest of those on this machine"


def _remembered(cache: Path) -> dict[str, str]:
    """What was timed before; a damaged file is timed anew."""
    with suppress(OSError, ValueError):
        stored = json.loads(cache.read_bytes())
        if isinstance(stored, dict):
            return {str(key): str(value) for key, value in stored.items()}
    return {}


def _fastest_here(model: Detector, differences: Mapping[str, float], device: torch.device) -> str:
    """Of the arithmetics whose differences were near enough on faces; only seconds are this machine's."""
    size = model.spec.input_size
    generator = torch.Generator().manual_seed(0)
    inputs: list[Inputs] = [
        (
            torch.rand(_TIMED_FACES, 3, size, size, generator=generator),
            torch.rand(_TIMED_FACES, SIDA_SIZE, generator=generator) if model.spec.needs_sida else None,
        )
        for _ in range(_TIMED_BATCHES)
    ]
    timed = try_all(model, inputs, device, [Arithmetic.parse(name) for name in differences])
    return fastest([replace(trial, difference=differences[trial.arithmetic]) for trial in timed]).arithmetic
