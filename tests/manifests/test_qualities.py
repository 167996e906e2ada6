"""Names of qualities stand for rate factors, in any case, and for nothing else."""

from __future__ import annotations

import pytest

from ffpipe.manifests.qualities import quality_named, quality_of, rate_factor


@pytest.mark.parametrize(
    ("name", "quality"),
    [
        ("raw", "c0"),
        ("RAW", "c0"),
        ("c0", "c0"),
        (" C23 ", "c23"),
        ("c40", "c40"),
        ("c7", "c7"),
        ("c51", "c51"),
    ],
)
def test_a_name_stands_for_a_rate_factor(name, quality):
    assert quality_named(name) == quality
    assert quality_of(rate_factor(quality)) == quality


@pytest.mark.parametrize("name", ["", "c", "c52", "c023", "c00", "23", "c2.5", "hq", "c-1", "masks"])
def test_other_names_stand_for_none(name):
    assert quality_named(name) is None
