"""timm backbones with the cuts that the detectors need."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.models.xception import Block, SeparableConv2d
from torch import Tensor, nn

from ffpipe.models.errors import PretrainedError
from ffpipe.models.pretrained import create_backbone

EFFICIENTNETS = {"efficientnet-b4": "efficientnet_b4", "efficientnet-b0": "efficientnet_b0"}
RESNETS = {"resnet50": "resnet50", "resnet34": "resnet34", "resnet18": "resnet18"}
_STRIDE_8_STAGE = 3  # the stage of an EfficientNet that ends at stride 8
_LAST_STAGE = 7


class EfficientNetTrunk(nn.Module):
    """An EfficientNet without classifier, to be run stage by stage.

    `shallow_channels` is the width at stride 8 (B4: 56), `stage_channels` that of each of the 7 stages (B0: 16, 24,
    40, 80, 112, 192, 320), `channels` that of the last map (B4: 1792). Without head the last map is that of stage 7.
    """

    net: Any  # timm's modules are not annotated

    def __init__(
        self,
        name: str,
        pretrained: str | Path | None = None,
        in_channels: int = 3,
        with_head: bool = True,
    ) -> None:
        super().__init__()
        self.net = create_backbone(EFFICIENTNETS[name], pretrained, in_channels)
        self.stage_channels: tuple[int, ...] = tuple(_width(stage) for stage in self.net.blocks)
        self.shallow_channels: int = self.stage_channels[_STRIDE_8_STAGE - 1]
        self.channels: int = self.net.num_features
        if not with_head:
            self.net.conv_head, self.net.bn2 = nn.Identity(), nn.Identity()
            self.channels = self.stage_channels[-1]

    def stem(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,stem width,ceil(H/2),ceil(W/2))."""
        return torch.as_tensor(self.net.bn1(self.net.conv_stem(image)))

    def stages(self, x: Tensor, first: int, last: int) -> Tensor:
        """Stages `first` to `last`, both included and counted from 1."""
        for stage in self.net.blocks[first - 1 : last]:
            x = stage(x)
        return x

    def head(self, x: Tensor) -> Tensor:
        """Last stage's map -> (B,channels,h,w); the map itself where the trunk has no head."""
        return torch.as_tensor(self.net.bn2(self.net.conv_head(x)))

    def shallow(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,shallow_channels,ceil(H/8),ceil(W/8))."""
        return self.stages(self.stem(image), 1, _STRIDE_8_STAGE)

    def deep(self, x: Tensor) -> Tensor:
        """(B,shallow_channels,h,w) -> (B,channels,ceil(h/4),ceil(w/4))."""
        return self.head(self.stages(x, _STRIDE_8_STAGE + 1, _LAST_STAGE))

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,H,W) -> (B,channels,ceil(H/32),ceil(W/32))."""
        return self.deep(self.shallow(image))


def _width(stage: Any) -> int:
    """Channels that a stage puts out: those of its last block's last convolution."""
    return int([module for module in stage.modules() if isinstance(module, nn.Conv2d)][-1].out_channels)


@dataclass(frozen=True, slots=True)
class XceptionWidths:
    """Channels of an Xception's two first convolutions, blocks 1 to 3, block 12 and two last convolutions.

    `middle` is the number of middle-flow blocks, which keep the width of block 3.
    """

    stem: tuple[int, int] = (32, 64)
    entry: tuple[int, int, int] = (128, 256, 728)
    middle: int = 8
    last: int = 1024
    tail: tuple[int, int] = (1536, 2048)


#: The small one has random weights only; it is for quick runs and tests.
XCEPTIONS = {
    "xception": XceptionWidths(),
    "xception-small": XceptionWidths((16, 32), (64, 128, 256), 2, 256, (384, 512)),
}
_XCEPTION = "legacy_xception"


class XceptionTrunk(nn.Module):
    """Xception without classifier, cut where two streams meet.

    `flow_channels` is the width of the middle flow (728), `exit_channels` that of block 12 (1024), `channels` that
    of the last map (2048). `stem_stride` is that of the first convolution. PretrainedError where `pretrained` is
    asked of a small one.
    """

    def __init__(
        self,
        name: str = "xception",
        pretrained: str | Path | None = None,
        in_channels: int = 3,
        stem_stride: int = 2,
    ) -> None:
        super().__init__()
        widths = XCEPTIONS[name]
        if pretrained is not None and name != "xception":
            raise PretrainedError(f"{name} has random weights only: give --pretrained none")
        stem, blocks, tail = (
            _timm_parts(pretrained, in_channels) if name == "xception" else _parts(widths, in_channels)
        )
        self.stem, self.tail = nn.Sequential(*stem), nn.Sequential(*tail)
        stem[0].stride = (stem_stride, stem_stride)
        self.entry, self.exit = nn.Sequential(*blocks[:3]), blocks[-1]
        half = 3 + widths.middle // 2
        self.middle_first, self.middle_second = (
            nn.Sequential(*blocks[3:half]),
            nn.Sequential(*blocks[half:-1]),
        )
        self.flow_channels, self.exit_channels, self.channels = widths.entry[-1], widths.last, widths.tail[-1]

    def to_middle(self, image: Tensor) -> Tensor:
        """Through the first half of the middle flow (block 7): (B,C,256,256) -> (B,728,16,16)."""
        return torch.as_tensor(self.middle_first(self.entry(self.stem(image))))

    def early(self, image: Tensor) -> Tensor:
        """Entry and middle flow (block 11): (B,C,256,256) -> (B,728,16,16)."""
        return torch.as_tensor(self.middle_second(self.to_middle(image)))

    def late(self, x: Tensor) -> Tensor:
        """Exit flow (block 12 and the two last convolutions): (B,728,h,w) -> (B,2048,ceil(h/2),ceil(w/2))."""
        return torch.as_tensor(self.tail(self.exit(x)))

    def halves(self) -> tuple[nn.Sequential, nn.Sequential]:
        """`early` and `late` as modules that share this trunk's weights, for networks that keep one of them."""
        early = nn.Sequential(self.stem, self.entry, self.middle_first, self.middle_second)
        return early, nn.Sequential(self.exit, self.tail)

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,256,256) -> (B,2048,8,8)."""
        return self.late(self.early(image))


class XceptionTail(nn.Module):
    """Xception from its second separable block on, taking feature maps instead of images; random weights."""

    def __init__(self, in_channels: int, name: str) -> None:
        super().__init__()
        widths = XCEPTIONS[name]
        blocks = _blocks(widths, in_channels)
        self.channels = widths.tail[-1]
        self.entry, self.middle = nn.Sequential(*blocks[:2]), nn.Sequential(*blocks[2:-1])
        self.exit = nn.Sequential(blocks[-1], *_tail(widths))
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(B,in_channels,h,w) -> (B,channels,ceil(h/8),ceil(w/8))."""
        return torch.as_tensor(self.exit(self.middle(self.entry(x))))


def _timm_parts(
    pretrained: str | Path | None, in_channels: int
) -> tuple[list[Any], list[nn.Module], list[nn.Module]]:
    """Stem, blocks 1 to 12 and tail of timm's Xception."""
    net: Any = create_backbone(_XCEPTION, pretrained, in_channels)
    stem = [net.conv1, net.bn1, net.act1, net.conv2, net.bn2, net.act2]
    blocks = [net.get_submodule(f"block{number}") for number in range(1, 13)]
    return stem, blocks, [net.conv3, net.bn3, net.act3, net.conv4, net.bn4, net.act4]


def _parts(widths: XceptionWidths, in_channels: int) -> tuple[list[Any], list[nn.Module], list[nn.Module]]:
    """The same of other widths, with random weights."""
    first, second = widths.stem
    stem = [
        nn.Conv2d(in_channels, first, 3, 2, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
    ]
    one = Block(second, widths.entry[0], 2, 2, start_with_relu=False)
    parts = stem, [one, *_blocks(widths, widths.entry[0])], _tail(widths)
    for part in parts:
        _initialise(nn.Sequential(*part))
    return parts


def _blocks(widths: XceptionWidths, in_channels: int) -> list[nn.Module]:
    """Blocks 2 to 12."""
    _, two, flow = widths.entry
    middle = [Block(flow, flow, 3, 1) for _ in range(widths.middle)]
    return [
        Block(in_channels, two, 2, 2),
        Block(two, flow, 2, 2),
        *middle,
        Block(flow, widths.last, 2, 2, grow_first=False),
    ]


def _tail(widths: XceptionWidths) -> list[nn.Module]:
    """The two last convolutions."""
    third, fourth = widths.tail
    return [
        SeparableConv2d(widths.last, third, 3, 1, 1),
        nn.BatchNorm2d(third),
        nn.ReLU(inplace=True),
        SeparableConv2d(third, fourth, 3, 1, 1),
        nn.BatchNorm2d(fourth),
        nn.ReLU(),
    ]


def _initialise(module: nn.Module) -> None:
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")


class ResNetTrunk(nn.Module):
    """A ResNet without classifier, cut after its third layer.

    `flow_channels` is the width at the cut (resnet50: 1024), `channels` that of the last map (2048).
    """

    net: Any

    def __init__(self, name: str, pretrained: str | Path | None = None, in_channels: int = 3) -> None:
        super().__init__()
        # With the last BatchNorm of a residual branch at zero, the branch would get no gradient at first.
        self.net = create_backbone(RESNETS[name], pretrained, in_channels, zero_init_last=False)
        self.flow_channels: int = self.net.feature_info[3]["num_chs"]
        self.channels: int = self.net.num_features

    def early(self, image: Tensor) -> Tensor:
        """Stem to layer3: (B,C,256,256) -> (B,flow_channels,16,16)."""
        net = self.net
        x = net.maxpool(net.act1(net.bn1(net.conv1(image))))
        return torch.as_tensor(net.layer3(net.layer2(net.layer1(x))))

    def late(self, x: Tensor) -> Tensor:
        """layer4: (B,flow_channels,h,w) -> (B,channels,ceil(h/2),ceil(w/2))."""
        return torch.as_tensor(self.net.layer4(x))

    def halves(self) -> tuple[nn.Sequential, nn.Sequential]:
        """`early` and `late` as modules that share this trunk's weights, for networks that keep one of them."""
        net = self.net
        stem = nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool)
        return nn.Sequential(stem, net.layer1, net.layer2, net.layer3), nn.Sequential(net.layer4)

    def forward(self, image: Tensor) -> Tensor:
        """(B,C,256,256) -> (B,channels,8,8)."""
        return self.late(self.early(image))
