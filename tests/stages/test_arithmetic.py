"""Names of arithmetics, and the precision that they put torch into and take back."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from ffpipe.pipeline.config import ArithmeticName
from ffpipe.stages.arithmetic import ARITHMETICS, NAMES, REFERENCE, Arithmetic

CPU = torch.device("cpu")


def test_names_can_be_read_back_and_are_those_of_the_command_line():
    assert [Arithmetic.parse(name) for name in NAMES] == list(ARITHMETICS)
    assert {"auto", *NAMES} == set(get_args(ArithmeticName))
    assert REFERENCE.name == "float32"


def test_unknown_ones_are_refused_saying_what_there_is():
    with pytest.raises(ValueError, match="arithmetic 'float8'; allowed: float32, channels-last-float32"):
        Arithmetic.parse("float8")
    with pytest.raises(ValueError, match="precision 'float16'; allowed: float32, bfloat16"):
        Arithmetic("float16")


def test_float32_is_ieee_within_autocast_and_everything_is_given_back():
    torch.set_float32_matmul_precision("medium")
    try:
        a = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
        exact = (a.double() @ a.double()).float()
        with torch.autocast("cpu", torch.bfloat16):
            with REFERENCE.active(CPU):
                torch.testing.assert_close(a @ a, exact, atol=1e-4, rtol=1e-5)
            assert (a @ a).dtype == torch.bfloat16
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_order_can_be_changed_and_changed_back_without_touching_values():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2))
    before = model[0].weight.detach().clone()
    for last in (True, False, True):
        Arithmetic(channels_last=last).arrange(model)
        assert model[0].weight.is_contiguous(memory_format=torch.channels_last) == last
        assert torch.equal(model[0].weight, before)
