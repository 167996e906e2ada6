from __future__ import annotations

import colorsys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision.transforms import v2

from ffpipe.stages.augment import DAMAGE, Augmentation, augment, draw_generator
from ffpipe.stages.perturb import KINDS, Perturbation
from ffpipe.stages.statistics import face_sida

CROP = np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8)
STORED = np.arange(2304, dtype=np.float32)
COLOURS = {"brightness": 0.4, "contrast": 0.3, "saturation": 0.2, "hue": 0.1}
EVERYTHING = Augmentation(0.5, 0.5, 0.5, 0.5, **COLOURS)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _changed(settings: Augmentation, crop: np.ndarray = CROP, seed: int = 0) -> np.ndarray:
    return augment(crop, None, settings, _generator(seed))[0]


def test_an_untouched_crop_keeps_the_stored_statistics():
    crop, sida = augment(CROP, STORED, Augmentation(), _generator())
    assert crop is CROP
    assert sida is STORED


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Augmentation(horizontal_flip=1), CROP[:, ::-1]),
        (Augmentation(vertical_flip=1), CROP[::-1]),
        (Augmentation(horizontal_flip=1, vertical_flip=1), CROP[::-1, ::-1]),
    ],
)
def test_flips_move_pixels_and_nothing_else(settings: Augmentation, expected: np.ndarray):
    assert np.array_equal(_changed(settings), expected)


def test_grey_is_luma_in_all_three_channels():
    grey = _changed(Augmentation(grayscale=1))
    luma = CROP @ np.array([0.2989, 0.587, 0.114])  # truncated to bytes
    assert np.abs(grey + 0.5 - luma[..., None]).max() < 0.51


@pytest.mark.parametrize(
    "settings",
    [
        Augmentation(horizontal_flip=1),
        Augmentation(vertical_flip=1),
        Augmentation(grayscale=1),
        Augmentation(jitter=1, **COLOURS),
    ],
)
def test_a_changed_crop_gets_the_statistics_of_its_own_pixels(settings: Augmentation):
    crop, sida = augment(CROP, STORED, settings, _generator())
    assert sida is not None
    assert np.array_equal(sida, face_sida([crop])[0])
    assert not np.array_equal(sida, face_sida([CROP])[0])


def test_no_statistics_are_computed_for_a_detector_without_them():
    crop, sida = augment(CROP, None, Augmentation(horizontal_flip=1.0), _generator())
    assert sida is None
    assert np.array_equal(crop, CROP[:, ::-1])


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [
        ("brightness", ImageEnhance.Brightness),
        ("contrast", ImageEnhance.Contrast),
        ("saturation", ImageEnhance.Color),
    ],
)
def test_each_strength_is_a_factor_around_one_as_pillow_applies_it(name: str, enhancer: type):
    draws = [_changed(Augmentation(jitter=1, **{name: 0.4}), seed=seed) for seed in range(40)]
    factors = [_factor_of(draw, enhancer) for draw in draws]
    assert min(factors) >= 0.6
    assert max(factors) <= 1.4
    assert min(factors) < 0.75
    assert max(factors) > 1.25


def _factor_of(changed: np.ndarray, enhancer: type) -> float:
    """The factor in steps of 0.01 that takes CROP closest to `changed`; it has to come within rounding."""
    enhance = enhancer(Image.fromarray(CROP)).enhance
    errors = {
        factor: np.abs(np.asarray(enhance(factor), np.float64) - changed).mean()
        for factor in np.arange(55, 146) / 100
    }
    best = min(errors, key=lambda factor: errors[factor])
    assert errors[best] < 1.0
    return float(best)


def test_hue_turns_every_colour_by_one_angle_within_its_strength():
    turns = []
    for seed in range(30):
        turned = _changed(Augmentation(jitter=1, hue=0.1), seed=seed)
        before, after = (
            np.array([colorsys.rgb_to_hsv(*(p / 255)) for p in image.reshape(-1, 3)[:200]])
            for image in (CROP, turned)
        )
        vivid = before[:, 1] > 0.5
        difference = (after[vivid, 0] - before[vivid, 0] + 0.5) % 1 - 0.5
        turns.append(np.median(difference))
        assert np.abs(difference - turns[-1]).max() < 0.02
        assert np.abs(after[:, 2] - before[:, 2]).max() < 0.01
    assert -0.105 < min(turns) < -0.05
    assert 0.05 < max(turns) < 0.105


def test_it_is_torchvisions_color_jitter_with_the_factors_drawn_here():
    generator = _generator(3)
    torch.rand(4, generator=generator)
    places = torch.rand(4, generator=generator).tolist()
    params = {
        "brightness_factor": 1 + 0.4 * (2 * places[0] - 1),
        "contrast_factor": 1 + 0.3 * (2 * places[1] - 1),
        "saturation_factor": 1 + 0.2 * (2 * places[2] - 1),
        "hue_factor": 0.1 * (2 * places[3] - 1),
        "fn_idx": torch.randperm(4, generator=generator),
    }
    jitter = v2.ColorJitter(**COLOURS)
    expected = jitter.transform(torch.tensor(CROP).permute(2, 0, 1), params)
    found = _changed(Augmentation(jitter=1, **COLOURS), seed=3)
    assert np.array_equal(found, expected.permute(1, 2, 0).numpy())


@pytest.mark.parametrize("size", [(1, 1), (17, 16), (31, 45), (64, 64), (133, 7)])
def test_crops_of_any_size_stay_contiguous_bytes_and_the_stored_one_is_not_written_to(size):
    crop = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    kept = crop.copy()
    crop.setflags(write=False)
    changed = _changed(Augmentation(1, 1, 1, 1, **COLOURS), crop)
    assert changed.shape == crop.shape
    assert changed.dtype == np.uint8
    assert changed.flags.c_contiguous
    assert np.array_equal(crop, kept)


def test_about_half_of_the_draws_are_flipped_and_each_copy_draws_for_itself():
    flips = [
        [_flipped(draw_generator(seed=3, epoch=0, face=face, copy=copy)) for copy in range(4)]
        for face in range(250)
    ]
    share = np.mean(flips)
    assert 0.45 < share < 0.55
    # Four independent draws agree with probability 1/8.
    agreeing = np.mean([len(set(draws)) == 1 for draws in flips])
    assert 0.07 < agreeing < 0.19


def _flipped(generator: torch.Generator) -> bool:
    crop, _ = augment(CROP, None, Augmentation(horizontal_flip=0.5), generator)
    return crop is not CROP


def test_a_draw_depends_on_seed_epoch_face_and_copy_alone():
    def first(*key: int) -> float:
        return float(torch.rand((), generator=draw_generator(*key)))

    assert first(1, 2, 3, 4) == first(1, 2, 3, 4)
    others = {first(0, 2, 3, 4), first(1, 0, 3, 4), first(1, 2, 0, 4), first(1, 2, 3, 0), first(1, 2, 3, 4)}
    assert len(others) == 5


def test_both_images_of_a_pair_get_the_same_draw_whatever_their_size_and_content():
    other = np.zeros((64, 16, 3), np.uint8)
    for settings in (EVERYTHING, Augmentation(horizontal_flip=0.5), Augmentation()):
        for seed in range(20):
            first, second = _generator(seed), _generator(seed)
            augment(CROP, None, settings, first)
            augment(other, STORED, settings, second)
            assert torch.equal(first.get_state(), second.get_state())
    # A gradient to the right and to the bottom shows which flips happened, whatever the size.
    wide, tall = (
        np.mgrid[0:h, 0:w].sum(0).astype(np.uint8)[..., None].repeat(3, 2) for h, w in ((8, 30), (30, 8))
    )
    flips = Augmentation(horizontal_flip=0.5, vertical_flip=0.5)
    corners = {
        tuple(
            tuple(np.sign([int(c[0, 0, 0]) - int(c[0, -1, 0]), int(c[0, 0, 0]) - int(c[-1, 0, 0])]).tolist())
            for c in (_changed(flips, wide, seed), _changed(flips, tall, seed))
        )
        for seed in range(30)
    }
    assert len(corners) == 4
    assert all(first == second for first, second in corners)


def test_the_global_generators_are_left_alone_and_threads_do_not_change_the_result():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    alone = [_changed(EVERYTHING, seed=seed) for seed in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda seed: _changed(EVERYTHING, seed=seed), range(40)))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert torch.equal(torch.get_rng_state(), before)
    assert len({crop.tobytes() for crop in alone}) > 20


@pytest.mark.parametrize(
    "change", [{"hue": 0.6}, {"jitter": 1.5}, {"grayscale": -0.1}, {"brightness": "much"}]
)
def test_settings_out_of_range_are_refused_by_name(change):
    with pytest.raises(ValueError, match=rf"augmentation\.{next(iter(change))}=.*a number from 0 to"):
        Augmentation(**change)


def test_it_is_described_in_words():
    assert Augmentation().describe() == ""
    assert Augmentation(horizontal_flip=0.5).describe() == "mirrored with probability 0.5"
    text = EVERYTHING.describe()
    assert text.endswith(
        "jittered in colour with probability 0.5 (brightness 0.4, contrast 0.3, saturation 0.2, hue 0.1)"
    )


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_that_of_its_kind_within_its_range_and_d_is_that_of_the_damaged_pixels(kind):
    strength = {"resize": 0.5, "blur": 1.5, "noise": 6.0, "h264": 30.0, "jpeg": 55.0}[kind]
    settings = Augmentation(**{kind: 1.0, DAMAGE[kind]: (strength, strength)})
    crop, sida = augment(CROP, STORED, settings, _generator())
    assert sida is not None
    assert np.array_equal(sida, face_sida([crop])[0])
    if kind == "noise":
        assert np.std(crop.astype(float) - CROP) == pytest.approx(strength, abs=0.6)
    else:
        expected = Perturbation(kind, strength).apply(CROP, np.random.default_rng(0))
        assert np.array_equal(crop, expected)


def test_damage_leaves_the_earlier_draws_of_a_face_as_they_were():
    flips = Augmentation(horizontal_flip=0.5, jitter=0.5, **COLOURS)
    damaged = Augmentation(horizontal_flip=0.5, jitter=0.5, **COLOURS, blur=1e-9, noise=1e-9)
    for seed in range(20):
        assert np.array_equal(_changed(flips, seed=seed), _changed(damaged, seed=seed))


def test_damage_comes_as_often_as_asked_and_its_strength_is_spread_over_its_range():
    sizes = []
    settings = Augmentation(noise=0.3, noise_std=(2.0, 20.0))
    for seed in range(300):
        changed = _changed(settings, seed=seed)
        sizes.append(np.std(changed.astype(float) - CROP))
    hit = [size for size in sizes if size]
    assert 0.22 < len(hit) / 300 < 0.38
    assert 1.5 < min(hit) < 5
    assert 14 < max(hit) < 21


def test_every_usual_range_is_one_that_its_damage_allows():
    usual = Augmentation()
    for kind, name in DAMAGE.items():
        low, high = getattr(usual, name)
        assert KINDS[kind].least <= low < high <= KINDS[kind].most


@pytest.mark.parametrize("value", [[90, 40], [0, 50], [40], 40, [40, "x"], [40, True]])
def test_a_wrong_range_is_refused_with_what_is_allowed(value):
    with pytest.raises(ValueError, match=r"augmentation\.jpeg_quality=.*JPEG quality.*from 1 to 100"):
        Augmentation(jpeg_quality=value)


def test_settings_that_came_later_are_stored_only_where_they_are_used():
    first = ["horizontal_flip", "vertical_flip", "grayscale", "jitter"]
    assert list(Augmentation().to_json()) == [*first, "brightness", "contrast", "saturation", "hue"]
    changed = Augmentation(jpeg=0.3, jpeg_quality=[40, 90])
    assert changed.jpeg_quality == (40.0, 90.0)
    assert changed.to_json()["jpeg_quality"] == [40.0, 90.0]
    assert "compressed as JPEG (quality 40 to 90) with probability 0.3" in changed.describe()
