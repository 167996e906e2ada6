"""What the registry's contract test has to know of each detector; one file per family, found by itself."""

from __future__ import annotations

import importlib
import pkgutil

from detector_cases.case import Case

CASES: dict[str, Case] = {}
for _module in pkgutil.iter_modules(__path__):
    CASES |= getattr(importlib.import_module(f"detector_cases.{_module.name}"), "CASES", {})
