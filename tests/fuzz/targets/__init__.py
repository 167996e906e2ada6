"""Targets for a fuzzer: one module a gate, each with `fuzz_one(data)`, which takes any bytes, and `seeds()`.

`fuzz_one` returns where the bytes are read or refused as they should be, and raises otherwise. It needs no fuzzer: the
tests call it on seeded mutants.
"""

from __future__ import annotations

from types import ModuleType

from fuzz.targets import container, header, image, parquet, tables, tar

TARGETS: dict[str, ModuleType] = {
    module.__name__.rpartition(".")[2]: module for module in (container, header, image, parquet, tables, tar)
}
