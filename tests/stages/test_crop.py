"""Crops lie where the architecture says, and come back from storage bit for bit or not at all."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.errors import IntegrityError
from ffpipe.stages.crop import (
    CropSettings,
    crop_box,
    crop_for_ready_made,
    cut,
    decode_crop,
    encode_crop,
    sharpness,
    store,
    too_small,
)

corner = st.floats(-3000, 3000)
side = st.floats(0.01, 2000)


def photo(height: int = 90, width: int = 120, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@given(corner, corner, side, side, st.sampled_from([CropSettings(), CropSettings(margin=1.6, snap=16)]))
def test_crop_box_is_square_on_the_grid_and_holds_the_widened_box(x, y, w, h, settings):
    x0, y0, x1, y1 = crop_box((x, y, x + w, y + h), settings)
    snap = settings.snap
    assert x1 - x0 == y1 - y0
    assert all(v % snap == 0 for v in (x0, y0, x1, y1))
    assert x1 - x0 == snap * np.ceil(settings.margin * max(x + w - x, y + h - y) / snap) + snap
    half = settings.margin * max(w, h) / 2
    centre_x, centre_y = x + w / 2, y + h / 2
    tolerance = 1e-6
    assert x0 <= centre_x - half + tolerance and x1 >= centre_x + half - tolerance
    assert y0 <= centre_y - half + tolerance and y1 >= centre_y + half - tolerance
    assert abs((x0 + x1) / 2 - centre_x) <= snap / 2 + tolerance
    assert abs((y0 + y1) / 2 - centre_y) <= snap / 2 + tolerance


def test_crop_box_of_a_known_face():
    # 1.3 * 100 = 130 -> 136 + 8 = 144; centre 150, 160 -> origin 78, 88 -> 80, 88.
    assert crop_box((100, 120, 200, 200)) == (80, 88, 224, 232)


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (0, 0, 5, -1), (0, 0, float("nan"), 4), (0, 0, float("inf"), 4)]
)
def test_a_box_without_area_is_refused(box):
    with pytest.raises(ValueError, match="finite corners and an area"):
        crop_box(box)


@given(st.integers(-300, 300), st.integers(-300, 300), st.sampled_from([16, 48, 200]))
def test_outside_the_frame_the_edge_is_replicated(x, y, size):
    frame = photo()
    padded = np.pad(frame, ((600, 600), (600, 600), (0, 0)), mode="edge")
    crop = cut(frame, (x, y, x + size, y + size))
    assert np.array_equal(crop, padded[y + 600 : y + 600 + size, x + 600 : x + 600 + size])
    assert crop.flags.owndata or crop.base is not frame


def test_a_crop_outlives_its_frame():
    frame = photo()
    crop = cut(frame, (8, 8, 40, 40))
    before = crop.copy()
    frame[:] = 0
    assert np.array_equal(crop, before)


@pytest.mark.parametrize(
    ("box", "small"),
    [
        ((0, 0, 16, 16), False),
        ((-8, 0, 16, 24), False),
        ((-16, 0, 8, 24), True),
        ((112, 80, 136, 104), True),
        ((200, 200, 300, 300), True),
    ],
)
def test_too_small_counts_the_blocks_that_show_the_frame(box, small):
    assert too_small(box, 120, 90) is small


@given(st.integers(16, 700), st.integers(16, 700), st.sampled_from([64, 256, 512]))
def test_stored_crops_are_bounded_and_smaller_ones_untouched(height, width, size):
    crop = np.zeros((height, width, 3), np.uint8)
    stored = store(crop, size)
    if max(height, width) <= size:
        assert stored is crop
    else:
        assert max(stored.shape[:2]) == size
        assert min(stored.shape[:2]) >= 16
        assert all(v % 8 == 0 for v in stored.shape[:2])


def test_downscaling_averages_areas():
    crop = photo(128, 128)
    expected = crop.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert np.abs(store(crop, 64) - expected).max() <= 0.5


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_png_round_trip_is_exact(height, width, seed):
    image = photo(height, width, seed)
    assert np.array_equal(decode_crop(encode_crop(image)), image)


def test_every_damaged_or_missing_byte_is_noticed():
    data = encode_crop(photo(24, 24))
    for at in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[at] ^= 0x10
        with pytest.raises(IntegrityError):
            decode_crop(bytes(damaged))
        with pytest.raises(IntegrityError):
            decode_crop(data[:at])
    with pytest.raises(IntegrityError):
        decode_crop(data + b"\0")


def test_fingerprints_tell_settings_apart_and_never_change():
    assert (
        CropSettings().fingerprint() == CropSettings(1.3, 8, 512, "area").fingerprint() == "5195328204595f35"
    )
    others = [CropSettings(margin=1.4), CropSettings(snap=16), CropSettings(store_size=256)]
    assert len({CropSettings().fingerprint(), *(s.fingerprint() for s in others)}) == 4
    assert CropSettings(kind="crop").fingerprint() == "e348c3ef39bb02f3"
    whole = {CropSettings(kind="whole", store_size=size).fingerprint() for size in (64, 512)}
    assert len(whole) == 1, "whole images are stored as they are, whatever the size for crops"


def test_settings_are_read_from_what_any_version_stored():
    older = {"margin": 1.3, "snap": 8, "store_size": 256, "resize_filter": "area"}
    assert CropSettings.from_json({**older, "ready_made": True}) == CropSettings(store_size=256, kind="crop")
    assert CropSettings.from_json({**older, "ready_made": False}) == CropSettings(store_size=256)
    whole = CropSettings(kind="whole")
    assert CropSettings.from_json(asdict(whole)) == whole
    assert (whole.fit, CropSettings().fit, CropSettings(kind="crop").fit) == ("crop", "resize", "resize")


@pytest.mark.parametrize(
    "wrong", [{"margin": 0.9}, {"snap": 4}, {"store_size": 500}, {"resize_filter": "cubic"}, {"kind": "half"}]
)
def test_settings_check_themselves(wrong):
    with pytest.raises(ValueError, match="not"):
        CropSettings(**wrong)


def test_ready_made_crops_are_taken_whole():
    image = photo(33, 47)
    box, crop = crop_for_ready_made(image)
    assert box == (0, 0, 47, 33)
    assert np.array_equal(crop, image)


def test_blur_lowers_sharpness():
    image = photo()
    blurred = store(image, 64)
    assert sharpness(np.full_like(image, 90)) == 0
    assert 0 < sharpness(blurred) < sharpness(image)
