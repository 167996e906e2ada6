"""What a training step computes of a batch: the seam between the loop and how a detector learns."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from ffpipe.models.distillation import Distillation
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


class Distil:
    """The losses of a student under a teacher, which are those of `models.distillation` apart and in sum."""

    def __init__(self, distillation: Distillation) -> None:
        self._distillation = distillation

    def __call__(self, model: nn.Module, batch: Batch) -> Losses:
        """ValueError where the batch has no pairs."""
        if batch.teacher_image is None:
            raise ValueError("a teacher needs batches of pairs, and this one has the student's faces alone")
        return self._distillation.loss(
            model, batch.image, batch.sida, batch.label, batch.teacher_image, batch.teacher_sida
        )

    def to(self, device: torch.device) -> None:
        """Move the teacher."""
        self._distillation.teacher.to(device)
