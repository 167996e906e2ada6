"""The facts of one detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """What the paper says of a detector, and options that make it small.

    `maps` are output shapes (without the batch) of named submodules at the paper's size. `ablations` are the
    option values of the paper's tables. `frozen` has patterns of names of parameters that do not train, by ablation
    ("key=value,..."), "" standing for the options' defaults; an ablation without an entry freezes what "" does.
    `sizes` are further inputs that have to work; `steps` and `rate` are what the small one needs at most to overfit;
    `bfloat16` is how far that arithmetic may move the scores of random weights.
    """

    small: Mapping[str, object]
    parameters: int
    maps: Mapping[str, tuple[int, ...]]
    ablations: tuple[Mapping[str, object], ...]
    frozen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sizes: tuple[int, ...] = (64, 100, 128)
    steps: int = 40
    rate: float = 1e-3
    bfloat16: float = 0.05
