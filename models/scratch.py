"""Scratch memory that a thread keeps between crops."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import torch
from torch import Tensor

# What a thread keeps, per buffer; larger crops take and return theirs.
_KEPT_BYTES = 16 * 1024 * 1024


class Scratch(threading.local):
    """Numbered buffers of one thread, kept between crops: page faults of fresh ones cost as much as the sums."""

    def __init__(self) -> None:
        self._buffers: dict[int, Tensor] = {}

    def take(self, slot: int, shape: Sequence[int], like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        """Uninitialised memory of `shape`, valid until the slot is taken again; on the device of `like`."""
        dtype = dtype or like.dtype
        size = math.prod(shape) * dtype.itemsize
        if not like.is_cpu or size > _KEPT_BYTES:
            return torch.empty(shape, dtype=dtype, device=like.device)
        buffer = self._buffers.get(slot)
        if buffer is None or buffer.numel() < size:
            with torch.inference_mode(
                False
            ):  # what is made in inference mode cannot be written to outside of it
                buffer = self._buffers[slot] = torch.empty(size, dtype=torch.uint8)
        return buffer[:size].view(dtype).view(*shape)
