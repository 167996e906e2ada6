"""Rows of captioned pictures as one PNG."""

from __future__ import annotations

import io
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from ffpipe.pipeline.provenance_text import FIELD, as_json

Pixels = npt.NDArray[np.uint8]

#: Side of a cell's picture, height of a line of text, its font size and the gap between cells, in pixels.
_CELL, _LINE, _FONT, _GAP = 160, 18, 12, 6
_PAPER, _INK = (255, 255, 255), (20, 20, 20)


@dataclass(frozen=True, slots=True)
class Cell:
    """A picture (H,W,3) and what it is."""

    caption: str
    pixels: Pixels


@dataclass(frozen=True, slots=True)
class Row:
    """Cells side by side under a title."""

    title: str
    cells: Sequence[Cell]


def with_provenance(sheet: bytes, origin: Mapping[str, Any]) -> bytes:
    """A PNG with its provenance in a text field; its pixels are the same."""
    told, content = PngInfo(), io.BytesIO()
    told.add_text(FIELD, as_json(origin))
    Image.open(io.BytesIO(sheet)).save(content, "PNG", pnginfo=told)
    return content.getvalue()


def draw_sheet(title: str, rows: Sequence[Row]) -> bytes:
    """The rows as PNG; pictures are scaled to equal cells, text that is too long for its place is cut."""
    columns = max(len(row.cells) for row in rows)
    width = max(4, columns) * (_CELL + _GAP) + _GAP
    row_height = 2 * _LINE + _CELL + _GAP
    lines = _wrapped(title, width - 2 * _GAP)
    top = len(lines) * _LINE + 2 * _GAP
    sheet = Image.new("RGB", (width, top + len(rows) * row_height), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((_GAP, _GAP + number * _LINE), line, _INK, _font())
    for number, row in enumerate(rows):
        _draw_row(sheet, pen, row, top + number * row_height)
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _draw_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Row, top: int) -> None:
    pen.text((_GAP, top), _fitted(row.title, sheet.width - 2 * _GAP), _INK, _font())
    for column, cell in enumerate(row.cells):
        left = _GAP + column * (_CELL + _GAP)
        pen.text((left, top + _LINE), _fitted(cell.caption, _CELL), _INK, _font())
        height, width = cell.pixels.shape[:2]
        scale = _CELL / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        sheet.paste(
            Image.fromarray(cell.pixels).resize(size, Image.Resampling.BICUBIC), (left, top + 2 * _LINE)
        )


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_FONT)


def _fitted(text: str, width: int) -> str:
    """The text, or its end behind an ellipsis: of a path the end says most."""
    if _font().getlength(text) <= width:
        return text
    font = _font()
    start = bisect_left(range(len(text)), True, key=lambda i: font.getlength(f"…{text[i:]}") <= width)
    return f"…{text[start:]}"


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _font().getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
