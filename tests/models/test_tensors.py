"""Safetensors of strangers: tensors, or one line; and the names of those that hold no numbers."""

from __future__ import annotations

import pytest
import torch
from foreign_checkpoints import SAFETENSORS, entry, header
from safetensors.torch import save

from ffpipe.models import tensors

#: Sound for the reader of the format: what they lack, the importer looks for.
_SOUND = {"repeated-name", "complex", "strange-dtype"}


@pytest.mark.parametrize("name", [name for name in SAFETENSORS if name not in _SOUND])
def test_a_header_that_lies_is_one_line(tmp_path, name):
    (tmp_path / "a.safetensors").write_bytes(SAFETENSORS[name])
    for read, given in ((tensors.parse, SAFETENSORS[name]), (tensors.load, tmp_path / "a.safetensors")):
        with pytest.raises(ValueError) as refused:
            read(given)
        assert "\n" not in str(refused.value)


def test_a_sound_file_is_read_alike_from_memory_and_disk(tmp_path):
    content = header({"a": entry(0, 16, [2, 2])}, torch.arange(4.0).numpy().tobytes())
    (tmp_path / "a.safetensors").write_bytes(content)
    expected = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    assert torch.equal(tensors.parse(content)["a"], expected)
    assert torch.equal(tensors.load(tmp_path / "a.safetensors")["a"], expected)
    assert tensors.parse(save({})) == {}


def test_what_is_not_finite_is_named_and_large_numbers_are_not():
    found = {
        "nan": torch.tensor([1.0, float("nan")]),
        "both": torch.tensor([float("inf"), -float("inf")]),
        "half": torch.tensor([float("inf")], dtype=torch.float16),
        "large": torch.full((3,), 1e308, dtype=torch.float64),
        "whole": torch.tensor([2**62]),
        "empty": torch.zeros(0),
    }
    assert tensors.not_finite(found) == ["nan", "both", "half"]
