"""The export job: a trained network as a file for other runtimes, checked against our scores before it is written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.shards import write_atomic
from ffpipe.models.detector import LABELS
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import ExportConfig
from ffpipe.pipeline.exporters import EXPORTERS, OUTPUT, Exporter, Inputs, Runner, graph
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.weights import Weights, choose_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.arithmetic import REFERENCE
from ffpipe.stages.infer import Scorer, probability, to_input
from ffpipe.stages.statistics import face_sida
from ffpipe.stages.window import Fit

#: Largest difference of a score, on faces of the check, with which a file is written.
TOLERANCE = 1e-4
#: The same of a logit, as a share of it (of 1 where it is smaller): a score near 0 or 1 would hide a wrong graph.
LOGIT_TOLERANCE = 1e-3
#: Batches that a graph for any number of faces is checked with.
_CHECKED = (1, 3)
#: What the one who runs the file does to make an input of a crop.
_FITS: dict[Fit, str] = {
    "resize": "the whole crop resized to the input's size, bilinear with antialiasing",
    "crop": "the middle of the picture at its own resolution, padded with its edge pixels where it is smaller",
}
#: Digits of the weights' hash in the name that a file has by default.
_NAME_DIGITS = 12
#: Side in pixels of the made-up crops of the check.
_SIDES = range(96, 321)


@dataclass(frozen=True, slots=True)
class ExportResult:
    """A written file, and what is stored beside it of how to use it."""

    file: Path
    contract_file: Path
    contract: dict[str, Any]


def export(
    run: str | Path | None, config: ExportConfig, workspace: Workspace, out: Path | None, say: Say
) -> ExportResult:
    """Write the network of a model folder (by default the workspace's newest) for another runtime.

    The graph takes `image`, float32 RGB (B,3,S,S) in [0,1], and where the detector needs them the statistics `sida`
    (B,2304), and puts out `logits` (B,2); B is any number, or the `batch_size`. A JSON file beside it has the contract.
    Raises UsageError for a file or model that cannot be used, a network that cannot be exported, and scores
    that differ from ours by more than is allowed; StorageError where writing fails. Nothing is written then.
    """
    exporter, began = EXPORTERS[config.format], provenance.now()
    if out is not None:
        _check_output(out, exporter)
    exporter.require()
    weights = Weights.load(choose_run(run, workspace, say))
    place = out or Path(
        f"{weights.loaded.config['detector']}-{weights.model_id[:_NAME_DIGITS]}{exporter.suffix}"
    )
    content, measured = _checked_graph(weights, exporter, config.batch_size)
    contract = _contract(weights, config, place, content, measured, began)
    beside = place.with_name(f"{place.name}.json")
    write_atomic(place, content)
    write_atomic(beside, (json.dumps(contract, indent=2) + "\n").encode())
    log.note(workspace, "export", contract["provenance"], [place, beside])
    say(
        f"{place}: {len(content) / 1e6:.0f} MB, scores within {measured['max_score_difference']:.1e} of ours; "
        f"its contract is {beside.name}"
    )
    return ExportResult(place, beside, contract)


def _check_output(out: Path, exporter: Exporter) -> None:
    if out.suffix != exporter.suffix:
        raise UsageError(f"--out {out}: files of this format end in {exporter.suffix}")
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; give a file name in it")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.absolute().parent} does not exist")


def _checked_graph(
    weights: Weights, exporter: Exporter, batch_size: int | None
) -> tuple[bytes, dict[str, Any]]:
    """The file's content, and how far its scores of made-up faces are from ours."""
    model = weights.loaded.model
    batches = _CHECKED if batch_size is None else (batch_size,)
    crops = [_made_up(seed) for seed in range(sum(batches))]
    sida = face_sida(crops)
    try:
        ours = Scorer(weights.loaded, batch_size=max(batches), fit=weights.crop.fit).score(crops, sida)
    except FloatingPointError as error:
        raise UsageError(f"{weights.name} cannot be exported: {error}") from None
    faces = _inputs(weights, crops, sida)
    example = {name: value[: batch_size or 2] for name, value in faces.items()}
    content = graph(exporter, model, example, dynamic=batch_size is None)
    theirs = _logits(exporter.decode(content), faces, batches)
    measured = _compare(ours, theirs)
    if not (measured["max_score_difference"] <= TOLERANCE and measured["max_logit_error"] <= LOGIT_TOLERANCE):
        raise UsageError(
            f"{model.spec.name} cannot be exported: the graph's scores differ from ours by up to "
            f"{measured['max_score_difference']:.1e} and its logits by a share of {measured['max_logit_error']:.1e}; "
            f"{TOLERANCE:.0e} and {LOGIT_TOLERANCE:.0e} are allowed, and nothing was written"
        )
    allowed = {"score_tolerance": TOLERANCE, "logit_tolerance": LOGIT_TOLERANCE}
    return content, {**measured, **allowed, "batches": list(batches), "arithmetic": REFERENCE.name}


def _made_up(seed: int) -> NDArray[np.uint8]:
    """A crop RGB uint8 of any side, with what photographs have: smooth light, less colour, and a little noise."""
    random = np.random.default_rng(seed)
    side = int(random.choice(_SIDES))
    coarse = random.uniform(50, 200, (1, 1, 8, 8)) + random.normal(0, 15, (1, 3, 8, 8))  # light and tint
    smooth = functional.interpolate(torch.from_numpy(coarse), (side, side), mode="bilinear")[0]
    noisy = smooth.permute(1, 2, 0).numpy() + random.normal(0, 4, (side, side, 3))
    crop: NDArray[np.uint8] = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return crop


def _inputs(weights: Weights, crops: list[NDArray[np.uint8]], sida: NDArray[np.float32]) -> dict[str, Tensor]:
    spec = weights.loaded.model.spec
    image = torch.stack([to_input(crop, spec.input_size, weights.crop.fit) for crop in crops])
    return {"image": image, "sida": torch.from_numpy(sida)} if spec.needs_sida else {"image": image}


def _logits(run: Runner, faces: Inputs, batches: tuple[int, ...]) -> Tensor:
    """Logits (n,2) of all faces, in batches of these sizes."""
    parts = zip(*(torch.split(value, list(batches)) for value in faces.values()), strict=True)
    return torch.cat([run(dict(zip(faces, part, strict=True))) for part in parts])


def _compare(ours: NDArray[np.float32], theirs: Tensor) -> dict[str, float]:
    """Largest difference of a score, and of a logit as a share of it; ours are logits (n,), theirs (n,2)."""
    fake, real = LABELS.index("fake"), LABELS.index("real")
    logits = (theirs[:, fake] - theirs[:, real]).numpy()
    scores = theirs.double().softmax(1)[:, fake].numpy()
    return {
        "max_score_difference": float(np.abs(scores - probability(ours)).max()),
        "max_logit_error": float((np.abs(logits - ours) / np.maximum(1, np.abs(ours))).max()),
    }


def _contract(
    weights: Weights,
    settings: ExportConfig,
    place: Path,
    content: bytes,
    measured: dict[str, Any],
    began: str,
) -> dict[str, Any]:
    config, spec = weights.loaded.config, weights.loaded.model.spec
    rows = settings.batch_size or "batch"
    image = {
        **{key: value for key, value in config["input"].items() if key != "needs_sida"},
        "shape": [rows, 3, spec.input_size, spec.input_size],
        "dtype": "float32",
        "fit": _FITS[weights.crop.fit],
        "normalised": "inside the graph, by mean and std",
    }
    sida = {
        "shape": [rows, 2304],
        "dtype": "float32",
        "of": "the crop at original resolution, by ffpipe.models.sida",
    }
    return {
        "file": place.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "format": settings.format,
        "detector": config["detector"],
        "options": config["options"],
        "model_id": weights.model_id,
        "labels": config["labels"],
        "inputs": {"image": image, "sida": sida} if spec.needs_sida else {"image": image},
        "outputs": {OUTPUT: {"shape": [rows, 2], "dtype": "float32", "score": "softmax(logits)[:, 1]"}},
        "crop": asdict(weights.crop),
        "crop_fingerprint": weights.crop.fingerprint(),
        "thresholds": weights.thresholds.to_json(),
        "verified": measured,
        "exporter": {name: version(name) for name in EXPORTERS[settings.format].packages},
        "provenance": provenance.finish(
            provenance.collect(
                settings, weights=[weights.model_id], seed=0, started=began, model=weights.model_id
            )
        ),
    }
