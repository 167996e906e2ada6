"""Vision transformers from timm as maps of patch tokens, of which only the last blocks train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ffpipe.models.errors import PretrainedError
from ffpipe.models.pretrained import create_backbone

PATCH = 14  # pixels a side, as in DINOv2
_TIMM_NAME = "vit_base_patch14_dinov2"
_TINY = "vit-tiny"
#: What differs from DINOv2's ViT-B/14. The tiny one has random weights only; it is for quick runs and tests. Its
#: LayerScale starts at 1: at DINOv2's 1e-5 a network of random weights would start as its patch embedding alone.
VITS: dict[str, dict[str, Any]] = {
    "dinov2-b": {},
    _TINY: {"embed_dim": 192, "depth": 4, "num_heads": 3, "init_values": 1.0},
}


class ViTTrunk(nn.Module):
    """A DINOv2 transformer without classifier, its final norm applied, with all but the last blocks frozen.

    `train_blocks` counts the blocks that train; where it is all of them, embeddings and norm train too. Autograd
    keeps no activations of what lies before the first parameter that trains. `channels` is the width of the tokens.
    ValueError where there are fewer blocks; PretrainedError where the weights cannot be had or do not fit.
    """

    net: Any  # timm's modules are not annotated

    def __init__(
        self, name: str, size: int, pretrained: str | Path | None = None, train_blocks: int = 2
    ) -> None:
        super().__init__()
        if name == _TINY and pretrained is not None:
            raise PretrainedError(f"{name} has random weights only: say --pretrained none")
        self.net = create_backbone(_TIMM_NAME, pretrained, img_size=size, **VITS[name])
        self.channels: int = self.net.num_features
        self._freeze(name, train_blocks)

    def _freeze(self, name: str, train_blocks: int) -> None:
        depth = len(self.net.blocks)
        if not 1 <= train_blocks <= depth:
            raise ValueError(
                f"train_blocks={train_blocks}: {name} has {depth} blocks, 1 to {depth} of them can train"
            )
        if train_blocks < depth:
            self.net.requires_grad_(False)
            self.net.blocks[depth - train_blocks :].requires_grad_(True)

    def forward(self, image: Tensor) -> Tensor:
        """(B,3,S,S) -> patch tokens, without the class token, as a map (B,channels,S/14,S/14)."""
        tokens = torch.as_tensor(self.net.forward_features(image))  # (B,1+hw,C)
        patches = tokens[:, self.net.num_prefix_tokens :].transpose(1, 2)  # (B,C,hw)
        return patches.reshape(*patches.shape[:2], *self.net.patch_embed.grid_size)  # (B,C,h,w)
