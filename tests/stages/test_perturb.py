"""Each kind of damage does what its unit says, more of it at a higher strength, and the same again."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from ffpipe.stages.perturb import KINDS, Perturbation, blur, noise, resize


def photo(height: int = 96, width: int = 80) -> np.ndarray:
    """A picture whose detail falls with its fineness as in photographs: amplitude 1 / frequency."""
    y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
    fall = 1 / np.maximum(np.hypot(x, y), 1 / max(height, width))
    noise = np.random.default_rng(5).normal(0, 1, (height, width, 3))
    picture = np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * fall[..., None], axes=(0, 1)).real
    return np.clip(128 + 40 * picture / max(picture.std(), 1), 0, 255).astype(np.uint8)


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def error(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.sqrt(np.mean((left.astype(float) - right) ** 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_level_of_a_curve_damages_more_than_the_one_before(kind):
    crop = photo()
    errors = [error(Perturbation(kind, level).apply(crop, random()), crop) for level in KINDS[kind].levels]
    assert errors == sorted(errors) and errors[0] > 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(96, 80), (97, 75), (17, 32), (3, 2), (1, 1)])
def test_size_kind_and_source_stay(kind, size):
    crop = photo(*size)
    before = crop.copy()
    for strength in (KINDS[kind].least, KINDS[kind].most, *KINDS[kind].levels):
        damaged = Perturbation(kind, strength).apply(crop, random())
        assert damaged.shape == crop.shape and damaged.dtype == np.uint8
        assert damaged.flags.c_contiguous and not np.shares_memory(damaged, crop)
        np.testing.assert_array_equal(crop, before)


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_time_gives_the_same_pixels_and_only_noise_draws(kind):
    perturbation = Perturbation(kind, KINDS[kind].levels[2])
    first = perturbation.apply(photo(), random(1))
    np.testing.assert_array_equal(perturbation.apply(photo(), random(1)), first)
    other = perturbation.apply(photo(), random(2))
    assert np.array_equal(other, first) == (kind != "noise")


@pytest.mark.parametrize(("kind", "strength"), [("blur", 0), ("noise", 0), ("resize", 1)])
def test_a_strength_that_does_nothing_returns_an_equal_picture(kind, strength):
    np.testing.assert_array_equal(Perturbation(kind, strength).apply(photo(), random()), photo())


def test_noise_has_the_deviation_that_was_asked_for_and_no_shift():
    grey = np.full((200, 200, 3), 128, np.uint8)
    difference = noise(grey, 10, random()).astype(float) - 128
    # Rounding to whole levels adds a variance of 1/12.
    assert difference.std() == pytest.approx(math.sqrt(100 + 1 / 12), rel=0.01)
    assert abs(difference.mean()) < 0.1


def test_blur_spreads_an_edge_by_sigma():
    edge = np.zeros((8, 60, 3), np.uint8)
    edge[:, 30:] = 250
    slope = np.diff(blur(edge, 3)[4, :, 0].astype(float)) / 250
    x = np.arange(len(slope))
    variance = (slope * x**2).sum() - (slope * x).sum() ** 2
    assert math.sqrt(variance) == pytest.approx(3, rel=0.03)


def test_resizing_by_half_keeps_what_varies_slowly_and_loses_what_varies_by_pixel():
    fine = np.indices((64, 64)).sum(0)[..., None] % 2 * np.full(3, 200)
    assert np.ptp(resize(fine.astype(np.uint8), 0.5)) == 0
    slope = np.repeat(np.arange(64)[None, :, None] * 3, 64, 0).repeat(3, 2).astype(np.uint8)
    assert error(resize(slope, 0.5), slope) < 1


def test_jpeg_is_coded_in_blocks_of_eight():
    damaged = Perturbation("jpeg", 5).apply(photo(), random()).astype(float)
    steps = np.abs(np.diff(damaged, axis=1)).mean(axis=(0, 2))
    borders = np.arange(7, len(steps), 8)
    assert steps[borders].mean() > 1.3 * np.delete(steps, borders).mean()


@pytest.mark.parametrize("colour", [(250, 10, 10), (10, 240, 20), (20, 30, 250), (128, 128, 128)])
@pytest.mark.parametrize(("kind", "strength"), [("h264", 1), ("jpeg", 100)])
def test_codecs_keep_colours_apart_from_rounding(kind, strength, colour):
    plain = np.full((33, 47, 3), colour, np.uint8)
    damaged = Perturbation(kind, strength).apply(plain, random()).astype(int)
    assert np.abs(damaged - colour).max() <= 3


def test_h264_does_not_darken():
    smooth = cv2.GaussianBlur(photo(), (0, 0), 4)
    damaged = Perturbation("h264", 10).apply(smooth, random()).astype(float)
    assert abs((damaged - smooth).mean()) < 0.25


@pytest.mark.parametrize(
    ("kind", "strength", "words"),
    [
        ("sepia", 1, "there are h264, jpeg"),
        ("h264", 52, "0 to 51"),
        ("h264", -1, "0 to 51"),
        ("jpeg", 0, "1 to 100"),
        ("resize", 0, "0.01 to 1"),
        ("blur", math.nan, "0 to 50"),
        ("noise", True, "0 to 255"),
    ],
)
def test_a_wrong_kind_or_strength_says_what_is_allowed(kind, strength, words):
    with pytest.raises(ValueError, match=words):
        Perturbation(kind, strength)
