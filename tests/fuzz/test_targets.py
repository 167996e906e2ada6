"""The fuzzer's targets hold on their seeds and on seeded mutants of them, without a fuzzer."""

from __future__ import annotations

import pytest

from fuzz.mutations import mutated
from fuzz.targets import TARGETS

QUICK, THOROUGH = 40, 1500


def run(name: str, count: int) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds())
    for content in seeds:
        target.fuzz_one(content)
    target.fuzz_one(b"")
    for number in range(count):
        content = mutated(seeds[number % len(seeds)], f"{name} {number}", lambda rng: rng.choice(seeds))
        try:
            target.fuzz_one(content)
        except Exception as error:
            raise AssertionError(f"mutant {number} of target {name}") from error


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_mutants(name: str) -> None:
    run(name, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_many_mutants(name: str) -> None:
    run(name, THOROUGH)
