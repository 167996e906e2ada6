"""Kept constants serve every mode of torch, whichever asked for them first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ffpipe.models.constants import constant


def ramp(calls: list[int], size: int) -> Tensor:
    calls.append(size)
    return torch.arange(size, dtype=torch.float32)


class Weighted(nn.Module):
    """Multiplies by a constant of its input's size."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []
        self.ramp = constant(lambda size: ramp(self.calls, size))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.ramp(x.shape[-1])


def test_a_result_is_made_once_per_argument() -> None:
    calls: list[int] = []
    kept = constant(lambda size: ramp(calls, size))
    assert kept(3) is kept(3)
    assert kept(4).shape == (4,)
    assert calls == [3, 4]


def test_a_constant_first_asked_for_in_inference_mode_serves_training() -> None:
    model, x = Weighted(), torch.ones(3, requires_grad=True)
    with torch.inference_mode():
        model(x)
    model(x).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0, 1, 2]
    assert model.calls == [3]


@pytest.mark.parametrize("asked_before", [False, True])
def test_export_neither_keeps_a_tracers_tensor_nor_computes_what_is_kept(asked_before: bool) -> None:
    model, x = Weighted(), torch.ones(2, 3)
    if asked_before:
        model(x)
    program = torch.export.export(model, (x,))
    operators = {str(node.target) for node in program.graph.nodes}
    assert any("arange" in operator for operator in operators) is not asked_before
    assert torch.equal(program.module()(x), torch.tensor([[0.0, 1, 2]] * 2))
    assert torch.equal(model(x), torch.tensor([[0.0, 1, 2]] * 2)), "outside of the graph all is real again"
