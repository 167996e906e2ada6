"""The attention that F3-Net and SFCL-HCMF share, against NumPy, and its precision."""

from __future__ import annotations

import numpy as np
import scipy.special
import torch
from layer_reference import conv1x1, draw, n, randomised

from ffpipe.models.cross_attention import CrossAttention


def test_each_row_of_one_map_asks_all_rows_of_both():
    block = randomised(CrossAttention(3, 4))
    x_s, x_f = draw(2, 3, 5, 5), draw(2, 4, 5, 5, seed=1)
    queries = np.concatenate((conv1x1(n(x_f), block.query_f), conv1x1(n(x_s), block.query_s)), 3)
    keys = np.concatenate((conv1x1(n(x_f), block.key_f), conv1x1(n(x_s), block.key_s)), 3)
    alpha = n(block.attention(x_s, x_f))
    for image in range(2):
        for channel in range(3):
            for row in range(5):
                energy = [queries[image, channel, row] @ keys[image, channel, other] for other in range(5)]
                expected = scipy.special.softmax(np.array(energy) / np.sqrt(10))
                np.testing.assert_allclose(alpha[image, channel, row], expected, atol=1e-5)


def test_the_softmax_runs_in_float32_under_autocast():
    block = randomised(CrossAttention(3, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        alpha = block.attention(draw(1, 3, 5, 5), draw(1, 4, 5, 5))
    assert alpha.dtype == torch.float32
    torch.testing.assert_close(alpha.sum(3), torch.ones(1, 3, 5), atol=1e-6, rtol=0)
