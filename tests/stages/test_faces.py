"""Frames in, face records out: identity, order, bounds, and no hold on frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from media import face_painter

from ffpipe.manifests.errors import MediaError, UsageError
from ffpipe.manifests.records import Status
from ffpipe.stages import faces as faces_module
from ffpipe.stages.crop import CropSettings, crop_box, cut, decode_crop, store
from ffpipe.stages.decode import Frame, decode_in_process
from ffpipe.stages.detect import Detection, create_detector
from ffpipe.stages.faces import FaceSettings, MediumFaces, faces_to_give, find_faces
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.statistics import face_sida

SIZE = (320, 240)


class Scripted:
    """A detector that says what it was told, frame after frame."""

    name = "scripted"

    def __init__(self, script: Sequence[Sequence[Detection]]) -> None:
        self._script = iter(script)

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Detection]]:
        return [list(next(self._script)) for _ in frames]


def face(x: float, y: float = 120, side: float = 40, confidence: float = 0.999) -> Detection:
    return Detection((x - side / 2, y - side / 2, x + side / 2, y + side / 2), confidence)


def picture(index: int) -> np.ndarray:
    return face_painter(SIZE, 2, 20)(index, *SIZE)


def reused(count: int, step: float = 0.3) -> Iterator[Frame]:
    """Frames as decoders give them: views of one buffer, overwritten by the next."""
    buffer = np.empty((SIZE[1], SIZE[0], 3), np.uint8)
    for index in range(count):
        buffer[:] = picture(index)
        yield Frame(index * 7, index * step, buffer)
        buffer[:] = 0


def scripted(*script: Sequence[Detection], settings: FaceSettings | None = None) -> MediumFaces:
    return find_faces(reused(len(script)), Scripted(script), settings or FaceSettings(), media_id="ab")


def test_records_carry_what_was_cut_before_the_frame_was_overwritten():
    medium = scripted(*[[face(90), face(230)]] * 3)
    assert (medium.frames, medium.tracks, len(medium.faces)) == (3, 2, 6)
    for number, record in enumerate(medium.faces):
        frame, track = divmod(number, 2)
        assert record.face_id == f"ab-{frame * 7:06d}-{track:03d}"
        assert (record.media_id, record.track_id, record.frame_index) == ("ab", track, frame * 7)
        assert record.crop_box == crop_box(record.box)
        pixels = cut(picture(frame), record.crop_box)
        assert np.array_equal(decode_crop(record.crop), pixels)
        assert np.array_equal(record.sida, face_sida([pixels])[0])
        assert record.crop_side == record.stored_side == pixels.shape[0]
        assert record.sharpness > 0
        assert record.detector == "scripted"


def test_statistics_are_taken_before_the_crop_is_downscaled():
    settings = FaceSettings(crop=CropSettings(store_size=64))
    medium = scripted([face(160, side=120)], settings=settings)
    record = medium.faces[0]
    whole = cut(picture(0), record.crop_box)
    assert (record.crop_side, record.stored_side, medium.downscaled) == (whole.shape[0], 64, 1)
    assert np.array_equal(record.sida, face_sida([whole])[0])
    assert np.array_equal(decode_crop(record.crop), store(whole, 64))


def test_false_tracks_are_counted_and_leave_no_gap_in_the_numbers():
    faint = face(30, 60, confidence=0.8)
    medium = scripted([face(230)], [face(230), faint], *[[face(230), face(100)]] * 4)
    assert medium.dropped == 1
    assert medium.tracks == 2
    assert {record.track_id for record in medium.faces} == {0, 1}
    assert len({record.face_id for record in medium.faces}) == len(medium.faces) == 10


def test_faces_out_of_the_picture_are_counted_as_too_small():
    medium = scripted([face(160), face(-60)])
    assert (len(medium.faces), medium.too_small) == (1, 1)


def test_a_crowd_is_bounded_to_its_largest_faces():
    crowd = [face(30 + 40 * k, side=20 + k) for k in range(7)]
    medium = scripted(crowd, settings=FaceSettings(max_faces=3))
    assert medium.over_limit == 4
    assert sorted(record.box[2] - record.box[0] for record in medium.faces) == [24, 25, 26]


def test_no_face_and_no_frame_are_results():
    empty = scripted([], [])
    assert (empty.faces, empty.tracks, empty.frames) == ([], 0, 2)
    assert find_faces([], Scripted([]), media_id="ab") == MediumFaces([], 0, 0)


def test_given_faces_cut_the_same_places_out_of_another_quality():
    first = scripted(*[[face(90), face(230)]] * 3)
    darker = (replace(frame, rgb=frame.rgb // 2) for frame in reused(3))
    second = find_faces(darker, None, media_id="cd", given=faces_to_give(first.faces))
    for a, b in zip(first.faces, second.faces, strict=True):
        assert (a.track_id, a.frame_index, a.box, a.crop_box) == (
            b.track_id,
            b.frame_index,
            b.box,
            b.crop_box,
        )
        assert np.array_equal(decode_crop(b.crop), decode_crop(a.crop) // 2)
        assert b.face_id == a.face_id.replace("ab", "cd")


CROPPED = FaceSettings(crop=CropSettings(kind="crop"))


def test_ready_made_crops_are_one_track_of_whole_pictures():
    medium = find_faces(reused(2), None, CROPPED, media_id="ab")
    assert medium.tracks == 1
    assert [record.crop_box for record in medium.faces] == [(0, 0, *SIZE)] * 2
    assert np.array_equal(decode_crop(medium.faces[1].crop), picture(1))
    assert medium.faces[0].crop_side == max(SIZE)
    tiny = find_faces([Frame(0, 0, picture(0)[:12])], None, CROPPED, media_id="ab")
    assert (tiny.faces, tiny.too_small) == ([], 1)


def test_whole_frames_are_stored_whole_where_crops_are_downscaled():
    settings = [FaceSettings(crop=CropSettings(store_size=32, kind=kind)) for kind in ("crop", "whole")]
    crop, whole = (find_faces(reused(2), None, s, media_id="ab").faces[1] for s in settings)
    assert (crop.stored_side, whole.stored_side, whole.crop_side) == (32, max(SIZE), max(SIZE))
    assert np.array_equal(decode_crop(whole.crop), picture(1))
    assert np.array_equal(crop.sida, whole.sida)
    assert (crop.detector, whole.detector) == ("cropped", "whole")


def test_what_is_too_large_to_be_stored_whole_is_refused(monkeypatch):
    settings = FaceSettings(crop=CropSettings(kind="whole"))
    monkeypatch.setattr(faces_module, "MAX_STORED_PIXELS", SIZE[0] * SIZE[1])
    one = len(find_faces(reused(1), None, settings, media_id="ab").faces[0].crop)
    monkeypatch.setattr(faces_module, "WHOLE_BYTES", 2 * one)
    with pytest.raises(MediaError, match="--frames") as refused:
        find_faces(reused(3), None, settings, media_id="ab")
    assert refused.value.status == Status.TOO_LARGE
    monkeypatch.setattr(faces_module, "MAX_STORED_PIXELS", SIZE[0] * SIZE[1] - 1)
    with pytest.raises(MediaError, match=f"{SIZE[0]}x{SIZE[1]} pixels"):
        find_faces(reused(1), None, settings, media_id="ab")


def test_a_way_to_find_faces_must_be_chosen():
    with pytest.raises(UsageError, match="none of these"):
        find_faces([], None, media_id="ab")


def test_errors_of_the_frame_source_pass_through():
    def broken() -> Iterator[Frame]:
        yield from reused(1)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        find_faces(broken(), Scripted([[], []]), media_id="ab")


def test_two_painted_people_are_two_tracks_in_every_frame():
    medium = find_faces(reused(12), create_detector(), media_id="ab")
    assert medium.tracks == 2
    assert len(medium.faces) == 24


# ---------------------------------------------------------------- real clips, counted by eye


@dataclass(frozen=True)
class Counted:
    """What a person saw in 16 evenly spread frames of a clip.

    faces: faces a frame that show at least one eye, most of the cheek and no motion blur that hides them.
    tracks: one a person and shot, another where somebody was out of sight for longer than a track may wait.
    off_frame, off_total: how far the count of one frame, and of all together, may be off.
    """

    clip: str
    faces: tuple[int, ...]
    tracks: int
    off_frame: int = 0
    off_total: int = 0


def one_face(clip: str) -> Counted:
    return Counted(f"real/{clip}", (1,) * 16, 1)


COUNTED = [
    # Eight people; the woman in red is out of sight for two seconds and counts twice.
    Counted("real/facenet_video.mp4", (7, 7, 7, 7, 5, 4, 4, 6, 6, 6, 6, 6, 6, 5, 5, 5), 9, 1, 5),
    # Shots: pianist and singer; a profile passing by; the singer; four listeners.
    Counted("real/hamilton_short.mp4", (2, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 4, 4), 8, 1, 1),
    Counted("real/pyfeat_face_noface.mov", (1,) * 6 + (0,) * 10, 1),
    Counted("real/pyfeat_noface_face.mov", (0,) * 10 + (1,) * 6, 1),
    Counted("hostile/pyfeat_no_face.mp4", (0,) * 16, 0),
    one_face("liveportrait_d13.mp4"),
    one_face("liveportrait_s13.mp4"),
    one_face("liveportrait_s18.mp4"),
    one_face("lia_ted_driving1.mp4"),
    one_face("lia_ted_driving2.mp4"),
    one_face("grid_bbaf2n.mpg"),
    one_face("grid_lrwp9a.mpg"),
    one_face("pyfeat_WolfgangLanger_Pexels.mp4"),
    Counted("faces/facerec_two_people.jpg", (2,), 2),
    Counted("faces/facenet_multiface.jpg", (6,), 6),
    Counted("hostile/nonhuman/liveportrait_source_s33.jpg", (0,), 0),
]


@pytest.mark.data
@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.clip.rsplit("/", 1)[1])
def test_real_clips_hold_what_was_counted_by_eye(clips, counted):
    looked_at = []

    def noted(frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            looked_at.append(frame.index)
            yield frame

    with decode_in_process(clips / counted.clip, Sampling.of_count(16)) as medium:
        found = find_faces(noted(iter(medium)), create_detector(), media_id="ab")
    by_frame = Counter(record.frame_index for record in found.faces)
    faces = [by_frame[index] for index in looked_at]
    assert len(faces) == len(counted.faces)
    assert found.tracks == counted.tracks
    assert max(abs(a - b) for a, b in zip(faces, counted.faces, strict=True)) <= counted.off_frame
    assert abs(sum(faces) - sum(counted.faces)) <= counted.off_total
