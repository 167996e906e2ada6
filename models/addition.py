"""The plain sum of two streams' maps: what papers leave where they take a fusion module away."""

from __future__ import annotations

from torch import Tensor, nn


class Addition(nn.Module):
    """SFFB's summation (eq 3 alone), FAClue without FGA, FSSNet without AFF."""

    def forward(self, spatial: Tensor, frequency: Tensor) -> Tensor:
        """Two maps (B,C,h,w) -> (B,C,h,w)."""
        return spatial + frequency
