"""Bands of a spectrum whose filters learn, as F3-Net cuts them and as table 3 of FAClue borrows them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ffpipe.models import spectral


class BandFilters(nn.Module):
    """Base filters of 0 and 1, each plus a learnable one that is squashed to (-1,1).

    `spread` is the standard deviation of what the learnable ones start from, around 0.
    """

    base: Tensor

    def __init__(self, base: Tensor, spread: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("base", base.clone(), persistent=False)
        self.learnable = nn.Parameter(torch.randn(base.shape) * spread)

    def forward(self) -> Tensor:
        """(bands,N,N) in float32, between -1 and 2."""
        return self.base + torch.tanh(self.learnable.float() / 2)  # = (1 - exp(-x)) / (1 + exp(-x))

    def images(self, image: Tensor) -> Tensor:
        """(B,C,N,N) -> (B,bands*C,N,N) in float32: what each filter passes of the full-image DCT, as images."""
        spectrum = spectral.full_dct(image)[:, None]  # (B,1,C,N,N)
        return spectral.full_idct(spectrum * self()[:, None]).flatten(
            1, 2
        )  # (B,bands,C,N,N) -> (B,bands*C,N,N)
