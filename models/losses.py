"""What training minimises: a total, and the named parts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Losses:
    """total: scalar to go downhill on. parts: scalars that are logged apart; empty where the total is all there is."""

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)


def cross_entropy(logits: Tensor, label: Tensor) -> Losses:
    """Mean cross-entropy in nats, in float32: logits (B,2), label (B,) of 0 real and 1 fake."""
    return Losses(functional.cross_entropy(logits.float(), label))
