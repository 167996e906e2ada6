"""Small random weights to score with, whose bars nearly every face passes."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ffpipe.models import checkpoint, create_detector
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings

OPTIONS = {"input_size": 64, "backbone": "efficientnet-b0", "cnn_f": "xception-small", "embed_dim": 64}
#: Bars that a score of about one half passes.
LOW_BARS = Thresholds(
    n_real=99, n_fake=99, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95, real_tail=tuple([0.01] * 20)
)


def make_weights(folder: Path, thresholds: Thresholds | None = None, seed: int = 0, **extra: Any) -> Path:
    torch.manual_seed(seed)
    model = create_detector("sfcl-hcmf", **OPTIONS)
    crop = CropSettings()
    facts = {"crop": asdict(crop), "crop_fingerprint": crop.fingerprint()}
    facts["thresholds"] = thresholds.to_json() if thresholds else None
    checkpoint.save(
        folder, model, name="sfcl-hcmf", options=OPTIONS, extra={**facts, **extra}, metrics={}, card="A test."
    )
    return folder
