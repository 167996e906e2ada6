"""The face detector contract, and the registry of what fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Box

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Detection:
    """A face in one frame, in pixels of that frame.

    `confidence` lies in [0, 1] but is comparable within one detector only. `landmarks` are x0, y0 … x4, y4
    (eyes, nose, mouth corners; left is the image's left), None where the detector finds none.
    """

    box: Box
    confidence: float
    landmarks: tuple[float, ...] | None = None


class FaceDetector(Protocol):
    """Finds faces in frames; keeps no memory of earlier frames."""

    name: str

    def detect(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """Faces of each frame, most confident first.

        frames: upright RGB uint8 (H, W, 3), sizes may differ. Raises ValueError for anything else.
        """
        ...


def create_detector(
    name: str = "mtcnn", *, long_side: int = 640, min_face: int | None = None
) -> FaceDetector:
    """A face detector by name; its library is imported only now.

    long_side: frames are searched on a copy scaled down to this many pixels, never scaled up.
    min_face: smallest face searched for, in pixels of the frame; None is the detector's own smallest at that scale.
    Raises UsageError for an unknown name, or where the detector's library is not installed.
    """
    if name not in _BACKENDS:
        raise UsageError(f"no face detector is called {name!r}: choose one of {', '.join(_BACKENDS)}")
    if long_side < 64 or (min_face is not None and min_face < 1):
        raise UsageError(f"detection size {long_side} must be 64 or more, smallest face {min_face} 1 or more")
    return _BACKENDS[name](long_side, min_face)


def list_face_detectors() -> list[str]:
    """Names that `create_detector` knows, the default first."""
    return list(_BACKENDS)


def check_frame(frame: Image) -> None:
    """Raise ValueError unless `frame` is RGB uint8 (H, W, 3) with at least one pixel."""
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(f"a frame is uint8 (H, W, 3), not {frame.dtype} {frame.shape}")


def _mtcnn(long_side: int, min_face: int | None) -> FaceDetector:
    from ffpipe.stages.detect.mtcnn import MtcnnDetector

    return MtcnnDetector(long_side, min_face)


def _dlib(long_side: int, min_face: int | None) -> FaceDetector:
    from ffpipe.stages.detect.dlib import DlibDetector

    return DlibDetector(long_side, min_face)


_BACKENDS: Mapping[str, Callable[[int, int | None], FaceDetector]] = {"mtcnn": _mtcnn, "dlib": _dlib}
