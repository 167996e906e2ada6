"""SFFB: the spatial-frequency fusion branch, and the student of its knowledge distillation.

Paper: Wang, Wu, Wang, Zhang, Wei, Song, "Spatial-frequency feature fusion based deepfake detection through knowledge
distillation", 2024, doi:10.1016/j.engappai.2024.108341. Equation numbers are the paper's;
9 to 15, the losses, are in `distillation`.

Deviation: the fully connected layer of eq 5 has C // 16 outputs, 32 at least, and a ReLU, as in the SK attention that
    the paper builds on; its width is not printed.
Deviation: ResNets (table 5) are cut after layer3, where the map has Xception's 16x16 positions; layer4 follows the
    fusion, whose width is layer3's.
Noted: the bands of eq 1 are not printed; they are cut by area, as in F3-Net, of the normalised image, and sum to it.
Noted: Xceptions normalise with 0.5/0.5, as their published weights do, ResNets with ImageNet's mean and deviation.
Noted: the 1x1 convolutions that fuse have no bias: what follows them is normalised, and in resnet50 a bias would get
    no gradient at all.
Noted: chunked fusion (table 3) always has 4x4 blocks, of 4x4 positions at input 256; where 4 does not divide the side
    of the map, sides of blocks differ by one position (input 96: 2, 2, 1, 1).
Noted: no layer is named for the Grad-CAM of figure 4; its default here is the exit flow's map.
Noted: `student_init` says what `pretrained` may be: random refuses weights, imagenet accepts them. Neither fetches
    any, so that a stored student is rebuilt offline; passing `pretrained` is the training job's part.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.addition import Addition
from ffpipe.models.backbones import RESNETS, XCEPTIONS, ResNetTrunk, XceptionTrunk
from ffpipe.models.detector import (
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    Detector,
    DetectorSpec,
    Normalise,
    OptionInfo,
    OptionValue,
)
from ffpipe.models.distillation import KNOWLEDGE
from ffpipe.models.errors import PretrainedError
from ffpipe.models.registry import register

REDUCTION, NARROWEST = 16, 32  # of eq 5's layer, as in SK attention
GRID = 4  # blocks of the chunked fusion along each axis


class Concatenation(nn.Module):
    """Both maps side by side and a 1x1 convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, m_s: Tensor, m_f: Tensor) -> Tensor:
        """(B,C,h,w) twice -> (B,C,h,w)."""
        return torch.as_tensor(self.conv(torch.cat((m_f, m_s), 1)))


class AttentionFusion(nn.Module):
    """The fusion module of figure 3, eq 3-8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        width = max(channels // REDUCTION, NARROWEST)
        self.fc = nn.Sequential(nn.Linear(channels, width), nn.ReLU(inplace=True))
        self.fc1 = nn.Linear(width, channels)
        self.fc2 = nn.Linear(width, channels)
        self.conv = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, m_s: Tensor, m_f: Tensor) -> Tensor:
        """(B,C,h,w) twice -> M_m1 (B,C,h,w)."""
        m_m = m_f + m_s  # eq 3
        a_r1 = m_m.mean((2, 3))  # eq 4, (B,C)
        a_r2 = self.fc(a_r1)  # eq 5, (B,max(C/16,32))
        a_f = self.fc1(a_r2)[..., None, None] * m_f + m_f  # eq 6
        a_s = self.fc2(a_r2)[..., None, None] * m_s + m_s  # eq 7
        return torch.as_tensor(self.conv(torch.cat((a_f, a_s), 1)))  # eq 8, (B,2C,h,w) -> (B,C,h,w)


class ChunkedFusion(nn.Module):
    """One fusion module for each of 4x4 blocks of the maps in turn, put back in place (section 4.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fuse = AttentionFusion(channels)

    def forward(self, m_s: Tensor, m_f: Tensor) -> Tensor:
        """(B,C,h,w) twice, h and w at least 4 -> (B,C,h,w)."""
        rows = zip(m_s.tensor_split(GRID, 2), m_f.tensor_split(GRID, 2), strict=True)
        return torch.cat([self._row(s, f) for s, f in rows], 2)

    def _row(self, m_s: Tensor, m_f: Tensor) -> Tensor:
        blocks = zip(m_s.tensor_split(GRID, 3), m_f.tensor_split(GRID, 3), strict=True)
        return torch.cat([self.fuse(s, f) for s, f in blocks], 3)


_FUSIONS = {"attention": AttentionFusion, "concatenation": Concatenation, "chunked": ChunkedFusion}

_OPTIONS = {
    "input_size": OptionInfo(256, range(64, 1025), "side of the input in pixels"),
    "fusion": OptionInfo(
        "attention",
        ("attention", "summation", "concatenation", "chunked"),
        "how the two maps become one; chunked attends within 4x4 blocks (table 3)",
    ),
    "backbone": OptionInfo(
        "xception",
        (*XCEPTIONS, *RESNETS),
        "network of each stream (table 5); xception-small and resnet18 are for quick runs",
    ),
}
_PAPER = (
    "Wang, Wu, Wang, Zhang, Wei, Song: Spatial-frequency feature fusion based deepfake detection through "
    "knowledge distillation"
)


@register("sffb")
class SFFB(Detector):
    """The network of figure 2; options as in `spec.options`, `pretrained` serves both streams and the exit flow."""

    spec = DetectorSpec(
        name="sffb",
        summary="two Xceptions, one on three DCT bands, fused by channel attention before a common exit flow",
        paper=_PAPER,
        input_size=256,
        mean=HALF,
        std=HALF,
        pretrained=("imagenet",),
        gradcam_layers=("exit", "fusion"),
        prefusion=("spatial", "frequency"),
        fused="fusion",
        options=_OPTIONS,
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        backbone = str(self.options["backbone"])
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if backbone in RESNETS else (HALF, HALF)
        self.spec = dataclasses.replace(
            type(self).spec, input_size=int(self.options["input_size"]), mean=mean, std=std
        )
        self.normalise = Normalise(mean, std)
        trunk = _trunk(backbone, pretrained, 3)
        self.spatial, self.exit = trunk.halves()
        self.frequency, _ = _trunk(backbone, pretrained, 9).halves()  # three colours in three bands
        self.fusion = _fusion(str(self.options["fusion"]), trunk.flow_channels)
        self.classifier = nn.Linear(trunk.channels, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError for another shape."""
        self.check_input(image, sida)
        i_s = self.normalise(image)
        m_s = self.spatial(i_s)  # (B,3,256,256) -> (B,728,16,16)
        m_f = self.frequency(spectral.area_bands(i_s))  # eq 1, 2: (B,9,256,256) -> (B,728,16,16)
        x = self.exit(self.fusion(m_s, m_f))  # (B,2048,8,8)
        return torch.as_tensor(self.classifier(x.mean((2, 3))))  # (B,2)


@register("sffb-kd")
class SFFBStudent(SFFB):
    """SFFB to be trained under a teacher (figure 1); trained, it is a detector like any other.

    PretrainedError where `pretrained` is given and `student_init` is random.
    """

    spec = dataclasses.replace(
        SFFB.spec,
        name="sffb-kd",
        summary="sffb for compressed faces, taught by one that sees the same faces uncompressed",
        options={
            **_OPTIONS,
            "knowledge": OptionInfo(
                "maps+logits",
                KNOWLEDGE,
                "what the teacher passes on: sum (M_m), fused (M_m1), both maps, or also its logits (table 4)",
            ),
            "student_init": OptionInfo(
                "random", ("random", "imagenet"), "weights the student starts from; random is the paper's"
            ),
        },
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        resolved = type(self).spec.resolve(options)
        if pretrained is not None and resolved["student_init"] == "random":
            raise PretrainedError(
                f"sffb-kd starts from random weights, not from {pretrained}: set student_init=imagenet to start "
                "from it, or give --pretrained none"
            )
        super().__init__(pretrained, **resolved)


def _trunk(backbone: str, pretrained: str | Path | None, in_channels: int) -> XceptionTrunk | ResNetTrunk:
    kind = ResNetTrunk if backbone in RESNETS else XceptionTrunk
    return kind(backbone, pretrained, in_channels)


def _fusion(name: str, channels: int) -> nn.Module:
    return Addition() if name == "summation" else _FUSIONS[name](channels)
