"""Constant tensors of an operator, made once per size and device and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import TypeVar

import torch

_KEPT = 16  # results a function; a detector needs a few sizes on one device

T = TypeVar("T")


class _Tracing(Exception):
    """Keeps a result out of the cache, which stores no exceptions."""


def constant(make: Callable[..., T]) -> Callable[..., T]:
    """Decorator: the last results of `make`, a function of hashable arguments, are kept.

    They serve inference and training alike, whichever came first, and torch.compile takes their values. So does
    torch.export of what is kept already; the rest it computes in the graph, since a tracer's tensors mean nothing
    outside of it and must not be kept.
    """

    @functools.lru_cache(maxsize=_KEPT)
    def kept(*arguments: Hashable) -> T:
        if torch.compiler.is_exporting():
            raise _Tracing
        with torch.inference_mode(False):  # autograd cannot use what is made in inference mode
            return make(*arguments)

    @functools.wraps(make)
    def get(*arguments: Hashable) -> T:
        try:
            return kept(*arguments)
        except _Tracing:
            return make(*arguments)

    held: Callable[..., T] = torch.compiler.assume_constant_result(get)  # type: ignore[no-untyped-call]
    return held
