"""What is taken from a foreign checkpoint and what is refused; the worst of them are read in the child alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from foreign_checkpoints import CASES, OLD, Touch
from torch import nn

from ffpipe.stages.foreign import reading
from ffpipe.stages.foreign.reading import ForeignError, read

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.ones(2)}


def taken(path: Path):
    return read(path, path.stat().st_size)


def save(path: Path, content: object, **how: object) -> Path:
    torch.save(content, path, **how)
    return path


@pytest.mark.parametrize("how", [{}, OLD], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [
        (lambda w: w, ()),
        (
            lambda w: {"epoch": 3, "optimizer": {"state": {0: torch.ones(9)}}, "state_dict": w},
            ("state_dict",),
        ),
        (lambda w: {"model": {"net": w, "rng": torch.tensor([1]).tolist()}}, ("model", "net")),
        (lambda w: {"module": w, "args": ["--lr", 1]}, ("module",)),
    ],
    ids=["bare", "state_dict", "nested", "module"],
)
def test_tensors_are_found_where_training_scripts_put_them(tmp_path, how, wrap, place):
    found, tensors = taken(save(tmp_path / "a.pth", wrap(WEIGHTS), **how))
    assert found.place == place
    assert found.format == ("legacy" if how else "zip")
    assert tensors.keys() == WEIGHTS.keys()
    assert all(torch.equal(tensors[name], WEIGHTS[name]) for name in WEIGHTS)


def test_what_is_no_tensor_is_left_out_and_named(tmp_path):
    content = {
        **WEIGHTS,
        "version": 2,
        "p": nn.Parameter(torch.zeros(1)),
        "shared": WEIGHTS["layer.bias"][:1],
    }
    found, tensors = taken(save(tmp_path / "a.pth", content))
    assert found.left_out == ("version",)
    assert tensors.keys() == WEIGHTS.keys() | {"p", "shared"}
    assert not tensors["p"].requires_grad


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.tame])
def test_a_hostile_file_is_refused_and_nothing_of_it_runs(tmp_path, name):
    case, canary = CASES[name], tmp_path / "canary"
    path = tmp_path / "evil.pth"
    case.make(path, canary)
    with pytest.raises(ForeignError) as refused:
        taken(path)
    assert re.search(case.says, str(refused.value))
    assert str(refused.value).isprintable()
    assert not canary.exists()


def test_the_same_bytes_do_run_where_they_are_loaded_without_care(tmp_path):
    """The positive control: without `weights_only` the canary appears, so that its absence means something."""
    canary = tmp_path / "canary"
    path = save(tmp_path / "evil.pth", {"x": Touch(canary)})
    with pytest.raises(ForeignError):
        taken(path)
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists()


def test_a_file_beyond_the_limit_is_not_opened(tmp_path):
    with pytest.raises(ForeignError, match=f"the limit is {reading.MAX_FILE}"):
        read(tmp_path / "absent", reading.MAX_FILE + 1)


def test_the_number_of_tensors_is_bounded_at_the_limit_and_one_past_it(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_TENSORS", 2)
    assert len(taken(save(tmp_path / "a.pth", WEIGHTS))[1]) == 2
    with pytest.raises(ForeignError, match="has 3 tensors; the limit is 2"):
        taken(save(tmp_path / "b.pth", {**WEIGHTS, "c": torch.zeros(1)}))
