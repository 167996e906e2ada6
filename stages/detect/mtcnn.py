"""MTCNN with facenet-pytorch's weights, in our own loop: proposals on small copies, verdicts on sharper ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

from ffpipe.stages.detect import Detection, Image, check_frame
from ffpipe.stages.detect.mtcnn_networks import Proposer, Refiner, Settler

Floats = NDArray[np.float32]

#: Receptive field and stride of P-Net, in pixels of a pyramid level.
_CELL, _STRIDE = 12, 2
#: On this many of the largest pyramid levels P-Net looks at every second place in each direction: these levels
#: are three quarters of its work, and on 900 pasted faces of 50 to 400 pixels the recall stayed the same (0.971).
_SKIPPED_LEVELS = 2
#: Ratio between pyramid levels; facenet's. Wider steps lose recall: at 0.6 one face in 150, at 0.5 one in 90.
_FACTOR = 0.709
#: Probabilities that the three networks must reach; facenet's but for the first, which is 0.6 there: the proposals
#: in between cost R-Net a third of its time and gave no face on the same 900.
_THRESHOLDS = (0.7, 0.7, 0.7)
#: Overlaps (IoU) above which a box yields to a more probable one: in a level, over levels, after R-Net.
_NMS_LEVEL, _NMS_LEVELS, _NMS_REFINED = 0.5, 0.7, 0.7
#: Overlap (intersection over the smaller box) above which final boxes are one face.
_NMS_FINAL = 0.7
#: Smallest face searched for by default, in frame pixels: facenet's; larger frames are limited by `long_side`.
_SMALLEST_FACE = 20
#: Boxes that go into one run of R-Net or O-Net: maps of more no longer fit the allocator's cache, nor the CPU's.
_CHUNK = 32


class MtcnnDetector:
    """Cascade of P-Net (everywhere), R-Net and O-Net (on what is left), with five landmarks.

    P-Net looks at copies of the frame no larger than `long_side`; R-Net and O-Net look at windows taken from
    the frame halved as often as still leaves them enough pixels, so small faces are judged as sharp as they are.
    """

    name = "mtcnn"

    def __init__(self, long_side: int = 640, min_face: int | None = None) -> None:
        self._long_side = long_side
        self._min_face = min_face or _SMALLEST_FACE
        self._proposer, self._refiner, self._settler = Proposer(), Refiner(), Settler()

    @torch.inference_mode()
    def detect(self, frames: Sequence[Image]) -> list[list[Detection]]:
        """See `FaceDetector.detect`."""
        cv2.setNumThreads(1)
        return [self._detect_one(frame) for frame in frames]

    def _detect_one(self, frame: Image) -> list[Detection]:
        check_frame(frame)
        halvings = _halvings(frame)
        boxes = self._refine(halvings, self._propose(halvings))
        return self._settle(halvings, boxes)

    def _propose(self, halvings: list[Image]) -> Floats:
        """Square boxes (n, 4) in frame pixels where P-Net suspects a face."""
        found = []
        for depth, scale in enumerate(self._scales(halvings[0])):
            skip = 2 if depth < _SKIPPED_LEVELS else 1
            maps = self._proposer(_tensor(_level(halvings, scale)), skip)
            boxes, scores = _decode_proposals(maps, scale, _STRIDE * skip)
            keep = nms(boxes[:, :4], scores, _NMS_LEVEL)
            found.append((boxes[keep], scores[keep]))
        if not found:
            return np.zeros((0, 4), np.float32)
        boxes, scores = torch.cat([b for b, _ in found]), torch.cat([s for _, s in found])
        boxes = boxes[nms(boxes[:, :4], scores, _NMS_LEVELS)]
        sides = (boxes[:, 2:4] - boxes[:, :2]).repeat(1, 2)
        return _square((boxes[:, :4] + boxes[:, 4:] * sides).numpy())

    def _scales(self, frame: Image) -> list[float]:
        height, width = frame.shape[:2]
        scale = min(1.0, self._long_side / max(height, width), _CELL / self._min_face)
        scales = []
        while min(height, width) * scale >= _CELL:
            scales.append(scale)
            scale *= _FACTOR
        return scales

    def _refine(self, halvings: list[Image], boxes: Floats) -> Floats:
        """Those of the boxes that R-Net believes, moved and squared."""
        windows, inside = _windows(halvings, boxes, Refiner.side)
        if not len(windows):
            return np.zeros((0, 4), np.float32)
        boxes = boxes[inside]
        scores, shifts = (t.numpy() for t in _chunked(self._refiner, windows))
        sure = scores > _THRESHOLDS[1]
        boxes, scores, shifts = boxes[sure], scores[sure], shifts[sure]
        keep = nms(torch.from_numpy(boxes), torch.from_numpy(scores), _NMS_REFINED).numpy()
        return _square(_shift(boxes[keep], shifts[keep]))

    def _settle(self, halvings: list[Image], boxes: Floats) -> list[Detection]:
        """Final boxes, landmarks and confidences of O-Net, most confident first."""
        windows, inside = _windows(halvings, boxes, Settler.side)
        if not len(windows):
            return []
        boxes = boxes[inside]
        scores, shifts, points = (t.numpy() for t in _chunked(self._settler, windows))
        sure = scores > _THRESHOLDS[2]
        boxes, scores, shifts, points = boxes[sure], scores[sure], shifts[sure], points[sure]
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        x = boxes[:, :1] + points[:, :5] * sides[:, :1] - 1
        y = boxes[:, 1:2] + points[:, 5:] * sides[:, 1:] - 1
        landmarks = np.stack([x, y], axis=2).reshape(-1, 10)
        boxes = _shift(boxes, shifts)
        return [
            Detection(
                (float(boxes[i, 0]), float(boxes[i, 1]), float(boxes[i, 2]), float(boxes[i, 3])),
                float(scores[i]),
                tuple(float(v) for v in landmarks[i]),
            )
            for i in _distinct(boxes, scores)
        ]


def _halvings(frame: Image) -> list[Image]:
    """The frame and its copies at 1/2, 1/4 … down to a short side of 48 pixels or less."""
    copies = [frame]
    while min(copies[-1].shape[:2]) > Settler.side:
        height, width = copies[-1].shape[:2]
        copies.append(_resize(copies[-1], (width + 1) // 2, (height + 1) // 2))
    return copies


def _resize(image: Image, width: int, height: int) -> Image:
    resized: Image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized


def _level(halvings: list[Image], scale: float) -> Image:
    """The pyramid level of that scale, from the smallest copy that is not smaller."""
    height, width = halvings[0].shape[:2]
    size = int(width * scale + 1), int(height * scale + 1)
    depth = min(int(math.log2(1 / scale)), len(halvings) - 1)
    return _resize(halvings[depth], *size)


def _tensor(image: Image) -> Tensor:
    """RGB (H, W, 3) as float (1, 3, H, W) on the 0..255 scale, channels last in memory."""
    return torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0).float()


def _decode_proposals(maps: tuple[Tensor, Tensor], scale: float, stride: int) -> tuple[Tensor, Tensor]:
    """(score (h, w), shifts (4, h, w)) of a level -> boxes (n, 4 corners + 4 shifts) in frame pixels, scores."""
    score, shifts = maps
    rows, columns = torch.nonzero(score >= _THRESHOLDS[0], as_tuple=True)
    corner = torch.stack([columns, rows], dim=1).float() * stride
    low = torch.floor((corner + 1) / scale)
    high = torch.floor((corner + _CELL) / scale)
    return torch.cat([low, high, shifts[:, rows, columns].T], dim=1), score[rows, columns]


def _square(boxes: Floats) -> Floats:
    """Boxes widened about their centre to squares."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def _shift(boxes: Floats, shifts: Floats) -> Floats:
    """Boxes moved by the networks' regression, which counts in box sides."""
    sides = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    return boxes + shifts * sides


def _windows(halvings: list[Image], boxes: Floats, side: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The boxes' content (n, side, side, 3), clipped to the frame, and the indices of boxes that have any."""
    height, width = halvings[0].shape[:2]
    corners = np.trunc(boxes)
    low = np.maximum(corners[:, :2], 1) - 1
    high = np.minimum(corners[:, 2:], (width, height))
    inside = np.flatnonzero((high - low >= 1).all(axis=1))
    windows = np.empty((len(inside), side, side, 3), np.uint8)
    for slot, i in enumerate(inside):
        extent = float(min(high[i] - low[i]))
        depth = min(max(0, int(math.log2(extent / side))) if extent > side else 0, len(halvings) - 1)
        copy = halvings[depth]
        x0, y0 = (int(v) >> depth for v in low[i])
        x1, y1 = (max(int(v) >> depth, 1) for v in high[i])
        cv2.resize(copy[y0:y1, x0:x1], (side, side), dst=windows[slot], interpolation=cv2.INTER_LINEAR)
    return windows, inside


def _chunked(network: Refiner | Settler, windows: NDArray[np.uint8]) -> tuple[Tensor, ...]:
    """Run a network over windows in bounded pieces."""
    parts = [
        network(torch.from_numpy(windows[at : at + _CHUNK]).permute(0, 3, 1, 2).float())
        for at in range(0, len(windows), _CHUNK)
    ]
    return tuple(torch.cat(same) for same in zip(*parts, strict=True))


def _distinct(boxes: Floats, scores: Floats) -> list[int]:
    """Indices of boxes, most probable first, that no more probable box covers (or is covered by)."""
    kept: list[int] = []
    area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0), axis=1)
    for i in np.argsort(-scores, kind="stable"):
        low = np.maximum(boxes[kept, :2], boxes[i, :2])
        high = np.minimum(boxes[kept, 2:], boxes[i, 2:])
        shared = np.prod(np.maximum(high - low + 1, 0), axis=1)
        if (shared <= _NMS_FINAL * np.minimum(area[kept], area[i])).all():
            kept.append(int(i))
    return kept
