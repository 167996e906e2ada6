"""Names of a clip's qualities, as FaceForensics++ gives them: `c` and the H.264 rate factor; raw is `c0`."""

from __future__ import annotations

import re

#: The highest rate factor of H.264 with 8 bits; 0 is lossless.
MAX_RATE_FACTOR = 51
#: The qualities that FaceForensics++ comes in, as its folders are called.
USUAL = ("raw", "c0", "c23", "c40")

_NAME = re.compile(r"c(0|[1-9]\d?)")


def quality_named(name: str) -> str | None:
    """The quality that a folder or a manifest's cell names, in any case, such as `c23`; None where it names none."""
    plain = name.strip().lower()
    rate = rate_factor("c0" if plain == "raw" else plain)
    return None if rate is None else quality_of(rate)


def quality_of(rate: int) -> str:
    """The name of a rate factor."""
    return f"c{rate}"


def rate_factor(quality: str) -> int | None:
    """The rate factor of a quality; None where it is not one of H.264's."""
    found = _NAME.fullmatch(quality)
    return int(found[1]) if found and int(found[1]) <= MAX_RATE_FACTOR else None
