"""Learnable band filters against NumPy and SciPy, and that they can learn from where they start."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch
from layer_reference import draw, n

from ffpipe.models.band_filters import BandFilters


def bases(side: int) -> torch.Tensor:
    """Upper and lower half of the spectrum."""
    upper = torch.arange(side)[:, None].expand(side, side) < side // 2
    return torch.stack((upper, ~upper)).float()


@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_a_learnable_filter_squashed_by_f3_net_s_sigma_is_added_to_each_base(spread):
    filters = BandFilters(bases(12), spread)
    x = n(filters.learnable)
    assert abs(x.std() - spread) < 0.2 * spread
    np.testing.assert_allclose(n(filters()), n(bases(12)) + (1 - np.exp(-x)) / (1 + np.exp(-x)), atol=1e-6)


def test_images_are_what_the_filters_pass_of_the_whole_spectrum():
    filters, image = BandFilters(bases(12), 1.0), draw(2, 3, 12, 12)
    spectrum = scipy.fft.dctn(n(image), type=2, norm="ortho", axes=(2, 3))
    passed = [scipy.fft.idctn(spectrum * f, type=2, norm="ortho", axes=(2, 3)) for f in n(filters())]
    np.testing.assert_allclose(n(filters.images(image)), np.concatenate(passed, 1), atol=1e-5)


def test_filters_that_start_at_nothing_pass_the_base_and_learn():
    filters, image = BandFilters(bases(12)), draw(2, 3, 12, 12)
    assert torch.equal(filters(), bases(12))
    images = filters.images(image)
    torch.testing.assert_close(images[:, :3] + images[:, 3:], image, atol=1e-5, rtol=0)
    (images * draw(2, 6, 12, 12, seed=1)).sum().backward()
    assert (filters.learnable.grad.abs() > 1e-6).all(), "also outside of the base, where nothing passes yet"


def test_only_what_learns_is_stored():
    assert list(BandFilters(bases(12)).state_dict()) == ["learnable"]
