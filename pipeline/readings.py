"""How a job reads faces with its weights: arithmetic, calibration of scores, and what a provenance says of both."""

from __future__ import annotations

from typing import Any

import torch

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import output
from ffpipe.pipeline.arithmetic_choice import choose
from ffpipe.pipeline.config import ScoreConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.aggregate import Rule
from ffpipe.stages.arithmetic import Arithmetic
from ffpipe.stages.calibration import Calibration, Reading
from ffpipe.stages.crop import Kind

#: Where timings of arithmetics are remembered, in the workspace.
_TIMINGS = "arithmetic.json"


def arithmetic_for(asked: str, workspace: Workspace, weights: Weights, device: str, say: Say) -> Arithmetic:
    """The arithmetic that weights are scored with on a device, said with its reason; `asked` may be "auto"."""
    arithmetic, reason = choose(
        asked,
        weights.loaded.config,
        weights.loaded.model,
        torch.device(device),
        weights.model_id,
        workspace.root / _TIMINGS,
    )
    say(f"arithmetic: {arithmetic.name} ({reason})")
    return arithmetic


def model_facts(weights: Weights, calibration: Calibration | None) -> dict[str, Any]:
    """What a provenance says of the weights: which they are, and what their scores are judged by."""
    return {
        "detector": weights.loaded.config["detector"],
        "sha256": weights.model_id,
        "crop_fingerprint": weights.crop.fingerprint(),
        "thresholds": weights.thresholds.to_json(),
        **({"reference": weights.reference.id} if weights.reference else {}),
        "calibration": calibration.facts() if calibration else None,
    }


def reading_for(config: ScoreConfig, weights: Weights, kind: Kind, say: Say) -> Reading:
    """How scores of pictures of a kind are read, which is said.

    Raises UsageError for a prior without a calibration.
    """
    calibration = weights.calibration_for(weights.inputs(kind))
    if calibration is not None and config.min_faces != Rule().min_faces:
        if config.prior is not None:
            raise UsageError(
                f"--prior {config.prior:g}: with --min-faces {config.min_faces} nothing is calibrated"
            )
        say(f"the calibration is not used: it was made with --min-faces {Rule().min_faces}")
        return Reading()
    say(_calibration_line(weights, calibration, config.prior))
    return Reading(calibration, config.prior)


def _calibration_line(weights: Weights, calibration: Calibration | None, prior: float | None) -> str:
    """Whether scores can be read as likelihood ratios. Raises UsageError for a prior without a calibration."""
    if calibration is not None:
        return output.calibration_line(calibration.facts(), prior)
    other = (
        "; the calibration of these weights is of faces that were cut otherwise"
        if weights.calibration
        else ""
    )
    if prior is not None:
        raise UsageError(
            f"--prior {prior:g}: a posterior needs calibrated weights, and these are not{other}; "
            f"`ffpipe calibrate {weights.loaded.directory}` does that"
        )
    return f"{output.calibration_line(None)}{other}"
