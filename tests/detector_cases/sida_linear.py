"""sida-linear, worked out by hand."""

from __future__ import annotations

from detector_cases.case import Case

CASES = {
    "sida-linear": Case(
        small={"input_size": 16},
        parameters=2 * 2304 + 2,
        maps={"standardise": (2304,)},
        ablations=(),
        sizes=(64,),
        rate=1e-2,
    ),
}
