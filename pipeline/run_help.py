"""What `ffpipe models MODEL/RUN` prints: one trained model, what its verdicts rest on, and what it has stored of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ffpipe.pipeline.reference_text import reference_lines
from ffpipe.pipeline.weights import Weights

_NONE = (
    "None: sharpness, bit rate and the distance from the training faces are not looked at. Weights that were imported, "
    "or trained by an older version, have none; training again stores one."
)


def run_text(weights: Weights) -> str:
    """In lines, as the model card says it."""
    thresholds, reference = weights.thresholds, weights.reference
    verdicts = f"inconclusive alone: {thresholds.reason}"
    if thresholds.usable:
        bar = "no bar" if thresholds.threshold is None else f"above {thresholds.threshold:.3f}"
        verdicts = f"likely manipulated {bar}, inconclusive above {thresholds.inconclusive_from:.3f}"
    lines = [
        weights.name,
        f"model id: {weights.model_id}",
        f"crops: {weights.crop.kind}, fingerprint {weights.crop.fingerprint()}",
        f"verdicts: {verdicts}",
        "reference of its training faces:",
        *(f"  {line}" for line in (reference_lines(reference) if reference else [_NONE])),
    ]
    return "\n".join(lines)


def run_json(weights: Weights) -> dict[str, Any]:
    """The same for programs."""
    reference = weights.reference
    return {
        "run": str(weights.loaded.directory),
        "detector": weights.loaded.config["detector"],
        "model_id": weights.model_id,
        "crop_fingerprint": weights.crop.fingerprint(),
        "thresholds": weights.thresholds.to_json(),
        "reference": reference
        and {
            "sha256": reference.id,
            "faces": dict(reference.faces),
            "factors": len(reference.gaussian.factors),
            "shrinkage": reference.gaussian.shrinkage,
            "limit": asdict(reference.bound),
            "measures": {name: asdict(spread) for name, spread in reference.spreads.items()},
        },
    }
