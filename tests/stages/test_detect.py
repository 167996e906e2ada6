"""One contract for every face detector, and MTCNN against the library whose weights it runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from media import face_painter, noise

from ffpipe.manifests.errors import UsageError
from ffpipe.stages.detect import Detection, FaceDetector, create_detector, list_face_detectors, mtcnn_networks
from ffpipe.stages.detect.mtcnn_networks import Proposer, Refiner, Settler
from ffpipe.stages.track import overlap

SIZE = (480, 300)


@pytest.fixture(scope="module", params=list_face_detectors())
def detector(request) -> FaceDetector:
    return create_detector(request.param)


def picture(faces: int, index: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return face_painter(size, faces, 20)(index, *size)


def enlarged(frame: np.ndarray, factor: int) -> np.ndarray:
    return frame.repeat(factor, axis=0).repeat(factor, axis=1)


def matches(found: list[Detection], other: list[Detection], least: float) -> bool:
    return len(found) == len(other) and all(
        max((overlap(a.box, b.box) for b in other), default=0) >= least for a in found
    )


def test_as_many_faces_as_there_are(detector):
    assert [len(found) for found in detector.detect([picture(1), picture(2), picture(0)])] == [1, 2, 0]


def test_boxes_confidences_and_landmarks_make_sense(detector):
    for found in detector.detect([picture(2)]):
        assert [face.confidence for face in found] == sorted(
            (face.confidence for face in found), reverse=True
        )
        for face in found:
            x0, y0, x1, y1 = face.box
            assert 0.5 <= face.confidence <= 1
            assert -20 <= x0 < x1 <= SIZE[0] + 20
            assert -20 <= y0 < y1 <= SIZE[1] + 20
            if face.landmarks is not None:
                points = np.array(face.landmarks).reshape(5, 2)
                assert (points > (x0, y0)).all() and (points < (x1, y1)).all()
                eyes, mouth = points[:2], points[3:]
                assert eyes[:, 1].max() < points[2, 1] < mouth[:, 1].min()
                assert eyes[0, 0] < eyes[1, 0] and mouth[0, 0] < mouth[1, 0]


def test_a_batch_gives_what_its_frames_give_alone(detector):
    frames = [picture(1, 3), picture(2, 5), noise(0, 200, 340)]
    together = detector.detect(frames)
    alone = [detector.detect([frame])[0] for frame in frames]
    assert [[face.box for face in found] for found in together] == [
        [face.box for face in found] for found in alone
    ]


def test_boxes_are_in_frame_pixels_whatever_the_frame_size(detector):
    small = detector.detect([picture(1)])[0]
    large = detector.detect([enlarged(picture(1), 4)])[0]
    scaled = [Detection(tuple(v / 4 for v in face.box), face.confidence) for face in large]
    assert matches(small, scaled, 0.7)


def test_the_smallest_face_is_respected(detector):
    name = detector.name
    assert len(create_detector(name, min_face=40).detect([picture(1)])[0]) == 1
    if name == "mtcnn":
        assert create_detector(name, min_face=250).detect([picture(1)]) == [[]]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (12, 12), (24, 500), (500, 24)])
def test_tiny_and_thin_frames_hold_no_face(detector, shape):
    assert detector.detect([np.full((*shape, 3), 128, np.uint8)]) == [[]]


def test_no_frames_no_answers(detector):
    assert detector.detect([]) == []


@pytest.mark.parametrize(
    "frame", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((0, 9, 3), np.uint8)]
)
def test_what_is_no_frame_is_refused(detector, frame):
    with pytest.raises(ValueError, match="uint8"):
        detector.detect([frame])


def test_frames_are_left_as_they_were_and_may_be_read_only(detector):
    frame = picture(1)
    before = frame.copy()
    frame.setflags(write=False)
    assert len(detector.detect([frame])[0]) == 1
    assert np.array_equal(frame, before)


def test_unknown_names_and_sizes_are_usage_errors():
    with pytest.raises(UsageError, match="choose one of mtcnn, dlib"):
        create_detector("yolo")
    with pytest.raises(UsageError, match="64 or more"):
        create_detector(long_side=8)


def test_the_networks_compute_what_the_library_computes():
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet

    torch.manual_seed(0)
    for ours, theirs, side in ((Refiner(), RNet(), 24), (Settler(), ONet(), 48)):
        pixels = torch.randint(0, 256, (5, 3, side, side)).float()
        with torch.no_grad():
            *maps, probability = theirs((pixels - 127.5) / 128)
            score, *others = ours(pixels)
        torch.testing.assert_close(score, probability[:, 1], atol=1e-5, rtol=1e-4)
        for mine, their in zip(others, maps, strict=True):
            torch.testing.assert_close(mine, their, atol=1e-4, rtol=1e-4)
    for height, width in ((37, 52), (38, 53), (12, 12)):
        pixels = (
            torch.randint(0, 256, (1, 3, height, width)).float().contiguous(memory_format=torch.channels_last)
        )
        with torch.no_grad():
            shifts, probability = PNet()((pixels - 127.5) / 128)
            score, moves = Proposer()(pixels)
        torch.testing.assert_close(score, probability[0, 1], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moves, shifts[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("strip", [300, 2_000, 10**6])
def test_skipped_and_cut_up_maps_are_the_whole_ones(strip, monkeypatch):
    monkeypatch.setattr(mtcnn_networks, "_STRIP_PIXELS", 10**9)
    pixels = torch.randint(0, 256, (1, 3, 71, 90)).float()
    score, shifts = Proposer()(pixels)
    monkeypatch.setattr(mtcnn_networks, "_STRIP_PIXELS", strip)
    for skip in (1, 2):
        less, moves = Proposer()(pixels, skip)
        torch.testing.assert_close(less, score[::skip, ::skip], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(moves, shifts[:, ::skip, ::skip], atol=1e-4, rtol=1e-4)


def test_mtcnn_finds_the_librarys_boxes():
    from facenet_pytorch import MTCNN

    frames = [picture(faces, index) for faces in (1, 2, 3) for index in (0, 7)]
    library = MTCNN(keep_all=True, min_face_size=20)
    for frame, found in zip(frames, create_detector("mtcnn").detect(frames), strict=True):
        boxes, confidences = library.detect(frame)
        expected = [
            Detection(tuple(map(float, box)), float(p)) for box, p in zip(boxes, confidences, strict=True)
        ]
        assert matches(found, expected, 0.8)
