"""What a training step computes of a batch: the seam between the loop and how a detector learns."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from ffpipe.models.losses import Losses, cross_entropy
from ffpipe.pipeline.batches import Batch


class Objective(Protocol):
    """Losses of one batch. Called under autocast; what needs float32 has to see to it."""

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """The model may be wrapped for several ranks."""
        ...

    def to(self, device: torch.device) -> None:
        """Move what the objective holds of its own."""
        ...


class Supervised:
    """Cross-entropy with the labels."""

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """The batch's mean cross-entropy, in nats."""
        return cross_entropy(model(batch.image, batch.sida), batch.label)

    def to(self, device: torch.device) -> None:
        """Holds nothing."""
