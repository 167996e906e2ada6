"""Draws what was scored onto a frame: boxes, tracks, scores, heat maps, and below the picture what all of it means.

Everything is legible without colour: lines and letters are white on black, boxes of other frames are dashed. Nothing is
drawn over the picture but boxes, their labels and the maps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw

from ffpipe.manifests.records import Box
from ffpipe.stages.explain import HeatMap, colour_key, overlay
from ffpipe.stages.lettering import fitted, font, wrapped

Image = NDArray[np.uint8]

#: What stands wherever a heat map does.
NOT_PROOF = "where the model looked, not proof"
#: Least width of an annotated picture, in pixels: letters need room; and the longest side that it may have.
_LEAST_WIDTH, _LONGEST_SIDE = 720, 1920
#: Letters per width of a picture, and their least height in pixels.
_LETTERS, _LEAST_LETTER = 58, 14
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
#: Lengths of a dash and of the gap behind it, in line widths.
_DASH, _PAUSE = 6, 4


@dataclass(frozen=True, slots=True)
class Mark:
    """A face as it is drawn: its label, its box and the square of its heat map, in pixels of the frame.

    heat: (H,W) in [0,1], None for none; held: it was scored in an earlier frame.
    """

    label: str
    box: Box
    crop_box: Box
    heat: HeatMap | None = None
    held: bool = False


class Canvas:
    """Annotates the frames of one medium, which all come out in one even size.

    Small frames are enlarged until letters fit, very large ones reduced; a frame of another shape than the first is
    fitted in. `legend` stands below every frame; `keyed` puts the colour key of heat maps there too.
    """

    def __init__(self, width: int, height: int, legend: Sequence[str], keyed: bool) -> None:
        scale = min(max(1.0, _LEAST_WIDTH / width), _LONGEST_SIDE / max(width, height))
        self._picture = _even(width * scale), _even(height * scale)
        self._letter = max(_LEAST_LETTER, self._picture[0] // _LETTERS)
        self._line = round(self._letter * 1.5)
        self._legend = self._drawn_legend(legend, keyed)
        self.width, self.height = self._picture[0], self._picture[1] + len(self._legend)

    def draw(self, rgb: Image, caption: str, marks: Sequence[Mark]) -> Image:
        """A frame, RGB uint8 (H,W,3), with its marks and the caption below it: (self.height, self.width, 3)."""
        scale = min(self._picture[0] / rgb.shape[1], self._picture[1] / rgb.shape[0])
        scaled = _resized(rgb, scale)
        for mark in marks:
            if mark.heat is not None:
                _blend(scaled, mark.heat, _times(mark.crop_box, scale))
        whole = np.zeros((self.height, self.width, 3), np.uint8)
        whole[: scaled.shape[0], : scaled.shape[1]] = scaled
        whole[self._picture[1] :] = self._legend
        sheet = Pictures.fromarray(whole)
        pen = ImageDraw.Draw(sheet)
        boxes = [_times(mark.box, scale) for mark in marks]
        for mark, box in zip(marks, boxes, strict=True):
            _outline(pen, box, max(2, self._letter // 7), mark.held)
        self._labels(pen, marks, boxes)
        text = fitted(caption, self.width - self._letter, self._letter)
        pen.text((self._letter // 2, self._picture[1] + self._line // 4), text, _WHITE, font(self._letter))
        return np.asarray(sheet)

    def _drawn_legend(self, legend: Sequence[str], keyed: bool) -> Image:
        """What stands below every picture (h, width, 3); its first line is left free for the caption."""
        width, margin = self._picture[0], self._letter // 2
        size = max(_LEAST_LETTER - 2, round(self._letter * 0.8))
        lines = [line for text in legend for line in wrapped(text, width - 2 * margin, size)]
        step = round(size * 1.4)
        top = self._line + margin
        height = _even(top + (step + margin) * keyed + step * len(lines) + margin)
        sheet = Pictures.new("RGB", (width, height), _BLACK)
        pen = ImageDraw.Draw(sheet)
        if keyed:
            key = colour_key(width // 4, step)
            sheet.paste(Pictures.fromarray(key), (margin, top))
            pen.rectangle((margin - 1, top - 1, margin + width // 4, top + step), outline=_WHITE)
            said = fitted(f"low to high: {NOT_PROOF}", width * 3 // 4 - 3 * margin, size)
            pen.text((width // 4 + 2 * margin, top), said, _WHITE, font(size))
            top += step + margin
        for number, line in enumerate(lines):
            pen.text((margin, top + number * step), line, _WHITE, font(size))
        return np.asarray(sheet)

    def _labels(self, pen: ImageDraw.ImageDraw, marks: Sequence[Mark], boxes: Sequence[Box]) -> None:
        """Each face's label on a black plate at its box, where it covers no other label if there is such a place."""
        taken: list[Box] = []
        for mark, box in zip(marks, boxes, strict=True):
            text = fitted(mark.label, self.width - self._letter, self._letter)
            size = font(self._letter).getlength(text) + self._letter, float(self._line)
            plate = self._place(box, size, taken)
            taken.append(plate)
            pen.rectangle(plate, fill=_BLACK, outline=_WHITE)
            pen.text(
                (plate[0] + self._letter / 2, plate[1] + self._line / 8), text, _WHITE, font(self._letter)
            )

    def _place(self, box: Box, size: tuple[float, float], taken: Sequence[Box]) -> Box:
        width, height = size
        left = min(max(box[0], 0.0), max(self._picture[0] - 1 - width, 0.0))
        lowest = self._picture[1] - 1 - height
        tops = [box[1] - height - 2, box[3] + 2, box[1] + 2, box[3] - height - 2]
        plates = [(left, top, left + width, top + height) for top in tops if 0 <= top <= lowest]
        clipped = min(max(box[1], 0.0), max(lowest, 0.0))
        plates.append((left, clipped, left + width, clipped + height))
        free = (plate for plate in plates if not any(_overlap(plate, other) for other in taken))
        return next(free, plates[0])


def _even(side: float) -> int:
    """The next even number: H.264 halves the colours' resolution."""
    return max(2, 2 * round(side / 2))


def _times(box: Box, scale: float) -> Box:
    return box[0] * scale, box[1] * scale, box[2] * scale, box[3] * scale


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _resized(rgb: Image, scale: float) -> Image:
    if scale == 1:
        return rgb.copy()
    size = max(1, int(rgb.shape[1] * scale + 1e-6)), max(1, int(rgb.shape[0] * scale + 1e-6))
    picture: Image = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return picture


def _blend(picture: Image, heat: HeatMap, place: Box) -> None:
    """Lay a map over its square of the picture, in place; what of the square lies outside is left out."""
    x0, y0, x1, y1 = (round(side) for side in place)
    if x1 <= x0 or y1 <= y0:
        return
    height, width = picture.shape[:2]
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if right <= left or bottom <= top:
        return
    laid = cv2.resize(heat, (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR)
    part = laid[top - y0 : bottom - y0, left - x0 : right - x0]
    picture[top:bottom, left:right] = overlay(picture[top:bottom, left:right], part)


def _outline(pen: ImageDraw.ImageDraw, box: Box, width: int, dashed: bool) -> None:
    """A white line between two black ones, which stands out on any picture."""
    x0, y0, x1, y1 = box
    for start, end in (
        ((x0, y0), (x1, y0)),
        ((x1, y0), (x1, y1)),
        ((x1, y1), (x0, y1)),
        ((x0, y1), (x0, y0)),
    ):
        for a, b in _strokes(start, end, width) if dashed else [(start, end)]:
            pen.line([a, b], _BLACK, width + 2)
            pen.line([a, b], _WHITE, width)


def _strokes(
    start: tuple[float, float], end: tuple[float, float], width: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The dashes of a line."""
    origin, path = np.array(start), np.array(end) - np.array(start)
    length = float(np.hypot(*path))
    if not length:
        return []
    begins = np.arange(0, length, width * (_DASH + _PAUSE))
    ends = np.minimum(begins + width * _DASH, length)
    points = [
        (origin + path * a / length, origin + path * b / length) for a, b in zip(begins, ends, strict=True)
    ]
    return [((float(a[0]), float(a[1])), (float(b[0]), float(b[1]))) for a, b in points]
