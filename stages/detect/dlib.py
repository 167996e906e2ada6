"""dlib's HOG face detector: fast, frontal faces only, no landmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from ffpipe.manifests.errors import UsageError
from ffpipe.stages.detect import Detection, Image, check_frame

#: Side in pixels of the smallest face that the HOG template fits without upsampling.
_TEMPLATE = 80
#: Logistic slope that spreads HOG margins over (0.5, 1): 0 is the detector's threshold; on real clips sampled
#: faces had 0.4 or more, half of them 1.8.
_SLOPE = 6.0


class DlibDetector:
    """dlib.get_frontal_face_detector on a copy of long side `long_side`, one level of upsampling at most.

    Confidence is the logistic function of 6 times the HOG margin, so dlib's own threshold is 0.5.
    """

    name = "dlib"

    def __init__(self, long_side: int = 640, min_face: int | None = None) -> None:
        try:
            import dlib
        except ImportError as error:
            raise UsageError(f"the dlib detector needs the package dlib-bin: {error}") from error
        self._hog = dlib.get_frontal_face_detector()
        self._long_side = long_side
        self._min_face = min_face

    def detect(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """See `FaceDetector.detect`."""
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: Image) -> list[Detection]:
        check_frame(frame)
        height, width = frame.shape[:2]
        scale = min(1.0, self._long_side / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        cv2.setNumThreads(1)
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA) if scale < 1 else frame
        upsample = int(self._min_face is not None and self._min_face * scale < _TEMPLATE)
        rectangles, margins, _ = self._hog.run(np.ascontiguousarray(small), upsample, 0.0)
        found = [
            Detection(
                (r.left() / scale, r.top() / scale, (r.right() + 1) / scale, (r.bottom() + 1) / scale),
                1 / (1 + math.exp(-_SLOPE * margin)),
            )
            for r, margin in zip(rectangles, margins, strict=True)
        ]
        return sorted(found, key=lambda face: -face.confidence)
