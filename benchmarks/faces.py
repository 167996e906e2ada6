"""Finding faces in 1080p frames, beside what a user would pick instead, with recall against full-size MTCNN.

Every side sees the same frames in turn, on one thread; the figure is the median CPU time a frame, and the ratio is to
facenet-pytorch's MTCNN at full size. Recall counts the faces that the latter found with a confidence of 0.9
or more and that a side found too (IoU above 0.4). The frames come from the real clips at $FFPIPE_TEST_DATA
where there are any, recall also from the smaller ones; otherwise from painted clips of one to six faces.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import cv2
import numpy as np
import torch
from facenet_pytorch import MTCNN
from media import face_painter

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Box
from ffpipe.stages.decode import decode_in_process
from ffpipe.stages.detect import create_detector
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.track import overlap

HD = (1920, 1080)
REFERENCE = "MTCNN, full size, face >= 20"
Finder = Callable[[np.ndarray], list[tuple[Box, float]]]


def facenet(long_side: int | None, min_face: int) -> Finder:
    """facenet-pytorch as its documentation uses it, on a downscaled copy where `long_side` is given."""
    network = MTCNN(keep_all=True, min_face_size=min_face)

    def find(frame: np.ndarray) -> list[tuple[Box, float]]:
        scale = min(1.0, long_side / max(frame.shape[:2])) if long_side else 1.0
        small = (
            cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        )
        boxes, confidences = network.detect(small)
        if boxes is None:
            return []
        return [(tuple(box / scale), float(p)) for box, p in zip(boxes, confidences, strict=True)]

    return find


def dlib_full_upsampled() -> Finder:
    """dlib's HOG as the field's benchmark code calls it: the whole frame, upsampled once."""
    import dlib

    hog = dlib.get_frontal_face_detector()

    def find(frame: np.ndarray) -> list[tuple[Box, float]]:
        return [((r.left(), r.top(), r.right() + 1, r.bottom() + 1), 1.0) for r in hog(frame, 1)]

    return find


def ours(name: str) -> Finder:
    """One of our detectors with its defaults."""
    detector = create_detector(name)
    return lambda frame: [(face.box, face.confidence) for face in detector.detect([frame])[0]]


def sides() -> dict[str, Finder]:
    """What is compared, the reference first."""
    return {
        REFERENCE: facenet(None, 20),
        "dlib HOG, full size, upsampled": dlib_full_upsampled(),
        "MTCNN at 640, face >= 40": facenet(640, 40),
        "ffpipe dlib (at 640)": ours("dlib"),
        "ffpipe mtcnn (at 640)": ours("mtcnn"),
    }


def sources(frames: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Clip name and evenly spread frames of it."""
    folder = os.environ.get("FFPIPE_TEST_DATA")
    if not folder:
        for faces in (1, 2, 6):
            paint = face_painter(HD, faces, frames)
            yield f"{faces} painted", [paint(index, *HD) for index in range(frames)]
        return
    for path in sorted([*Path(folder, "real").iterdir(), *Path(folder, "unlabelled").iterdir()]):
        try:
            with decode_in_process(path, Sampling.of_count(frames)) as medium:
                yield path.name, [frame.rgb.copy() for frame in medium]
        except MediaError as error:
            print(f"{path.name}: {error}", file=sys.stderr)


def measure(find: Finder, frame: np.ndarray) -> tuple[list[tuple[Box, float]], float]:
    """Faces and CPU milliseconds."""
    start = time.process_time()
    found = find(frame)
    return found, (time.process_time() - start) * 1e3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=6, help="frames of each clip")
    frames = parser.parse_args().frames
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    finders = sides()
    times: dict[str, list[float]] = {name: [] for name in finders}
    hits = dict.fromkeys(finders, 0)
    for find in finders.values():
        find(face_painter(HD, 1, 1)(0, *HD))
    for _, pictures in sources(frames):
        for frame in pictures:
            expected: list[Box] = []
            for name, find in finders.items():
                found, spent = measure(find, frame)
                if name == REFERENCE:
                    expected = [box for box, confidence in found if confidence >= 0.9]
                if max(frame.shape[:2]) == HD[0]:
                    times[name].append(spent)
                hits[name] += sum(any(overlap(box, other) > 0.4 for other, _ in found) for box in expected)
    report(times, hits)


def report(times: dict[str, list[float]], hits: dict[str, int]) -> None:
    """One line a side."""
    slowest = statistics.median(times[REFERENCE])
    print(f"{len(times[REFERENCE])} frames of 1080p; {hits[REFERENCE]} faces of the reference")
    print(f"{'':32} {'CPU ms a frame':>14} {'mean':>8} {'times faster':>13} {'recall':>8}")
    for name, spent in times.items():
        middle = statistics.median(spent)
        recall = hits[name] / hits[REFERENCE]
        print(
            f"{name:32} {middle:14.1f} {statistics.mean(spent):8.1f} {slowest / middle:13.1f} {recall:8.3f}"
        )


if __name__ == "__main__":
    with warnings.catch_warnings(action="ignore"):
        main()
