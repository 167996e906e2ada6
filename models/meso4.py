"""Meso4: four small convolutions and two fully connected layers.

Paper: Afchar, Nozick, Yamagishi, Echizen, "MesoNet: a Compact Facial Video Forgery Detection Network" (WIFS 2018).

Deviation: two logits instead of one sigmoid unit, as all detectors here have them.
Noted: the ReLU stands before the BatchNorm, so that the convolutions keep their bias.
Noted: pixels enter as RGB in [0,1], without mean and deviation.
Noted: BatchNorm's momentum and epsilon are torch's own.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo, OptionValue
from ffpipe.models.registry import register

_REDUCTION = 32  # of the four poolings together
_CHANNELS = 16  # of the last map
_UNITS = 16


def _block(inputs: int, outputs: int, kernel: int, pool: int) -> nn.Sequential:
    """(B,inputs,h,w) -> (B,outputs,h/pool,w/pool)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
        nn.ReLU(inplace=True),
        nn.BatchNorm2d(outputs),
        nn.MaxPool2d(pool),
    )


@register("meso4")
class Meso4(Detector):
    """The whole network; it has no pretrained weights."""

    spec = DetectorSpec(
        name="meso4",
        summary="four small convolutions on RGB, made for faces",
        paper="Afchar, Nozick, Yamagishi, Echizen: MesoNet: a Compact Facial Video Forgery Detection Network "
        "(WIFS 2018)",
        input_size=256,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        gradcam_layers=("blocks.3.2",),
        options={
            "input_size": OptionInfo(
                256,
                range(_REDUCTION, 1025, _REDUCTION),
                "side of the input in pixels; the poolings divide it by 32",
            )
        },
    )

    def __init__(self, pretrained: None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        size = int(self.options["input_size"])
        self.spec = dataclasses.replace(type(self).spec, input_size=size)
        self.blocks = nn.Sequential(
            _block(3, 8, 3, 2), _block(8, 8, 5, 2), _block(8, 16, 5, 2), _block(16, _CHANNELS, 5, 4)
        )
        self.head = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.Linear(_CHANNELS * (size // _REDUCTION) ** 2, _UNITS),
            nn.LeakyReLU(0.1),
            nn.Dropout(0.5),
            nn.Linear(_UNITS, 2),
        )

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError where it is not as the spec says."""
        self.check_input(image, sida)
        return torch.as_tensor(self.head(self.blocks(image)))  # (B,16,S/32,S/32) -> (B,2)
