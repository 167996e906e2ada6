"""Reading safetensors, whoever wrote it: tensors by name, or one line on why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

#: What the reader raises for headers that lie, besides its own error.
_DAMAGE = (
    safetensors.SafetensorError, ValueError, KeyError, TypeError, RuntimeError, AssertionError, OverflowError,
)  # fmt: skip


def parse(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file's content. Raises ValueError."""
    return _told(lambda: safetensors.torch.load(data))


def load(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped into memory. Raises ValueError, and OSError where it cannot be read."""
    return _told(lambda: safetensors.torch.load_file(path))


def _told(read: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    try:
        return read()
    except _DAMAGE as error:
        raise ValueError(" ".join(str(error).split())) from None


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that hold NaN or an infinity."""
    return [name for name, tensor in tensors.items() if not _finite(tensor)]


def _finite(tensor: Tensor) -> bool:
    # One pass without a mask of the tensor's size: a sum is finite only where all its parts are, unless it overflows.
    if not tensor.is_floating_point() or bool(torch.isfinite(tensor.sum(dtype=torch.float64))):
        return True
    return bool(torch.isfinite(tensor).all())
