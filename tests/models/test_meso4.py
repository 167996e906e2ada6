"""Meso4 against NumPy, written from the paper's figure: the order of its layers, kernels and poolings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from layer_reference import batch_norm, conv2d, n, randomised

from ffpipe.models import create_detector
from ffpipe.models.errors import PretrainedError

#: Filters, kernel, pooling.
LAYERS = ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4))


def pool(x: np.ndarray, side: int) -> np.ndarray:
    batch, channels, height, width = x.shape
    return x.reshape(batch, channels, height // side, side, width // side, side).max((3, 5))


def test_convolution_relu_batchnorm_pooling_four_times_then_two_layers():
    model = randomised(create_detector("meso4", input_size=64))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits = n(model(image))
    x = n(image)
    for (filters, kernel, side), block in zip(LAYERS, model.blocks, strict=True):
        assert block[0].weight.shape == (filters, x.shape[1], kernel, kernel)
        x = pool(batch_norm(np.maximum(conv2d(x, block[0]), 0), block[2]), side)
    assert x.shape == (2, 16, 2, 2)
    hidden = x.reshape(2, -1) @ n(model.head[2].weight).T + n(model.head[2].bias)
    assert hidden.shape == (2, 16)
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    expected = hidden @ n(model.head[5].weight).T + n(model.head[5].bias)
    np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=1e-4)


def test_half_of_what_enters_both_layers_is_dropped_in_training():
    model = create_detector("meso4", input_size=256).train()
    seen = {}
    for layer in (2, 5):
        model.head[layer].register_forward_pre_hook(
            lambda _, args, layer=layer: seen.update({layer: args[0]})
        )
    torch.manual_seed(0)
    with torch.no_grad():
        model(torch.rand(64, 3, 256, 256)[:, :, :1, :1].expand(64, 3, 256, 256))
    assert seen[2].shape == (64, 1024)
    # After ReLU and BatchNorm all but no value is exactly 0 by itself.
    assert (seen[2] == 0).float().mean() == pytest.approx(0.5, abs=0.02)
    assert (seen[5] == 0).float().mean() == pytest.approx(0.5, abs=0.07)


def test_sizes_that_the_poolings_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="an integer from 32 to 1024 in steps of 32"):
        create_detector("meso4", input_size=100)


def test_it_takes_no_pretrained_weights():
    with pytest.raises(PretrainedError, match="meso4 has no backbone .* --pretrained none"):
        create_detector("meso4", pretrained="imagenet")
