"""Vision transformers from timm as maps of patch tokens, of which only the last blocks train."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffpipe.models.errors import PretrainedError
from ffpipe.models.pretrained import create_backbone
from ffpipe.models.spectral import exact_float32

PATCH = 14  # pixels a side, as in DINOv2
_TIMM_NAME = "vit_base_patch14_dinov2"
_TINY = "vit-tiny"
#: What differs from DINOv2's ViT-B/14. The tiny one has random weights only; it is for quick runs and tests. Its
#: LayerScale starts at 1: at DINOv2's 1e-5 a network of random weights would start as its patch embedding alone.
VITS: dict[str, dict[str, Any]] = {
    "dinov2-b": {},
    _TINY: {"embed_dim": 192, "depth": 4, "num_heads": 3, "init_values": 1.0},
}


class ExactAttention(nn.Module):
    """What timm's attention layer computes with its weights, softmax(q k^T / sqrt(d)) v in float32 under autocast too.

    Only the two linear layers follow autocast. DINOv2 has neither masks, nor dropout, nor norms of q and k.
    """

    def __init__(self, timm_layer: Any) -> None:
        super().__init__()
        self.heads: int = timm_layer.num_heads
        self.qkv, self.proj = timm_layer.qkv, timm_layer.proj

    def forward(self, x: Tensor, attn_mask: None = None, is_causal: Literal[False] = False) -> Tensor:
        """(B,N,C) -> (B,N,C); the further arguments are timm's, which its blocks pass on."""
        batch, count, _ = x.shape
        split = self.qkv(x).float().reshape(batch, count, 3, self.heads, -1)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # (B,heads,N,d) each
        with exact_float32(x.device):
            attended = functional.scaled_dot_product_attention(q, k, v)  # (B,heads,N,d)
        return torch.as_tensor(self.proj(attended.transpose(1, 2).flatten(2)))


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
        for block in self.net.blocks:
            block.attn = ExactAttention(block.attn)
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
