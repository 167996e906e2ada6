"""SIDA against float64 SciPy, on what breaks naive implementations: grey, flat, tiny, outliers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.fft
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spectral_reference import (
    PICTURES,
    as_batch,
    assert_near,
    reference_dct,
    reference_sida,
)

from ffpipe.models import sida, spectral


@pytest.mark.parametrize("name", PICTURES)
def test_sida_from_pixels_equals_two_pass_float64(name):
    rgb = PICTURES[name]
    found = sida.sida_of(as_batch(rgb))
    assert found.shape == (1, sida.SIDA_SIZE) == (1, 2304)
    assert_near(found[0], reference_sida(reference_dct(rgb)))


@pytest.mark.parametrize("name", PICTURES)
def test_sida_of_coefficients_equals_two_pass_float64(name):
    coefficients = spectral.block_dct(as_batch(PICTURES[name]))
    assert_near(sida.sida(coefficients)[0], reference_sida(coefficients[0].numpy().astype(np.float64)))


def test_sida_agrees_with_scipy_stats():
    coefficients = spectral.block_dct(as_batch(PICTURES["photo"]))
    d = sida.sida(coefficients).view(sida.SIDA_SHAPE)
    row = np.abs(np.diff(coefficients[0, 1, 5].numpy().astype(np.float64), axis=0)).ravel()
    expected = (row.mean(), row.std(), scipy.stats.skew(row), scipy.stats.kurtosis(row, fisher=False))
    np.testing.assert_allclose(d[:, 0, 1, 5].numpy(), expected, rtol=1e-4)
    assert (d[:, 2, :, 63] == 0).all(), "the 64th intra difference is padding"


def test_grey_chroma_has_no_shape():
    d = sida.sida_of(as_batch(PICTURES["grey photo"])).view(sida.SIDA_SHAPE)
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
    assert_near(sida.sida_of(as_batch(rgb))[0], reference_sida(reference_dct(rgb)))


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
    assert_near(sida.sida(coefficients)[0], expected)


def test_a_batch_is_its_crops():
    crops = torch.from_numpy(np.random.default_rng(5).integers(0, 256, (3, 3, 144, 152)).astype(np.uint8))
    together = sida.sida_of(crops)
    assert torch.equal(together, torch.cat([sida.sida_of(crop[None]) for crop in crops]))
    torch.testing.assert_close(together, sida.sida(spectral.block_dct(crops)), rtol=1e-4, atol=1e-6)


def test_kept_memory_leaks_nothing_between_crops_modes_and_threads():
    rng = np.random.default_rng(8)
    crops = [
        as_batch(rng.integers(0, 256, (3, *size)).astype(np.uint8))
        for size in ((400, 136), (16, 24), (136, 400), (1040, 1040))
    ]
    expected = [sida.sida_of(crop.float()) for crop in crops]

    def work(turn: int) -> list[torch.Tensor]:
        with torch.inference_mode():
            first = sida.sida_of(crops[turn % 4]).clone()
        rest = [sida.sida_of(crops[(turn + k) % 4]) for k in range(1, 4)]
        return [[first, *rest][(k - turn) % 4] for k in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(work, range(8)):
            for a, b in zip(found, expected, strict=True):
                assert torch.equal(a, b)


def test_sida_takes_views_and_pads_odd_crops():
    rgb = PICTURES["photo"][:, :150, :131]
    padded = np.pad(rgb, ((0, 0), (0, 2), (0, 5)), mode="edge")
    channels_last = np.ascontiguousarray(rgb.transpose(1, 2, 0))
    found = sida.sida_of(torch.from_numpy(channels_last).permute(2, 0, 1)[None])
    assert_near(found[0], reference_sida(reference_dct(padded)))


@pytest.mark.parametrize("size", [(8, 64), (64, 8), (5, 5)])
def test_fewer_than_two_blocks_are_refused(size):
    with pytest.raises(ValueError, match="at least 2x2 blocks"):
        sida.sida_of(torch.zeros(1, 3, *size, dtype=torch.uint8))


def test_compression_is_odd_and_logarithmic():
    d = torch.tensor([-3.0, 0.0, 1.0, 1e6])
    np.testing.assert_allclose(
        sida.compress_sida(d).numpy(), np.sign(d.numpy()) * np.log1p(np.abs(d.numpy())), rtol=1e-6
    )
