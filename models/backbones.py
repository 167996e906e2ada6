"""timm backbones with the cuts that the detectors need, and the loading of their pretrained weights."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import huggingface_hub
import safetensors
import safetensors.torch
import timm
import torch
from timm.models.xception import Block, SeparableConv2d
from torch import Tensor, nn

from ffpipe.models.errors import PretrainedError

EFFICIENTNETS = {"efficientnet-b4": "efficientnet_b4", "efficientnet-b0": "efficientnet_b0"}
_STRIDE_8_STAGES = 3  # blocks[0..2] of an EfficientNet end at stride 8
_MENDING = "give local weights with --pretrained FILE, or --pretrained none for random ones"
_HUB_WEIGHTS = "model.safetensors"  # the file that timm asks the hub for first


class EfficientNetTrunk(nn.Module):
    """An EfficientNet without classifier, cut after its stride-8 stage.

    `shallow_channels` is the width at the cut (B4: 56), `channels` that of the last map (B4: 1792).
    """

    net: Any  # timm's modules are not annotated

    def __init__(self, name: str, pretrained: str | Path | None = None) -> None:
        super().__init__()
        self.net = create_backbone(EFFICIENTNETS[name], pretrained)
        self.shallow_channels: int = self.net.feature_info[2]["num_chs"]
        self.channels: int = self.net.num_features

    def shallow(self, image: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,shallow_channels,ceil(H/8),ceil(W/8))."""
        x = self.net.bn1(self.net.conv_stem(image))
        for stage in self.net.blocks[:_STRIDE_8_STAGES]:
            x = stage(x)
        return torch.as_tensor(x)

    def deep(self, x: Tensor) -> Tensor:
        """(B,shallow_channels,h,w) -> (B,channels,ceil(h/4),ceil(w/4))."""
        for stage in self.net.blocks[_STRIDE_8_STAGES:]:
            x = stage(x)
        return torch.as_tensor(self.net.bn2(self.net.conv_head(x)))


class XceptionTail(nn.Module):
    """Xception from its second separable block on, taking feature maps instead of images; random weights.

    `widths` are the channels of block 2, of the middle flow, of block 12 and of the two last convolutions;
    `middle` is the number of middle-flow blocks. Xception itself is (256, 728, 1024, 1536, 2048) and 8.
    """

    def __init__(self, in_channels: int, widths: tuple[int, int, int, int, int], middle: int) -> None:
        super().__init__()
        entry, flow, last, wide, self.channels = widths
        self.entry = nn.Sequential(Block(in_channels, entry, 2, 2), Block(entry, flow, 2, 2))
        self.middle = nn.Sequential(*(Block(flow, flow, 3, 1) for _ in range(middle)))
        self.exit = nn.Sequential(
            Block(flow, last, 2, 2, grow_first=False),
            SeparableConv2d(last, wide, 3, 1, 1),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
            SeparableConv2d(wide, self.channels, 3, 1, 1),
            nn.BatchNorm2d(self.channels),
            nn.ReLU(),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B,in_channels,h,w) -> (B,channels,ceil(h/8),ceil(w/8))."""
        return torch.as_tensor(self.exit(self.middle(self.entry(x))))


def create_backbone(timm_name: str, pretrained: str | Path | None = None) -> nn.Module:
    """A timm model without classifier and pooling.

    `pretrained`: None for random weights, "imagenet" for timm's, else a safetensors FILE with timm's names (the
    classifier may be in it). Raises PretrainedError where they cannot be had or do not fit.
    """
    if pretrained == "imagenet":
        return _create_imagenet(timm_name)
    model: nn.Module = timm.create_model(timm_name, num_classes=0, global_pool="")
    if pretrained is not None:
        _load_file(model, timm_name, Path(pretrained))
    return model


def pretrained_available(name: str, timeout: float = 3.0) -> bool:
    """Whether timm's ImageNet weights of a backbone are cached or can be reached, answered within `timeout` seconds.

    `name` is timm's or one of `EFFICIENTNETS`. HF_HUB_OFFLINE counts as no network.
    """
    timm_name = EFFICIENTNETS.get(name, name)
    cfg = timm.get_pretrained_cfg(timm_name)
    if cfg is None or not cfg.hf_hub_id:
        return False
    if isinstance(huggingface_hub.try_to_load_from_cache(cfg.hf_hub_id, _HUB_WEIGHTS), str):
        return True
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    return _hub_answers(cfg.hf_hub_id, timeout)


def _hub_answers(repository: str, timeout: float) -> bool:
    """In a thread of its own, since name resolution knows no time limit."""
    answers: list[object] = []

    def ask() -> None:
        url = huggingface_hub.hf_hub_url(repository, _HUB_WEIGHTS)
        # Whatever the HTTP client raises means the same: not reachable.
        with contextlib.suppress(Exception):
            answers.append(huggingface_hub.get_hf_file_metadata(url, timeout=timeout))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers)


def _create_imagenet(timm_name: str) -> nn.Module:
    if not pretrained_available(timm_name):
        why = (
            "HF_HUB_OFFLINE is set"
            if huggingface_hub.constants.HF_HUB_OFFLINE
            else "the hub cannot be reached"
        )
        raise PretrainedError(f"ImageNet weights of {timm_name} are not cached and {why}: {_MENDING}")
    try:
        model: nn.Module = timm.create_model(timm_name, pretrained=True, num_classes=0, global_pool="")
    except (OSError, RuntimeError, ValueError) as error:
        raise PretrainedError(
            f"ImageNet weights of {timm_name} did not load ({error}): {_MENDING}"
        ) from error
    return model


def _load_file(model: nn.Module, name: str, path: Path) -> None:
    if not path.is_file():
        raise PretrainedError(f"pretrained weights {path} do not exist: {_MENDING}")
    try:
        found = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise PretrainedError(f"{path} is not a readable safetensors file ({error})") from error
    classifier = timm.get_pretrained_cfg(name).classifier
    weights = {key: value.float() if value.is_floating_point() else value for key, value in found.items()}
    weights = {key: value for key, value in weights.items() if not key.startswith(classifier + ".")}
    difference = describe_difference(model.state_dict(), weights)
    if difference:
        raise PretrainedError(f"{path} does not hold weights of {name}: {difference}")
    model.load_state_dict(weights)


def describe_difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], limit: int = 5) -> str:
    """What separates two state dicts in names, shapes and dtypes, in one line; empty where nothing does."""
    unequal = [
        f"{key} is {_kind(found[key])} instead of {_kind(expected[key])}"
        for key in expected
        if key in found and _kind(found[key]) != _kind(expected[key])
    ]
    parts = (
        ("missing", [key for key in expected if key not in found]),
        ("not in the model", [key for key in found if key not in expected]),
        ("different", unequal),
    )
    return "; ".join(f"{len(items)} {title}: {_first(items, limit)}" for title, items in parts if items)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def _first(items: list[str], limit: int) -> str:
    return ", ".join(items[:limit]) + (", ..." if len(items) > limit else "")
