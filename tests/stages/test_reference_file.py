"""A reference survives its file exactly; a file of other weights, or one that does not hold together, is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch
from domain_faces import reference, sida

from ffpipe.stages.reference_file import MAX_BYTES, from_bytes, to_bytes

MODEL = "a" * 64
KEY = "ffpipe.reference"


def stored() -> bytes:
    return to_bytes(reference(MODEL))


def test_it_comes_back_as_it_was() -> None:
    made, data = reference(MODEL), stored()
    found = from_bytes(data, MODEL)
    assert np.array_equal(found.distance(sida(5, 3)), made.distance(sida(5, 3)))
    assert (found.bound, found.spreads, found.faces) == (made.bound, made.spreads, made.faces)
    assert np.array_equal(found.bands["fake"].high, made.bands["fake"].high)
    assert to_bytes(found) == data
    assert len(found.id) == 64
    assert len(data) < 2 << 20 < MAX_BYTES


def test_that_of_other_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="belongs to weights with the sha256 aaaa"):
        from_bytes(stored(), "b" * 64)


def changed(tensors=None, **told) -> bytes:
    data = stored()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
    facts = {**json.loads(header[KEY]), **told}
    parts = {**safetensors.torch.load(data), **(tensors or {})}
    parts = {name: part for name, part in parts.items() if part is not None}
    return safetensors.torch.save(parts, metadata={KEY: json.dumps(facts)})


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: b"", "."),
        (lambda: stored()[:-1], "."),
        (lambda: safetensors.torch.save({"mean": torch.zeros(2304)}), "does not say"),
        (lambda: changed(format_version=2), "format 2"),
        (lambda: changed(bound=None), "does not say"),
        (lambda: changed(faces={"real": 60, "odd": 1}), "bands of"),
        (lambda: changed(spreads={"weight": {}}), "measures weight"),
        (lambda: changed({"mean": torch.zeros(2303)}), "its mean is"),
        (lambda: changed({"noise": torch.zeros(2304)}), "not above 0"),
        (lambda: changed({"noise": torch.zeros(2304, dtype=torch.float64)}), "its noise is"),
        (lambda: changed({"scale": torch.full((2304,), float("nan"))}), "NaN"),
        (lambda: changed({"fake.low": None}), "it holds"),
        (lambda: changed({"more": torch.zeros(1)}), "it holds"),
    ],
)
def test_what_does_not_hold_together_is_refused_in_one_line(data, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        from_bytes(data(), MODEL)
    assert "\n" not in str(refused.value)
