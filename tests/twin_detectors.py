"""A small detector with two maps, which can teach or be taught, and its student."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo
from ffpipe.models.distillation import KNOWLEDGE


class Twin(Detector):
    """Two convolutions whose maps are added: small, with BatchNorm and dropout, and with maps to distil."""

    spec = DetectorSpec(
        name="twin",
        summary="a test's detector",
        paper="none",
        input_size=32,
        prefusion=("spatial", "frequency"),
        fused="fused",
        options={"width": OptionInfo(4, range(1, 9), "channels")},
    )

    def __init__(self, pretrained=None, **options):
        super().__init__()
        self.options = type(self).spec.resolve(options)
        width = self.options["width"]
        self.spatial, self.frequency = (
            nn.Sequential(nn.Conv2d(3, width, 3, stride=4, bias=False), nn.BatchNorm2d(width)) for _ in "sf"
        )
        self.fused, self.drop, self.head = nn.Identity(), nn.Dropout(0.3), nn.Linear(width, 2)

    def forward(self, image, sida=None):
        self.check_input(image, sida)
        maps = self.fused(self.spatial(image) + self.frequency(image - image.mean((2, 3), keepdim=True)))
        return self.head(self.drop(maps.relu().mean((2, 3))))


class TwinStudent(Twin):
    spec = replace(
        Twin.spec,
        name="twin-kd",
        options={**Twin.spec.options, "knowledge": OptionInfo("maps+logits", KNOWLEDGE, "what is passed on")},
    )
