"""The spectral operators against float64 SciPy, on what breaks naive implementations."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import torch
from spectral_reference import (
    ANNEX_F,
    PICTURES,
    as_batch,
    assert_near,
    reference_dct,
    reference_sida,
    reference_ycbcr,
)

from ffpipe.models import sida, spectral


def test_zigzag_is_annex_f():
    assert [ANNEX_F[v, u] for v, u in spectral.zigzag_order()] == list(range(64))


def test_ycbcr_is_level_shifted_full_range():
    colours = np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [99, 99, 99]])
    image = colours.T.reshape(3, 1, 6).astype(np.uint8)
    found = spectral.rgb_to_ycbcr(as_batch(image))[0].numpy()
    np.testing.assert_allclose(found, reference_ycbcr(image), atol=5e-5)
    assert (found[1:, 0, [0, 1, 5]] == 0).all(), "grey has no chroma at all"
    # JFIF's own table: pure red is Y 76.245, Cb 84.972, Cr 255.5 before the shift.
    np.testing.assert_allclose(found[:, 0, 2] + 128, (76.245, 84.972, 255.5), atol=1e-3)


def test_padding_replicates_right_and_bottom():
    image = torch.arange(3 * 9 * 15, dtype=torch.float32).view(1, 3, 9, 15)
    padded = spectral.pad_to_blocks(image)
    assert padded.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(
        padded[0].numpy(), np.pad(image[0].numpy(), ((0, 0), (0, 7), (0, 1)), mode="edge")
    )
    assert spectral.pad_to_blocks(padded) is padded


@pytest.mark.parametrize("name", PICTURES)
def test_block_dct_equals_scipy(name):
    rgb = PICTURES[name]
    found = spectral.block_dct(as_batch(rgb))
    assert found.shape == (1, 3, 64, rgb.shape[1] // 8, rgb.shape[2] // 8)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found[0].numpy(), reference_dct(rgb), atol=1e-3, rtol=0)
    assert torch.equal(spectral.block_dct(as_batch(rgb).float()), found), (
        "uint8 and float take the same values"
    )


def test_block_dct_leaves_its_input_alone_and_is_differentiable():
    image = (torch.rand(2, 3, 24, 16) * 255).requires_grad_()
    before = image.detach().clone()
    weight = torch.randn(2, 3, 64, 3, 2)
    (spectral.block_dct(image) * weight).sum().backward()
    assert torch.equal(image, before)
    # The transform is linear: its gradient is the same everywhere, and finite differences are exact but for rounding.
    step = torch.zeros_like(before)
    step[1, 2, 13, 9] = 64.0
    with torch.no_grad():
        slope = ((spectral.block_dct(before + step) - spectral.block_dct(before)) * weight).sum() / 64
    assert image.grad is not None
    assert image.grad[1, 2, 13, 9] == pytest.approx(slope.item(), abs=1e-3)


class Operator(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, image):
        return self.function(image)


@pytest.mark.parametrize("side", [32, 136])  # few blocks are computed in float64
@pytest.mark.parametrize(
    "function",
    [
        spectral.rgb_to_ycbcr,
        spectral.block_dct,
        spectral.area_bands,
        lambda x: spectral.radial_band(x, "mid"),
    ],
)
def test_an_exported_operator_computes_the_same_for_any_batch_and_scatters_nothing(function, side):
    images = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(0)) * 255
    expected = function(images)
    program = torch.export.export(
        Operator(function), (images[:2],), dynamic_shapes=[{0: torch.export.Dim("batch", min=1)}]
    )
    for count in (1, 3):
        torch.testing.assert_close(program.module()(images[:count]), expected[:count], atol=1e-4, rtol=0)
    operators = {str(node.target) for node in program.run_decompositions().graph.nodes}
    assert not [name for name in operators if "scatter" in name]


@pytest.mark.parametrize("size", [(8, 12), (7, 8)])
def test_block_dct_refuses_broken_blocks(size):
    with pytest.raises(ValueError, match="pad_to_blocks"):
        spectral.block_dct(torch.zeros(1, 3, *size))


def test_channels_are_checked():
    with pytest.raises(ValueError, match=r"\(B,3,H,W\)"):
        spectral.block_dct(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"\(B,3,64,h,w\)"):
        sida.sida(torch.zeros(1, 64, 3, 2, 2))


def test_autocast_and_fast_matmuls_do_not_reach_the_operators():
    image = as_batch(PICTURES["photo"]).float()
    exact = (spectral.block_dct(image), sida.sida_of(image), spectral.full_dct(image))
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hurried = (spectral.block_dct(image), sida.sida_of(image), spectral.full_dct(image))
        assert torch.get_float32_matmul_precision() == "medium", "the setting is given back"
    finally:
        torch.set_float32_matmul_precision("highest")
    for a, b in zip(exact, hurried, strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert torch.equal(a, b)


def test_precision_is_given_back_after_an_error():
    torch.set_float32_matmul_precision("high")
    try:
        with pytest.raises(RuntimeError), spectral.exact_float32(torch.device("cpu")):
            raise RuntimeError
        assert torch.backends.mkldnn.matmul.fp32_precision == "tf32"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("size", [(256, 256), (63, 40)])
def test_full_dct_equals_scipy_and_inverts(size):
    image = np.random.default_rng(1).uniform(-1, 1, (2, 3, *size))
    found = spectral.full_dct(torch.from_numpy(image))
    expected = scipy.fft.dctn(image, type=2, norm="ortho", axes=(2, 3))
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)
    np.testing.assert_allclose(spectral.full_idct(found).numpy(), image, atol=2e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="TF32 exists on CUDA only")
def test_tf32_and_autocast_do_not_reach_the_operators_on_cuda():
    rgb = PICTURES["photo"]
    image = as_batch(rgb).cuda()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            coefficients, d = spectral.block_dct(image), sida.sida_of(image)
            restored = spectral.full_idct(spectral.full_dct(image))
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_allclose(coefficients[0].cpu().numpy(), reference_dct(rgb), atol=1e-3, rtol=0)
    assert_near(d[0].cpu(), reference_sida(reference_dct(rgb)))
    np.testing.assert_allclose(restored[0].cpu().numpy(), rgb, atol=1e-3)


def test_area_bands_cut_the_spectrum_by_area_and_sum_to_the_image():
    masks = spectral.area_masks(256, torch.device("cpu")).numpy()
    assert (masks.sum(0) == 1).all()
    shares = masks.mean((1, 2))
    np.testing.assert_allclose(shares, [1 / 16, 1 / 16, 7 / 8], atol=2e-3)
    image = np.random.default_rng(4).normal(size=(2, 3, 64, 64)).astype(np.float32)
    found = spectral.area_bands(torch.from_numpy(image)).numpy()
    assert found.shape == (2, 9, 64, 64)
    i, j = np.mgrid[0:64, 0:64]
    edges = [0, 64 / (2 * np.sqrt(2)), 32, 128]
    for band in range(3):
        kept = scipy.fft.dctn(image.astype(np.float64), type=2, norm="ortho", axes=(2, 3))
        kept[..., (i + j < edges[band]) | (i + j >= edges[band + 1])] = 0
        expected = scipy.fft.idctn(kept, type=2, norm="ortho", axes=(2, 3))
        np.testing.assert_allclose(found[:, 3 * band : 3 * band + 3], expected, atol=1e-5)
    np.testing.assert_allclose(found.reshape(2, 3, 3, 64, 64).sum(1), image, atol=1e-5)


@pytest.mark.parametrize("size", [(56, 56), (63, 42)])
def test_radial_bands_equal_numpy_and_sum_to_the_image(size):
    image = np.random.default_rng(5).normal(size=(2, 3, *size)).astype(np.float32)
    v, u = (np.arange(n) - n // 2 for n in size)
    radius = np.hypot(v[:, None], u[None, :])
    radius /= radius.max()
    total = np.zeros(image.shape)
    for band, low, high in (("low", 0, 1 / 3), ("mid", 1 / 3, 2 / 3), ("high", 2 / 3, 1.1)):
        shifted = np.fft.fftshift(np.fft.fft2(image.astype(np.float64)), axes=(2, 3))
        shifted[..., (radius < low) | (radius >= high)] = 0
        expected = np.fft.ifft2(np.fft.ifftshift(shifted, axes=(2, 3))).real
        found = spectral.radial_band(torch.from_numpy(image), band).numpy()
        np.testing.assert_allclose(found, expected, atol=1e-5)
        total += found
    np.testing.assert_allclose(total, image, atol=1e-5)
