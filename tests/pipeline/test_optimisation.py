"""Optimisers and schedules by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffpipe.pipeline.optimisation import make_optimiser, make_schedule


def weights() -> list[nn.Parameter]:
    return [nn.Parameter(torch.tensor([1.0, -2.0])), nn.Parameter(torch.ones(1), requires_grad=False)]


@pytest.mark.parametrize(
    ("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)]
)
def test_it_is_torch_s_with_these_settings_and_leaves_frozen_parameters_out(name, kind):
    optimiser = make_optimiser(name, weights(), 0.1, 0.01, momentum=0.9)
    (group,) = optimiser.param_groups
    assert type(optimiser) is kind and len(group["params"]) == 1
    assert (group["lr"], group["weight_decay"]) == (0.1, 0.01)


def test_sgd_has_momentum():
    (weight, _), rate = weights(), 0.1
    optimiser = make_optimiser("sgd", [weight], rate, 0.0, momentum=0.5)
    for _ in range(2):
        optimiser.zero_grad()
        (weight * torch.tensor([1.0, 2.0])).sum().backward()
        optimiser.step()
    expected = torch.tensor([1.0, -2.0]) - rate * (1 + 1.5) * torch.tensor([1.0, 2.0])
    torch.testing.assert_close(weight.detach(), expected)


def test_unknown_names_are_refused_saying_what_there_is():
    with pytest.raises(ValueError, match="optimiser 'lion'; there are adam, adamw, sgd"):
        make_optimiser("lion", weights(), 0.1, 0.0)
    with pytest.raises(ValueError, match="schedule 'steps'; there are constant, cosine"):
        make_schedule("steps", make_optimiser("adam", weights(), 0.1, 0.0), 3)
