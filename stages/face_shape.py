"""Where a face lies in its crop: outlines of it from five landmarks, or an ellipse from the detector's box."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

#: Side of a crop over that of the detector's box, where nothing says where in the crop the box lies.
_USUAL_MARGIN = 1.3
#: Corners of the polygon that stands for an ellipse.
_ELLIPSE_CORNERS = 32
#: Least width over height, or height over width, that a face seen from the side is given.
_LEAST_ASPECT = 0.6

#: The landmarks (eyes, nose, corners of the mouth) of an upright frontal face, and lines round its parts. The eyes'
#: distance is 1, their middle the origin, y goes down. House figures: proportions of an adult's face, the lower
#: half set so that the chin lies where MTCNN's box ends.
_LANDMARKS = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, 0.6), (-0.42, 1.15), (0.42, 1.15)])
_JAW = [(1.08, -0.05), (1.05, 0.35), (0.97, 0.75), (0.82, 1.12), (0.58, 1.47), (0.3, 1.71), (0.0, 1.78)]
_BROWS = [(0.95, -0.36), (0.62, -0.5), (0.28, -0.46)]
_FOREHEAD = [(1.0, -0.5), (0.78, -0.88), (0.42, -1.08), (0.0, -1.14)]
_INNER = [(0.86, -0.3), (0.45, -0.42), (0.88, 0.15), (0.72, 0.75), (0.6, 1.2), (0.35, 1.42), (0.0, 1.46)]
_LOWER = [(0.5, 0.3), (0.98, 0.45), (0.95, 0.8), (0.8, 1.14), (0.56, 1.48), (0.28, 1.71), (0.0, 1.77)]


def _both_sides(half: list[tuple[float, float]]) -> Points:
    return np.array([*half, *((-x, y) for x, y in half)])


#: Parts of a face that forgeries replace: jaw to brows, with the forehead, eyes to mouth, and below the eyes.
OUTLINES = {
    "face": _both_sides(_JAW + _BROWS),
    "face and forehead": _both_sides(_JAW + _FOREHEAD),
    "inner face": _both_sides(_INNER),
    "lower face": _both_sides(_LOWER),
}


@dataclass(frozen=True, slots=True)
class FaceShape:
    """A face in its crop, in shares of the crop's width and height.

    landmarks: (5,2), eyes, nose, corners of the mouth; None where the detector finds none. box: the detector's,
    x0, y0, x1, y1.
    """

    landmarks: Points | None
    box: tuple[float, float, float, float]

    @classmethod
    def of(cls, landmarks: npt.ArrayLike, box: npt.ArrayLike) -> Self:
        """From ten numbers and four, as a table keeps them: not a number where they are not known.

        A box that is not known, or is the whole crop (ready-made crops), is put in the middle, as large as in crops
        of our own.
        """
        points = np.asarray(landmarks, np.float64).reshape(5, 2)
        x0, y0, x1, y1 = np.asarray(box, np.float64).tolist()
        if not np.isfinite([x0, y0, x1, y1]).all() or (x1 - x0 >= 1 and y1 - y0 >= 1):
            edge = (1 - 1 / _USUAL_MARGIN) / 2
            x0, y0, x1, y1 = edge, edge, 1 - edge, 1 - edge
        return cls(points if np.isfinite(points).all() else None, (x0, y0, x1, y1))

    def outline(self, part: str) -> Points:
        """Points (n,2) whose convex hull is a part of the face, one of OUTLINES.

        Laid onto the landmarks by the affine map that fits all five best (least squares). Without landmarks it is
        an ellipse in the box, whatever the part.
        """
        if self.landmarks is None:
            return self._ellipse()
        to_face = _affine(_LANDMARKS, self.landmarks)
        points: Points = OUTLINES[part] @ to_face[:2] + to_face[2]
        return points

    def _ellipse(self) -> Points:
        x0, y0, x1, y1 = self.box
        angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
        across, down = np.cos(angle) * (x1 - x0) / 2, np.sin(angle) * (y1 - y0) / 2
        return np.stack([(x0 + x1) / 2 + across, (y0 + y1) / 2 + down], axis=1)


def _affine(given: Points, wanted: Points) -> Points:
    """The matrix (3,2) that takes points (n,2), each with a 1 behind it, nearest to others.

    A face in profile has its landmarks nearly in a line: what it is squeezed by is bounded, since a head is round.
    """
    centre_given, centre_wanted = given.mean(axis=0), wanted.mean(axis=0)
    linear, *_ = np.linalg.lstsq(given - centre_given, wanted - centre_wanted, rcond=None)
    turn, scales, axes = np.linalg.svd(linear)
    bounded = (turn * np.maximum(scales, _LEAST_ASPECT * scales[0])) @ axes
    return np.vstack([bounded, centre_wanted - centre_given @ bounded])
