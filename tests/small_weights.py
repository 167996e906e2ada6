"""A model folder with random weights, such as a training run leaves, made in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from detector_cases import CASES

from ffpipe.models import checkpoint, create_detector
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings

#: The least options of the detector that takes both faces and their statistics.
BOTH_STREAMS = {"input_size": 64, "backbone": "efficientnet-b0", "cnn_f": "xception-small", "embed_dim": 64}
#: Bars that a score of about one half passes.
LOW_BARS = Thresholds(
    n_real=99, n_fake=99, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95, real_tail=tuple([0.01] * 20)
)


def make_weights(
    folder: Path,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    name: str = "sfcl-hcmf",
    options: Mapping[str, Any] = BOTH_STREAMS,
    **extra: Any,
) -> Path:
    """Write the detector of this name; `extra` replaces or adds facts of its configuration."""
    torch.manual_seed(seed)
    model = create_detector(name, **options)
    crop = CropSettings()
    facts = {"crop": asdict(crop), "crop_fingerprint": crop.fingerprint()}
    facts["thresholds"] = thresholds.to_json() if thresholds else None
    checkpoint.save(
        folder, model, name=name, options=dict(options), extra={**facts, **extra}, metrics={}, card="A test."
    )
    return folder


def make_tiny_weights(folder: Path) -> Path:
    """The smallest detector, with bars that its scores pass."""
    return make_weights(folder, LOW_BARS, name="meso4", options=CASES["meso4"].small)


def make_linear_weights(folder: Path) -> Path:
    """The detector that costs next to nothing, without bars."""
    return make_weights(folder, name="sida-linear", options={})
