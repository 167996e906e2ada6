"""The check before a job that compiles its network: that this machine can, and that scores stay where they were."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.models.checkpoint import LoadedModel
from ffpipe.stages.arithmetic import Arithmetic
from ffpipe.stages.infer import Scorer, probability
from ffpipe.stages.tuning import TOLERANCE


def try_compiled(loaded: LoadedModel, device: str, batch_size: int, arithmetic: Arithmetic) -> str:
    """Compile a network as workers will, which find most of it done then, and score made-up faces with it.

    A line for people on time and difference. Raises UsageError where compiling fails, and where a score differs from
    the uncompiled network's by more than `tuning.TOLERANCE`.
    """
    random = np.random.default_rng(0)
    size = loaded.model.spec.input_size
    crops = [random.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(batch_size)]
    sida = random.uniform(0, 20, (batch_size, SIDA_LENGTH)).astype(np.float32)
    with _one_thread():
        try:
            plain = probability(Scorer(loaded, device, batch_size, arithmetic).score(crops, sida))
        except FloatingPointError as error:
            raise UsageError(f"--compile: cannot be compared with the uncompiled network: {error}") from None
        began = time.perf_counter()
        try:
            compiled = probability(
                Scorer(loaded, device, batch_size, arithmetic, compiled=True).score(crops, sida)
            )
        except Exception as error:  # noqa: BLE001 - compilers fail in many ways
            text = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(f"--compile: torch.compile does not work here: {text}") from error
        seconds = time.perf_counter() - began
    difference = float(np.abs(compiled - plain).max())
    if not difference <= TOLERANCE:
        raise UsageError(
            f"--compile: scores of the compiled network differ by up to {difference:.2g}; {TOLERANCE:g} is allowed"
        )
    return f"compiled in {seconds:.0f} s; scores of made-up faces within {difference:.1e} of the uncompiled network's"


@contextmanager
def _one_thread() -> Iterator[None]:
    """As workers have it, for which other code is generated than for several."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
