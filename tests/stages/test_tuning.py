"""The choice of an arithmetic: near enough first, fast second, the reference always left."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.stages.arithmetic import NAMES
from ffpipe.stages.tuning import TOLERANCE, Trial, fastest, try_all


class Coarse(Detector):
    """Under autocast its logit is off by `error`."""

    spec = DetectorSpec(name="coarse", summary="", paper="", input_size=16)

    def __init__(self, error: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.error = nn.Conv2d(3, 2, 3), error

    def forward(self, image, sida=None):
        logits = self.convolution(image).mean((2, 3)).float()
        return logits + torch.tensor([0.0, self.error]) * torch.is_autocast_enabled("cpu")


def inputs(batches: int) -> list[tuple[torch.Tensor, None]]:
    random = torch.Generator().manual_seed(1)
    return [(torch.rand(4, 3, 16, 16, generator=random), None) for _ in range(batches)]


@pytest.mark.parametrize(("error", "near"), [(0.0, True), (1.0, False)])
def test_scores_far_from_float32_s_are_not_accepted(error, near):
    trials = {trial.arithmetic: trial for trial in try_all(Coarse(error), inputs(3), torch.device("cpu"))}
    assert set(trials) == set(NAMES)
    assert trials["float32"].difference == 0
    assert trials["channels-last-float32"].difference < 1e-5
    for name in ("bfloat16", "channels-last-bfloat16"):
        assert trials[name].accepted == near
        if not near:  # a logit more by 1 near 0 is a score more by 0.23
            assert 0.2 < trials[name].difference < 0.25
    assert all(trial.seconds > 0 for trial in trials.values())


def test_the_model_comes_back_in_the_reference_s_order_and_in_evaluation():
    model = Coarse(0.0).train()
    try_all(model, inputs(1), torch.device("cpu"))
    assert not model.training
    assert model.convolution.weight.is_contiguous()


def test_the_fastest_of_those_near_enough_is_taken_where_it_gains_something():
    slow, near, far = Trial("float32", 3.0, 0.0), Trial("b", 2.0, TOLERANCE), Trial("c", 1.0, 2 * TOLERANCE)
    assert fastest([slow, near, far]) is near
    assert fastest([slow, far]) is slow
    assert fastest([slow, Trial("b", 2.9, 0.0)]) is slow
    assert Trial.from_json(near.to_json()) == near
