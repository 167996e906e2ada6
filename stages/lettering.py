"""Letters on pictures: one font that every installation has, and texts made to fit and safe to draw."""

from __future__ import annotations

import os
from bisect import bisect_left
from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont

from ffpipe.manifests.inputs import display_path

#: Comes with matplotlib; its digits are all of one width, so that numbers stand still from frame to frame.
_FONT_FILE = Path("fonts/ttf/DejaVuSans.ttf")
#: Letters from here on may run the other way, join what is before them, or be missing in the font.
_FIRST_ESCAPED = "\u0250"
_ALWAYS_DRAWN = "…–—·→"


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans in a size of pixels."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / _FONT_FILE), size)


def drawable(name: str | os.PathLike[str]) -> str:
    r"""A name from a file system as letters that lie still: one line, left to right, all else as \u escapes."""
    return "".join(
        letter
        if letter < _FIRST_ESCAPED or letter in _ALWAYS_DRAWN
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in display_path(os.fspath(name))
    )


def fitted(text: str, width: float, size: int) -> str:
    """The text, or its end behind an ellipsis where it is wider than `width` pixels: of a path the end says most."""
    letters = font(size)
    if letters.getlength(text) <= width:
        return text
    start = bisect_left(range(len(text)), True, key=lambda i: letters.getlength(f"…{text[i:]}") <= width)
    return f"…{text[start:]}"


def wrapped(text: str, width: float, size: int) -> list[str]:
    """The text in lines of at most `width` pixels, broken between words; a word that is too long stands alone."""
    letters = font(size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and letters.getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
