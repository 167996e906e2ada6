"""Optimisers and learning-rate schedules by name, torch's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler

from ffpipe.pipeline.optimiser_names import OptimiserName, ScheduleName


def make_optimiser(
    name: OptimiserName,
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    momentum: float = 0.0,
) -> Optimizer:
    """An optimiser of the parameters that train. momentum is SGD's. Raises ValueError for an unknown name."""
    trained = [p for p in parameters if p.requires_grad]
    if name == "sgd":
        return SGD(trained, lr=learning_rate, weight_decay=weight_decay, momentum=momentum)
    if name not in get_args(OptimiserName):
        raise ValueError(f"optimiser {name!r}; there are {', '.join(get_args(OptimiserName))}")
    return (Adam if name == "adam" else AdamW)(trained, lr=learning_rate, weight_decay=weight_decay)


def make_schedule(name: ScheduleName, optimiser: Optimizer, updates: int) -> LRScheduler:
    """A schedule to be stepped once after each of `updates` updates; cosine ends at 0. ValueError for another name."""
    if name == "cosine":
        return CosineAnnealingLR(optimiser, T_max=updates)
    if name == "constant":
        return ConstantLR(optimiser, factor=1.0)
    raise ValueError(f"schedule {name!r}; there are {', '.join(get_args(ScheduleName))}")
