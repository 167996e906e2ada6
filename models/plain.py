"""Plain baselines: one backbone of timm's on RGB, global average pooling, a linear layer.

Papers: Chollet, "Xception: Deep Learning with Depthwise Separable Convolutions" (as a detector: Rossler et al.,
"FaceForensics++"); Tan, Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks"; He, Zhang,
Ren, Sun, "Deep Residual Learning for Image Recognition".

Deviation: no dropout before the linear layer (EfficientNet's paper drops 0.2 of B0's features and 0.4 of B4's), so
    that the four differ in the backbone alone.
Noted: `xception` takes 256 pixels, as in the papers that compare with it on faces; its ImageNet size is 299.
Noted: pixels are normalised as the published weights expect, Xception's with 0.5/0.5, the others' with ImageNet's.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models.backbones import EfficientNetTrunk, ResNetTrunk, XceptionTrunk
from ffpipe.models.detector import HALF, Detector, DetectorSpec, Normalise, OptionInfo, OptionValue
from ffpipe.models.registry import register


def _spec(name: str, input_size: int, summary: str, paper: str) -> DetectorSpec:
    return DetectorSpec(
        name=name,
        summary=f"{summary} on RGB, the plain baseline",
        paper=paper,
        input_size=input_size,
        pretrained=("imagenet",),
        gradcam_layers=("backbone",),
        options={"input_size": OptionInfo(input_size, range(64, 1025), "side of the input in pixels")},
    )


class PlainDetector(Detector):
    """Backbone, pooling, linear layer; a subclass says which backbone, and its detector's name is the trunk's."""

    trunk: type[XceptionTrunk] | type[EfficientNetTrunk] | type[ResNetTrunk]

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        self.spec = dataclasses.replace(type(self).spec, input_size=int(self.options["input_size"]))
        self.normalise = Normalise(self.spec.mean, self.spec.std)
        self.backbone = self.trunk(self.spec.name, pretrained)
        self.classifier = nn.Linear(self.backbone.channels, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError where it is not as the spec says."""
        self.check_input(image, sida)
        features: Tensor = self.backbone(self.normalise(image))  # (B,C,h,w)
        return torch.as_tensor(self.classifier(features.mean((2, 3))))  # (B,2)


@register("xception")
class XceptionDetector(PlainDetector):
    """Xception at 256 pixels."""

    trunk = XceptionTrunk
    spec = dataclasses.replace(
        _spec(
            "xception",
            256,
            "Xception",
            "Chollet: Xception: Deep Learning with Depthwise Separable Convolutions (CVPR 2017)",
        ),
        mean=HALF,
        std=HALF,
    )


_EFFICIENTNET_PAPER = (
    "Tan, Le: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (ICML 2019)"
)


@register("efficientnet-b0")
class EfficientNetB0Detector(PlainDetector):
    """EfficientNet-B0 at 224 pixels."""

    trunk = EfficientNetTrunk
    spec = _spec("efficientnet-b0", 224, "EfficientNet-B0", _EFFICIENTNET_PAPER)


@register("efficientnet-b4")
class EfficientNetB4Detector(PlainDetector):
    """EfficientNet-B4 at 380 pixels."""

    trunk = EfficientNetTrunk
    spec = _spec("efficientnet-b4", 380, "EfficientNet-B4", _EFFICIENTNET_PAPER)


@register("resnet50")
class ResNet50Detector(PlainDetector):
    """ResNet-50 at 224 pixels."""

    trunk = ResNetTrunk
    spec = _spec(
        "resnet50",
        224,
        "ResNet-50",
        "He, Zhang, Ren, Sun: Deep Residual Learning for Image Recognition (CVPR 2016)",
    )
