"""The ways in which a network can be computed: precision and memory order, and how it is put into one of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self, get_args

import torch
from torch import Tensor, nn

from ffpipe.models.spectral import exact_float32

Precision = Literal["float32", "bfloat16"]

_LAST = "channels-last-"


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """precision: of the networks; spectral operators and the softmaxes of attention stay in float32.
    channels_last: images and two-dimensional kernels lie in memory pixel by pixel instead of plane by plane.
    Raises ValueError.
    """

    precision: Precision = "float32"
    channels_last: bool = False

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision {self.precision!r}; allowed: {', '.join(get_args(Precision))}")

    @property
    def name(self) -> str:
        """For people and files, such as `channels-last-bfloat16`."""
        return f"{_LAST if self.channels_last else ''}{self.precision}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """The arithmetic of that name. Raises ValueError naming those that there are."""
        for found in (cls(p, last) for last in (False, True) for p in get_args(Precision)):
            if found.name == name:
                return found
        raise ValueError(f"arithmetic {name!r}; allowed: {', '.join(NAMES)}")

    def arrange(self, model: nn.Module) -> None:
        """Bring a network's kernels into this order; their values stay."""
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        for module in model.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=order)

    def images(self, image: Tensor) -> Tensor:
        """A batch (B,3,S,S) in this order."""
        order = torch.channels_last if self.channels_last else torch.contiguous_format
        return image.contiguous(memory_format=order)

    @contextlib.contextmanager
    def active(self, device: torch.device) -> Iterator[None]:
        """float32 is IEEE float32, also in convolutions; kernels are chosen by rule, not by timing them."""
        cudnn = torch.backends.cudnn
        if self.precision == "bfloat16":
            with (
                cudnn.flags(enabled=True, benchmark=False, deterministic=True),
                torch.autocast(device.type, torch.bfloat16),
            ):
                yield
            return
        with (
            cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            exact_float32(device),
        ):
            yield


#: What scores are compared with.
REFERENCE = Arithmetic()
ARITHMETICS = tuple(Arithmetic(p, last) for p in get_args(Precision) for last in (False, True))
NAMES = tuple(arithmetic.name for arithmetic in ARITHMETICS)
