"""Mutants of media cost themselves alone: each ends in pictures or in one known status, soon, whatever came before it.

A failing mutant is told by its seed's name and its number; `fuzz.mutations.mutant(name, number)` makes it again.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from ffpipe.stages.decode import list_decoders
from ffpipe.stages.decode.sandbox import DecodeSandbox
from fuzz.decoding import LIMITS, endings, sound
from fuzz.mutations import mutant, rotation
from fuzz.seeds import SEEDS, seed

QUICK, THOROUGH = 60, 500


def test_seeds_are_sound_and_mutants_are_the_same_each_time(tmp_path: Path) -> None:
    with DecodeSandbox(limits=LIMITS) as sandbox:
        for name in SEEDS:
            assert sound(sandbox, tmp_path, name).status == "ok", name
    first = {one: mutant(*one) for one in rotation(4 * len(SEEDS))}
    seed.cache_clear()
    assert {one: mutant(*one) for one in first} == first
    assert all(content != seed(name) for (name, _), content in first.items())


def test_quick_share_of_mutants(tmp_path: Path) -> None:
    """Forwards, and a part of them again in another order, in another child: nothing depends on what came before."""
    which = rotation(QUICK)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with DecodeSandbox(limits=LIMITS) as sandbox:
        found = endings(sandbox, tmp_path, which)
    again = random.Random(0).sample(which, QUICK // 3)
    with DecodeSandbox(limits=LIMITS) as sandbox:
        assert endings(sandbox, tmp_path, again) == {one: found[one] for one in again}
    assert len({ending.status for ending in found.values()}) >= 3, "some decode, some do not"
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors


@pytest.mark.slow
def test_thorough_share_of_mutants(tmp_path: Path) -> None:
    """FFPIPE_FUZZ_MUTANTS raises the number."""
    count = int(os.environ.get("FFPIPE_FUZZ_MUTANTS", THOROUGH))
    which = rotation(count)
    with DecodeSandbox(limits=LIMITS) as sandbox:
        found = endings(sandbox, tmp_path, which)
    with DecodeSandbox(limits=LIMITS) as sandbox:
        backwards = endings(sandbox, tmp_path, reversed(which))
    assert backwards == found


@pytest.mark.slow
@pytest.mark.parametrize("decoder", list_decoders()[1:])
def test_the_other_decoders_end_too(tmp_path: Path, decoder: str) -> None:
    with DecodeSandbox(decoder, LIMITS) as sandbox:
        assert endings(sandbox, tmp_path, rotation(THOROUGH))
