"""What a detector's figure is held against: labels that mean nothing, files not looked at, faces painted over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ffpipe.manifests.records import Box, MediaRecord
from ffpipe.stages.crop import CropSettings, crop_box

Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int8]

#: Facts of a file that are numbers; sizes and rates are taken as logarithms, since they span powers of ten.
_NUMBERS = ("bytes", "bit_rate", "width", "height", "fps", "duration", "frame_count")
_NAMES = ("container", "codec", "pixel_format")


def permuted(labels: Labels, groups: Sequence[str], random: np.random.Generator) -> Labels:
    """Labels (n,) that mean nothing, as dependent as the true ones.

    Within a source group of both classes its labels are shuffled; the groups of one class each exchange theirs as
    wholes. Shuffled one by one, labels of a group's many media would vary less from draw to draw than they do.
    """
    result = labels.copy()
    members: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        members.setdefault(group, []).append(place)
    pure = [places for places in members.values() if len(set(labels[places].tolist())) == 1]
    order = random.permutation(len(pure))
    for places, other in zip(pure, order, strict=True):
        result[places] = labels[pure[other][0]]
    for places in members.values():
        if len(set(labels[places].tolist())) > 1:
            result[places] = random.permutation(labels[places])
    return result


def face_in_crop(box: Box, shape: tuple[int, int], settings: CropSettings) -> tuple[int, int, int, int]:
    """Where the detector's box (frame pixels) lies in the stored crop of height and width `shape`, x0, y0, x1, y1.

    In face crops that were ready-made nothing says where the face is: the middle of them is taken, as large as the
    margin would have it. Raises ValueError for whole images.
    """
    height, width = shape
    if settings.kind == "whole":
        raise ValueError("whole images have no face box")
    if settings.kind == "crop":
        rim = (1 - 1 / settings.margin) / 2
        return round(width * rim), round(height * rim), round(width * (1 - rim)), round(height * (1 - rim))
    left, top, right, bottom = crop_box(box, settings)
    across, down = width / (right - left), height / (bottom - top)
    x0, x1 = ((value - left) * across for value in (box[0], box[2]))
    y0, y1 = ((value - top) * down for value in (box[1], box[3]))
    return max(int(x0), 0), max(int(y0), 0), min(int(np.ceil(x1)), width), min(int(np.ceil(y1)), height)


def without_face(crop: Pixels, place: tuple[int, int, int, int]) -> Pixels:
    """A copy of a crop (H,W,3) whose face, x0, y0, x1, y1, is painted over with the crop's mean colour."""
    x0, y0, x1, y1 = place
    painted = crop.copy()
    painted[y0:y1, x0:x1] = np.rint(crop.reshape(-1, 3).mean(0)).astype(np.uint8)
    return painted


def file_facts(
    media: Sequence[MediaRecord], known: Sequence[MediaRecord]
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """What is known of files without a look at their pictures, (n,k), and the names of the columns.

    Names of formats are columns of 0 and 1, for those that occur in `known`; a fact that is missing is 0, and a
    column of its own says so.
    """
    columns: dict[str, list[float]] = {}
    for name in _NUMBERS:
        values = [getattr(m, name) for m in media]
        columns[f"log {name}"] = [float(np.log1p(value)) if value else 0.0 for value in values]
        columns[f"no {name}"] = [float(not value) for value in values]
    for name in _NAMES:
        for value in sorted({str(getattr(m, name)) for m in known}):
            columns[f"{name} {value}"] = [float(str(getattr(m, name)) == value) for m in media]
    return np.array(list(columns.values()), np.float64).T, list(columns)
