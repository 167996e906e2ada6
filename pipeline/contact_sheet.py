"""Rows of captioned pictures as one PNG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from ffpipe.pipeline.provenance_text import FIELD, as_json
from ffpipe.stages.lettering import fitted, font, wrapped

Pixels = npt.NDArray[np.uint8]

#: Side of a cell's picture, height of a line of text, its font size and the gap between cells, in pixels.
CELL = 160
_LINE, _FONT, _GAP = 18, 12, 6
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


def draw_sheet(title: str, rows: Sequence[Row], cell: int = CELL, foot: Pixels | None = None) -> bytes:
    """The rows as PNG, and below them the picture `foot` (H,W,3) as it is.

    A title may have several lines. Pictures are scaled to equal cells of `cell` pixels; text that is too long for its
    place is cut.
    """
    columns = max(len(row.cells) for row in rows)
    width = max(max(4 * CELL // cell, columns) * (cell + _GAP) + _GAP, 0 if foot is None else foot.shape[1])
    row_height = 2 * _LINE + cell + _GAP
    lines = [line for part in title.split("\n") for line in wrapped(part, width - 2 * _GAP, _FONT)]
    top = len(lines) * _LINE + 2 * _GAP
    height = top + len(rows) * row_height
    sheet = Image.new("RGB", (width, height + (0 if foot is None else len(foot))), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for number, line in enumerate(lines):
        pen.text((_GAP, _GAP + number * _LINE), line, _INK, font(_FONT))
    for number, row in enumerate(rows):
        _draw_row(sheet, pen, row, top + number * row_height, cell)
    if foot is not None:
        sheet.paste(Image.fromarray(foot), (0, height))
    content = io.BytesIO()
    sheet.save(content, "PNG")
    return content.getvalue()


def _draw_row(sheet: Image.Image, pen: ImageDraw.ImageDraw, row: Row, top: int, side: int) -> None:
    pen.text((_GAP, top), fitted(row.title, sheet.width - 2 * _GAP, _FONT), _INK, font(_FONT))
    for column, cell in enumerate(row.cells):
        left = _GAP + column * (side + _GAP)
        pen.text((left, top + _LINE), fitted(cell.caption, side, _FONT), _INK, font(_FONT))
        height, width = cell.pixels.shape[:2]
        scale = side / max(height, width)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        sheet.paste(
            Image.fromarray(cell.pixels).resize(size, Image.Resampling.BICUBIC), (left, top + 2 * _LINE)
        )
