"""Small detectors with random weights, the faces that they are shown, and statistics to run them with."""

from __future__ import annotations

from typing import TypeVar

import torch
from detector_cases import CASES
from torch import Tensor, nn

from ffpipe.models import create_detector
from ffpipe.models.detector import Detector

AnyDetector = TypeVar("AnyDetector", bound=Detector)


def small(name: str, **options: object) -> Detector:
    """The registered detector with the small options of its case, and these."""
    torch.manual_seed(0)
    return create_detector(name, **{**CASES[name].small, **options})


def faces(model: Detector, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Smooth random pictures and plausible statistics, different for each face."""
    random = torch.Generator().manual_seed(seed)
    size = model.spec.input_size
    coarse = torch.rand(count, 3, 8, 8, generator=random)
    images = nn.functional.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False)
    images = (images + 0.05 * torch.randn(images.shape, generator=random)).clamp(0, 1)
    return images, torch.randn(count, 2304, generator=random).abs() * 20


def settled(model: AnyDetector, shown: tuple[Tensor, Tensor] | None = None) -> AnyDetector:
    """In eval mode, with the running statistics of the very faces that are shown next, by default `faces(model, 8)`.

    Those of others, or their starting values, add up over a deep random network until it is flat or chaotic.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
    with torch.no_grad():
        model(*(shown or faces(model, 8)))
    return model.eval()
