"""Calibrations made by hand, and put beside weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ffpipe.models import checkpoint
from ffpipe.pipeline.calibration.stored import StoredCalibration
from ffpipe.stages.calibration import Calibration, Caps, Scope
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.score_maps import ScoreMap

SCOPE = Scope(
    datasets=("made",),
    split="calibration half of validation",
    quality=None,
    forgeries=("warp",),
    level="video",
    n_real=30,
    n_fake=25,
    groups=30,
    real_groups=30,
    fake_groups=25,
    max_tracks=2,
    crop_fingerprint=CropSettings().fingerprint(),
)


def made_calibration(model_id: str = "m" * 64, temperature: float = 2.0, **scope: Any) -> Calibration:
    caps = Caps(-1.4, 1.5)
    return Calibration(
        ScoreMap("temperature", {"temperature": temperature}), caps, replace(SCOPE, **scope), model_id
    )


def calibrated(weights: Path, temperature: float = 2.0, **scope: Any) -> Calibration:
    """Put a calibration beside weights."""
    calibration = made_calibration(str(checkpoint.stored_hash(weights)), temperature, **scope)
    stored = StoredCalibration(calibration, frozenset("a"), frozenset(), "calibration/made-001", {}, {})
    stored.write(weights)
    return calibration
