"""Cross attention of a spatial and a frequency map, channel by channel, as F3-Net and SFCL-HCMF use it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ffpipe.models.spectral import exact_float32


class CrossAttention(nn.Module):
    """How strongly the rows of two square maps answer to each other, eq 10-12 of SFCL-HCMF.

    Queries and keys have as many channels as the spatial map. What the attention weights is a subclass's affair.
    """

    def __init__(self, spatial: int, frequency: int) -> None:
        super().__init__()
        self.query_f = nn.Conv2d(frequency, spatial, 1)
        self.query_s = nn.Conv2d(spatial, spatial, 1)
        self.key_f = nn.Conv2d(frequency, spatial, 1, bias=False)
        self.key_s = nn.Conv2d(spatial, spatial, 1, bias=False)

    def attention(self, x_s: Tensor, x_f: Tensor) -> Tensor:
        """X_S (B,C,h,h) and X_f (B,C',h,h) -> alpha (B,C,h,h), softmax over the last axis, in float32."""
        query = torch.cat((self.query_f(x_f), self.query_s(x_s)), 3)  # (B,C,h,2h)
        key = torch.cat((self.key_f(x_f), self.key_s(x_s)), 3)  # (B,C,h,2h)
        with exact_float32(x_s.device):
            energy = query.float() @ key.float().transpose(2, 3)  # (B,C,h,h)
            return torch.softmax(energy / math.sqrt(query.shape[3]), 3)
