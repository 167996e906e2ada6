"""Controls: labels that mean nothing stay as dependent, faces are painted over where they are, files described."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_faces import media_record

from ffpipe.manifests.records import Label, Split
from ffpipe.stages.controls import face_in_crop, file_facts, permuted, without_face
from ffpipe.stages.crop import CropSettings, crop_box, cut


def test_groups_of_one_class_exchange_their_labels_as_wholes_and_mixed_ones_stay_mixed():
    groups = [name for name in "aaabbbcccddd"] + ["m", "m", "n", "n"]
    labels = np.array([0] * 6 + [1] * 6 + [0, 1, 1, 0], np.int8)
    random = np.random.default_rng(1)
    drawn = [permuted(labels, groups, random) for _ in range(200)]
    for found in drawn:
        for start in range(0, 12, 3):
            assert len(set(found[start : start + 3].tolist())) == 1
        assert found[:12].sum() == 6
        assert sorted(found[12:14].tolist()) == [0, 1] == sorted(found[14:].tolist())
    assert np.abs(np.mean(drawn, axis=0) - 0.5).max() < 0.15


def test_the_painted_place_is_the_detectors_box():
    frame = np.full((240, 320, 3), 200, np.uint8)
    box = (90.0, 60.0, 170.0, 150.0)
    frame[60:150, 90:170] = 10
    settings = CropSettings()
    crop = cut(frame, crop_box(box, settings))
    place = face_in_crop(box, crop.shape[:2], settings)
    painted = without_face(crop, place)
    assert (painted == 10).sum() == 0
    untouched = np.ones(crop.shape[:2], bool)
    untouched[place[1] : place[3], place[0] : place[2]] = False
    np.testing.assert_array_equal(painted[untouched], crop[untouched])
    assert (crop[~untouched] == 10).all()
    middle = (place[1] + place[3]) // 2, (place[0] + place[2]) // 2
    np.testing.assert_array_equal(painted[middle], np.rint(crop.reshape(-1, 3).mean(0)))


def test_the_place_is_scaled_with_a_crop_that_was_stored_smaller():
    box = (0.0, 0.0, 800.0, 800.0)
    left, top, right, _ = crop_box(box)
    scale = 512 / (right - left)
    expected = [(0 - left) * scale, (0 - top) * scale, (800 - left) * scale, (800 - top) * scale]
    assert np.abs(np.subtract(face_in_crop(box, (512, 512), CropSettings()), expected)).max() <= 1


def test_of_ready_made_crops_the_middle_is_painted_and_whole_images_have_none():
    box = (0.0, 0.0, 130.0, 260.0)
    assert face_in_crop(box, (260, 130), CropSettings(kind="crop")) == (15, 30, 115, 230)
    with pytest.raises(ValueError, match="no face box"):
        face_in_crop(box, (260, 130), CropSettings(kind="whole"))


def test_facts_of_files_have_a_column_a_fact_and_say_what_is_missing():
    known = [
        media_record(number, "g", Label.FAKE, Split.TRAIN, "made", 4, codec=codec, bit_rate=rate)
        for number, (codec, rate) in enumerate([("h264", 9), ("hevc", None)])
    ]
    rows, columns = file_facts([*known, replace(known[0], codec="av1")], known)
    table = {name: rows[:, place].tolist() for place, name in enumerate(columns)}
    assert table["codec h264"] == [1, 0, 0] and table["codec hevc"] == [0, 1, 0]
    assert table["log bit_rate"] == [np.log(10), 0, np.log(10)] and table["no bit_rate"] == [0, 1, 0]
    assert table["log bytes"] == [np.log1p(1000)] * 3
    assert not {"path", "media_id", "label"} & set(columns)
