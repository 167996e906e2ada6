"""The spectral operators against float64 SciPy, on what breaks naive implementations: grey, flat, tiny, outliers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffpipe.models import spectral

# JPEG Annex F, figure F.6: position of each coefficient in the scan, row by row.
ANNEX_F = np.array(
    [
        [0, 1, 5, 6, 14, 15, 27, 28],
        [2, 4, 7, 13, 16, 26, 29, 42],
        [3, 8, 12, 17, 25, 30, 41, 43],
        [9, 11, 18, 24, 31, 40, 44, 53],
        [10, 19, 23, 32, 39, 45, 52, 54],
        [20, 22, 33, 38, 46, 51, 55, 60],
        [21, 34, 37, 47, 50, 56, 59, 61],
        [35, 36, 48, 49, 57, 58, 62, 63],
    ]
)


def reference_ycbcr(rgb: np.ndarray) -> np.ndarray:
    """(3,H,W) -> level-shifted YCbCr in float64, from the definition of full-range BT.601."""
    r, g, b = rgb.astype(np.float64)
    y = 0.299 * r + 0.587 * g + 0.114 * b
    return np.stack((y - 128, (b - y) / 1.772, (r - y) / 1.402))


def reference_dct(rgb: np.ndarray) -> np.ndarray:
    """(3,H,W) -> (3,64,h,w) in float64, by SciPy block by block."""
    _, height, width = rgb.shape
    cells = reference_ycbcr(rgb).reshape(3, height // 8, 8, width // 8, 8).transpose(0, 1, 3, 2, 4)
    blocks = scipy.fft.dctn(cells, type=2, norm="ortho", axes=(3, 4))
    zigzag = np.empty((3, 64, height // 8, width // 8))
    for (v, u), position in np.ndenumerate(ANNEX_F):
        zigzag[:, position] = blocks[..., v, u]
    return zigzag


def reference_sida(x: np.ndarray) -> np.ndarray:
    """(3,64,h,w) -> (2304,): eq 1-8 in two passes of float64."""
    d = np.zeros((4, 3, 3, 64))
    differences = (x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1], x[:, 1:] - x[:, :-1])
    for k, difference in enumerate(differences):
        a = np.abs(difference).reshape(3, difference.shape[1], -1)
        bands = slice(0, a.shape[1])
        mean = a.mean(-1)
        std = np.sqrt(((a - mean[..., None]) ** 2).mean(-1))
        steady = std < 1e-3
        scale = np.where(steady, 1, std)[..., None]
        z = (a - mean[..., None]) / scale
        d[0, k, :, bands], d[1, k, :, bands] = mean, std
        d[2, k, :, bands] = np.where(steady, 0, (z**3).mean(-1))
        d[3, k, :, bands] = np.where(steady, 0, (z**4).mean(-1))
    return d.ravel()


def assert_near(found: torch.Tensor, expected: np.ndarray) -> None:
    """The tolerance that D promises."""
    assert found.dtype == torch.float32
    error = np.abs(found.numpy() - expected) - 1e-4 * (np.abs(expected) + 0.01)
    assert error.max() <= 0, (
        f"element {error.argmax()} is {found[error.argmax()]}, not {expected[error.argmax()]}"
    )


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    yy, xx = np.mgrid[0:200, 0:264]
    smooth = 128 + 60 * np.sin(yy / 31) + 50 * np.cos(xx / 17 + yy / 43)
    photo = np.clip(
        np.stack((smooth, 0.8 * smooth + 20, 250 - smooth)) + rng.normal(0, 3, (3, 200, 264)), 0, 255
    )
    photo = photo.astype(np.uint8)
    outlier = np.full((3, 256, 256), 90, np.uint8)
    outlier[:, 100, 77] = (255, 0, 10)
    half = rng.integers(0, 256, (3, 256, 256)).astype(np.uint8)
    half[:, 64:] = 40
    return {
        "photo": photo,
        "grey photo": np.repeat(photo[:1], 3, 0),
        "noise": rng.integers(0, 256, (3, 264, 200)).astype(np.uint8),
        "black and white noise": (rng.integers(0, 2, (3, 208, 208)) * 255).astype(np.uint8),
        "flat grey": np.full((3, 256, 256), 77, np.uint8),
        "flat colour": np.broadcast_to(np.array([10, 201, 33], np.uint8)[:, None, None], (3, 256, 256)),
        "horizontal ramp": np.broadcast_to((np.arange(256, dtype=np.uint8))[None, None, :], (3, 256, 256)),
        "vertical ramp": np.broadcast_to((np.arange(256, dtype=np.uint8))[None, :, None], (3, 256, 256)),
        "one odd pixel": outlier,
        "noise over flat": half,
        "tiny noise": rng.integers(0, 256, (3, 16, 16)).astype(np.uint8),
        "tiny photo": photo[:, 80:96, 32:48],
        "two blocks high": photo[:, :16, :256],
    }


PICTURES = pictures()


def as_batch(rgb: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb))[None]


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


@pytest.mark.parametrize("size", [(8, 12), (7, 8)])
def test_block_dct_refuses_broken_blocks(size):
    with pytest.raises(ValueError, match="pad_to_blocks"):
        spectral.block_dct(torch.zeros(1, 3, *size))


def test_channels_are_checked():
    with pytest.raises(ValueError, match=r"\(B,3,H,W\)"):
        spectral.block_dct(torch.zeros(1, 1, 8, 8))
    with pytest.raises(ValueError, match=r"\(B,3,64,h,w\)"):
        spectral.sida(torch.zeros(1, 64, 3, 2, 2))


@pytest.mark.parametrize("name", PICTURES)
def test_sida_from_pixels_equals_two_pass_float64(name):
    rgb = PICTURES[name]
    found = spectral.sida_of(as_batch(rgb))
    assert found.shape == (1, spectral.SIDA_SIZE) == (1, 2304)
    assert_near(found[0], reference_sida(reference_dct(rgb)))


@pytest.mark.parametrize("name", PICTURES)
def test_sida_of_coefficients_equals_two_pass_float64(name):
    coefficients = spectral.block_dct(as_batch(PICTURES[name]))
    assert_near(spectral.sida(coefficients)[0], reference_sida(coefficients[0].numpy().astype(np.float64)))


def test_sida_agrees_with_scipy_stats():
    coefficients = spectral.block_dct(as_batch(PICTURES["photo"]))
    d = spectral.sida(coefficients).view(spectral.SIDA_SHAPE)
    row = np.abs(np.diff(coefficients[0, 1, 5].numpy().astype(np.float64), axis=0)).ravel()
    expected = (row.mean(), row.std(), scipy.stats.skew(row), scipy.stats.kurtosis(row, fisher=False))
    np.testing.assert_allclose(d[:, 0, 1, 5].numpy(), expected, rtol=1e-4)
    assert (d[:, 2, :, 63] == 0).all(), "the 64th intra difference is padding"


def test_grey_chroma_has_no_shape():
    d = spectral.sida_of(as_batch(PICTURES["grey photo"])).view(spectral.SIDA_SHAPE)
    assert (d[:, :, 1:] == 0).all()
    assert (d[3, :, 0, :63] >= 1).all(), "a kurtosis is never under 1"


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 20),
    columns=st.integers(2, 20),
    centre=st.integers(0, 255),
    spread=st.sampled_from([0, 1, 2, 20, 255]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sida_holds_its_tolerance_anywhere(rows, columns, centre, spread, seed):
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, (3, rows * 8, columns * 8))
    rgb = np.clip(centre + noise, 0, 255).astype(np.uint8)
    assert_near(spectral.sida_of(as_batch(rgb))[0], reference_sida(reference_dct(rgb)))


@settings(max_examples=25, deadline=None)
@given(
    offset=st.floats(0, 1e3),
    spread=st.floats(1e-2, 1e2),
    rows=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_moments_do_not_cancel(offset, spread, rows, seed):
    # Blocks that climb by `offset` make |difference| a large mean with a small spread: raw moments fail here.
    rng = np.random.default_rng(seed)
    climb = offset * np.arange(rows)[:, None] + spread * rng.standard_normal((3, 64, rows, 7))
    coefficients = torch.from_numpy(climb.astype(np.float32))[None]
    expected = reference_sida(coefficients[0].numpy().astype(np.float64))
    assert_near(spectral.sida(coefficients)[0], expected)


def test_a_batch_is_its_crops():
    crops = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (3, 3, 144, 152)).astype(np.uint8))
    together = spectral.sida_of(crops)
    assert torch.equal(together, torch.cat([spectral.sida_of(crop[None]) for crop in crops]))
    torch.testing.assert_close(together, spectral.sida(spectral.block_dct(crops)), rtol=1e-4, atol=1e-6)


def test_kept_memory_leaks_nothing_between_crops_modes_and_threads():
    rng = np.random.default_rng(8)
    crops = [
        as_batch(rng.integers(0, 256, (3, *size)).astype(np.uint8))
        for size in ((400, 136), (16, 24), (136, 400), (1040, 1040))
    ]
    expected = [spectral.sida_of(crop.float()) for crop in crops]

    def work(turn: int) -> list[torch.Tensor]:
        with torch.inference_mode():
            first = spectral.sida_of(crops[turn % 4]).clone()
        rest = [spectral.sida_of(crops[(turn + k) % 4]) for k in range(1, 4)]
        return [[first, *rest][(k - turn) % 4] for k in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, range(8)):
            for a, b in zip(found, expected, strict=True):
                assert torch.equal(a, b)


def test_sida_takes_views_and_pads_odd_crops():
    rgb = PICTURES["photo"][:, :150, :131]
    padded = np.pad(rgb, ((0, 0), (0, 2), (0, 5)), mode="edge")
    channels_last = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    found = spectral.sida_of(torch.from_numpy(channels_last).permute(2, 0, 1)[None])
    assert_near(found[0], reference_sida(reference_dct(padded)))


@pytest.mark.parametrize("size", [(8, 64), (64, 8), (5, 5)])
def test_fewer_than_two_blocks_are_refused(size):
    with pytest.raises(ValueError, match="at least 2x2 blocks"):
        spectral.sida_of(torch.zeros(1, 3, *size, dtype=torch.uint8))


def test_autocast_and_fast_matmuls_do_not_reach_the_operators():
    image = as_batch(PICTURES["photo"]).float()
    exact = (spectral.block_dct(image), spectral.sida_of(image), spectral.full_dct(image))
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hurried = (spectral.block_dct(image), spectral.sida_of(image), spectral.full_dct(image))
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


def test_compression_is_odd_and_logarithmic():
    d = torch.tensor([-3.0, 0.0, 1.0, 1e6])
    np.testing.assert_allclose(
        spectral.compress_sida(d).numpy(), np.sign(d.numpy()) * np.log1p(np.abs(d.numpy())), rtol=1e-6
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="TF32 exists on CUDA only")
def test_tf32_and_autocast_do_not_reach_the_operators_on_cuda():
    rgb = PICTURES["photo"]
    image = as_batch(rgb).cuda()
    torch.set_float32_matmul_precision("high")
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            coefficients, d = spectral.block_dct(image), spectral.sida_of(image)
            restored = spectral.full_idct(spectral.full_dct(image))
    finally:
        torch.set_float32_matmul_precision("highest")
    np.testing.assert_allclose(coefficients[0].cpu().numpy(), reference_dct(rgb), atol=1e-3, rtol=0)
    assert_near(d[0].cpu(), reference_sida(reference_dct(rgb)))
    np.testing.assert_allclose(restored[0].cpu().numpy(), rgb, atol=1e-3)
