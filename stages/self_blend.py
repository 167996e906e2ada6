"""Fakes made of one real face: it is blended with a changed copy of itself under a soft mask.

After K. Shiohara and T. Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022, from its text:
- source-target generator: of two copies of the crop one, drawn at random, is changed in colour and sharpness; the
  source is then resized and moved a little, so that its landmarks miss those of the target;
- mask generator: the convex hull of the landmarks, moved with the source, deformed elastically and blurred twice;
  what the first blur leaves below 1 is dropped, so that the mask shrinks or grows by the ratio of the two kernels;
  it is multiplied by a ratio drawn from {0.25, 0.5, 0.75, 1, 1, 1};
- blend: source * mask + target * (1 - mask).

Deviations, for want of 68 or 81 landmarks and against shortcuts that a detector might learn in place of the blend:
- the hull comes from five landmarks or a box (`face_shape.py`), and which part of the face it takes is drawn;
- pixels that resizing or moving brings in from outside are mirrored, where the paper has black ones;
- strengths are house figures of the paper's order, and lengths are shares of the crop's side, since crops have many
  sizes; at least one change of colour or sharpness is made, since the label says fake.

How many random numbers a blend takes does not depend on the pixels, so that both qualities of a pair blend alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ffpipe.stages.face_shape import OUTLINES, FaceShape
from ffpipe.stages.photometric import change_photometry

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.float32]

#: Blend ratios, drawn with equal chances (section 3.1 of the paper).
RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
#: How often each part of the face is the hull.
_PARTS = {"face": 0.4, "face and forehead": 0.2, "inner face": 0.25, "lower face": 0.15}
#: Most that the source is resized by, as a factor, and moved by, across and down, as shares of the crop's sides.
_SCALE, _SHIFT = 1.05, (0.03, 0.015)
#: Standard deviation of what each hull point is moved by, as a share of the hull's sides.
_POINT_SHIFT = 0.03
#: Cells of the elastic deformation, and its largest shift as a share of the crop's side.
_CELLS, _ELASTIC = 6, 0.04
#: Least and most sigma of the two blurs, as shares of the crop's side. The first takes off about 2.5 sigma.
_FIRST_SIGMA, _SECOND_SIGMA = (0.002, 0.02), (0.004, 0.04)
#: What the first blur leaves below this, for want of exact sums, counts as below 1.
_FULL = 0.995


@dataclass(frozen=True, slots=True)
class SelfBlend:
    """A fake and what it is made of: source, target and pixels (H,W,3); mask (H,W) from 0 to 1, the ratio in it."""

    source: Pixels
    target: Pixels
    mask: Mask
    pixels: Pixels
    part: str
    changed: str
    ratio: float


def self_blend(crop: Pixels, shape: FaceShape, random: np.random.Generator) -> SelfBlend:
    """Blend a real crop, RGB (H,W,3), with itself; the crop is not written to."""
    changed = change_photometry(crop, random)
    swapped = bool(random.random() < 0.5)
    source, target = (crop, changed) if swapped else (changed, crop)
    part = str(random.choice(list(_PARTS), p=list(_PARTS.values())))
    hull = _hull(crop.shape[:2], shape, part, random)
    move = _move(crop.shape[:2], random)
    height, width = crop.shape[:2]
    source = cv2.warpAffine(
        source, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    hull = cv2.warpAffine(hull, move, (width, height), flags=cv2.INTER_LINEAR)
    ratio = float(random.choice(RATIOS))
    mask = _softened(_deformed(hull, random), random) * np.float32(ratio)
    pixels = _blended(source, target, mask)
    return SelfBlend(source, target, mask, pixels, part, "target" if swapped else "source", ratio)


def _hull(size: tuple[int, ...], shape: FaceShape, part: str, random: np.random.Generator) -> Mask:
    """The filled convex hull (H,W) of a part of the face, each of its points moved a little."""
    height, width = size
    jitter = random.standard_normal((max(map(len, OUTLINES.values())) * 2, 2))
    points = shape.outline(part)
    points = points + _POINT_SHIFT * np.ptp(points, axis=0) * jitter[: len(points)]
    corners = np.rint(points * (width, height)).astype(np.int32)
    hull: Mask = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(hull, cv2.convexHull(corners), 1.0)
    return hull


def _move(size: tuple[int, ...], random: np.random.Generator) -> npt.NDArray[np.float64]:
    """The affine map (2,3) that resizes about the middle and shifts."""
    height, width = size
    across, down = np.exp(np.log(_SCALE) * random.uniform(-1, 1, 2))
    right, below = random.uniform(-1, 1, 2) * _SHIFT * (width, height)
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    return np.array([[across, 0, right + middle_x * (1 - across)], [0, down, below + middle_y * (1 - down)]])


def _deformed(mask: Mask, random: np.random.Generator) -> Mask:
    """The mask under a smooth random field of shifts."""
    height, width = mask.shape
    cells = random.uniform(-1, 1, (2, _CELLS, _CELLS)).astype(np.float32)
    right, below = (cv2.resize(field, (width, height), interpolation=cv2.INTER_CUBIC) for field in cells)
    columns = np.arange(width, dtype=np.float32)[None] + _ELASTIC * width * right
    rows = np.arange(height, dtype=np.float32)[:, None] + _ELASTIC * height * below
    moved: Mask = cv2.remap(mask, columns, rows, cv2.INTER_LINEAR)
    return moved


def _softened(mask: Mask, random: np.random.Generator) -> Mask:
    """Blurred, cut to what is still full, and blurred again; a mask too small for that keeps its size."""
    first, second = (random.uniform(*sigma) * max(mask.shape) for sigma in (_FIRST_SIGMA, _SECOND_SIGMA))
    full = (cv2.GaussianBlur(mask, (0, 0), first, borderType=cv2.BORDER_CONSTANT) >= _FULL).astype(np.float32)
    if not full.any():
        full = mask
    soft: Mask = cv2.GaussianBlur(full, (0, 0), second, borderType=cv2.BORDER_CONSTANT)
    return soft


def _blended(source: Pixels, target: Pixels, mask: Mask) -> Pixels:
    weight = mask[..., None]
    mixed = target + weight * (source.astype(np.float32) - target)
    blended: Pixels = np.rint(mixed).clip(0, 255).astype(np.uint8)
    return blended
