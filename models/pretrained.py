"""Backbones from timm: random weights, timm's pretrained ones, or a local file, which fail early and clearly."""

from __future__ import annotations

import contextlib
import hashlib
import math
import re
import threading
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import huggingface_hub
import timm
import torch
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ffpipe.models import tensors
from ffpipe.models.errors import PretrainedError

#: What `pretrained` may say for timm's own weights.
TIMM_WEIGHTS = {"imagenet": "ImageNet", "dinov2": "DINOv2"}
_MENDING = "give local weights with --pretrained FILE, or --pretrained none for random ones"
#: Characters of a tensor's name and kind that are shown; the longest of our detectors' is far below.
_LONGEST_NAME = 160
_HUB_WEIGHTS = "model.safetensors"  # the file that timm asks the hub for first
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.")


def create_backbone(
    timm_name: str, pretrained: str | Path | None = None, in_channels: int = 3, **arguments: Any
) -> nn.Module:
    """A timm model without classifier and pooling.

    `pretrained`: None for random weights, a key of `TIMM_WEIGHTS` for timm's, else a safetensors FILE with timm's
    names (the classifier may be in it). More or fewer than three input channels take the pretrained first
    convolution repeated and scaled by 3/C; position embeddings of another grid than the model's are resampled.
    `arguments` go to timm. Raises PretrainedError where weights cannot be had or do not fit.
    """
    arguments = {**arguments, "num_classes": 0, "global_pool": "", "in_chans": in_channels}
    if pretrained in TIMM_WEIGHTS:
        return _create_published(timm_name, TIMM_WEIGHTS[str(pretrained)], arguments)
    model: nn.Module = timm.create_model(timm_name, **arguments)
    if pretrained is not None:
        _load_file(model, timm_name, Path(pretrained), in_channels)
    return model


def pretrained_available(timm_name: str, timeout: float = 3.0) -> bool:
    """Whether timm's weights of a backbone are cached or can be reached, answered within `timeout` seconds.

    HF_HUB_OFFLINE counts as no network.
    """
    cfg = timm.get_pretrained_cfg(timm_name)
    if cfg is None or not (cfg.hf_hub_id or cfg.url):
        return False
    if _is_cached(cfg):
        return True
    return not huggingface_hub.constants.HF_HUB_OFFLINE and _answers(cfg, timeout)


def _is_cached(cfg: Any) -> bool:
    if cfg.hf_hub_id:
        return isinstance(huggingface_hub.try_to_load_from_cache(cfg.hf_hub_id, _HUB_WEIGHTS), str)
    return _kept(cfg.url).is_file()


def _kept(url: str) -> Path:
    """Where torch and timm keep a file that is published at an address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(url).path).name


def _answers(cfg: Any, timeout: float) -> bool:
    """In a thread of its own, since name resolution knows no time limit."""
    answers: list[object] = []

    def ask() -> None:
        # Whatever the HTTP client raises means the same: not reachable.
        with contextlib.suppress(Exception):
            if cfg.hf_hub_id:
                url = huggingface_hub.hf_hub_url(cfg.hf_hub_id, _HUB_WEIGHTS)
                answers.append(huggingface_hub.get_hf_file_metadata(url, timeout=timeout))
            else:
                request = urllib.request.Request(cfg.url, method="HEAD")
                with urllib.request.urlopen(request, timeout=timeout) as response:
                    answers.append(response.status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(answers)


def _create_published(timm_name: str, kind: str, arguments: dict[str, Any]) -> nn.Module:
    if not pretrained_available(timm_name):
        offline = huggingface_hub.constants.HF_HUB_OFFLINE
        why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        raise PretrainedError(f"{kind} weights of {timm_name} are not cached and {why}: {_MENDING}")
    cfg = timm.get_pretrained_cfg(timm_name)
    try:
        # timm's own way from an address goes on without weights_only where a file makes that fail, and so runs what
        # the file says; it loads a safetensors file of the hub, or a file that it is given, as weights alone.
        source = {"url": ""} if cfg.hf_hub_id else {"file": str(_published_file(cfg.url))}
        model: nn.Module = timm.create_model(
            timm_name, pretrained=True, pretrained_cfg_overlay=source, **arguments
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise PretrainedError(f"{kind} weights of {timm_name} did not load ({error}): {_MENDING}") from error
    return model


def _published_file(url: str) -> Path:
    """The file that is published at an address, whose name holds the first digits of its SHA-256.

    Taken from the cache where it is there. Raises ValueError where it is another file, OSError and RuntimeError where
    it cannot be had.
    """
    path = _kept(url)
    wanted = _HASH_IN_NAME.search(path.name)
    if wanted is None:
        raise ValueError(f"{path.name} does not say its hash")
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), wanted[1], progress=False)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(wanted[1]):
        raise ValueError(
            f"{path} is another file: its sha256 is {found}, the published one's begins with {wanted[1]}"
        )
    return path


def _load_file(model: nn.Module, name: str, path: Path, in_channels: int) -> None:
    if not path.is_file():
        raise PretrainedError(f"pretrained weights {path} do not exist: {_MENDING}")
    try:
        found = tensors.load(path)
    except (OSError, ValueError) as error:
        raise PretrainedError(
            f"{path} is not a readable safetensors file ({error}); no other format is read"
        ) from error
    cfg = timm.get_pretrained_cfg(name)
    weights = {key: value.float() if value.is_floating_point() else value for key, value in found.items()}
    weights = {key: value for key, value in weights.items() if not key.startswith(cfg.classifier + ".")}
    if isinstance(model, VisionTransformer):
        weights = _fit_positions(model, weights)
    first = f"{cfg.first_conv}.weight"
    if first in weights and weights[first].ndim == 4 and weights[first].shape[1] == 3:
        weights[first] = adapt_input_conv(in_channels, weights[first])
    difference = describe_difference(model.state_dict(), weights)
    if difference:
        raise PretrainedError(f"{path} does not hold weights of {name}: {difference}")
    model.load_state_dict(weights)


def _fit_positions(model: VisionTransformer, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights with position embeddings resampled from their square grid to the model's, as timm does it.

    Embeddings of another width or no square grid stay, to be told as a difference.
    """
    found, expected = weights.get("pos_embed"), model.pos_embed
    if found is None or expected is None or found.ndim != 3 or found.shape[2] != expected.shape[2]:
        return dict(weights)
    prefix = 0 if model.no_embed_class else model.num_prefix_tokens
    side = math.isqrt(max(found.shape[1] - prefix, 0))
    if side == 0 or side**2 + prefix != found.shape[1]:
        return dict(weights)
    grid = list(model.patch_embed.grid_size)
    return {**weights, "pos_embed": resample_abs_pos_embed(found, grid, [side, side], prefix)}


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
    return "; ".join(f"{len(items)} {title}: {listed(items, limit)}" for title, items in parts if items)


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"


def listed(names: list[str], limit: int = 5) -> str:
    """The first names of a list, each short and inert on a terminal, whoever chose it."""
    return ", ".join(map(_inert, names[:limit])) + (", ..." if len(names) > limit else "")


def _inert(name: str) -> str:
    plain = name if name.isprintable() else ascii(name)[1:-1]
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[:_LONGEST_NAME]}..."
