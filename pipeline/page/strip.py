"""The scores of an image's faces on one line each, from 0 to 1, with the bars that the verdict is held to."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ffpipe.pipeline.page.svg import Scale, box, drawing, line, number, tag, text
from ffpipe.pipeline.page.timeline import SHAPES, Bars, Known, band_pattern, legend

#: Faces that are drawn at most; the table below the figure has every one.
MAX_ROWS = 24
_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 900, 90, 60, 42, 26

#: Heights of the bars' names over the figure, and the room that a name takes.
_LOW_NAME, _HIGH_NAME, _NAME = 6, 22, 110


def strip(faces: Sequence[tuple[str, float]], bars: Bars) -> Markup:
    """The figure of faces, each a name and a score, in the given order."""
    shown = faces[:MAX_ROWS]
    x = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)
    bottom = _TOP + _ROW * len(shown)
    parts = [
        tag("defs", band_pattern()),
        box(x.start, _TOP, x.end - x.start, bottom - _TOP, "plot"),
        *_bars(bars.known(), x, bottom),
        *(_face(name, score, bars, x, _TOP + _ROW * (k + 0.5)) for k, (name, score) in enumerate(shown)),
        *(text(x(v), bottom + 16, f"{v:g}", "tick", "middle") for v in (0, 0.25, 0.5, 0.75, 1)),
        legend(bars, _LEFT, bottom + 36),
    ]
    left_out = f" of {len(faces)}" if len(faces) > len(shown) else ""
    about = f"The scores of {len(shown)}{left_out} faces on a line from 0 to 1. The table below holds the same figures."
    return drawing("strip", _WIDTH, bottom + 56, "Scores of the faces", about, *parts)


def _face(name: str, score: float, bars: Bars, x: Scale, y: float) -> Markup:
    place = number(x(score)), number(y)
    return Markup().join(
        [
            text(x.start - 8, y + 4, name, None, "end"),
            line(x.start, y, x.end, y, "grid"),
            tag("path", d=SHAPES[bars.of(score)].format(*place), class_=f"mark {bars.of(score)}"),
            text(x.end + 8, y + 4, f"{score:.3f}", "tick"),
        ]
    )


def _bars(known: Sequence[Known], x: Scale, bottom: float) -> list[Markup]:
    """The band and the bars; the threshold's name stands above the other's, so that neither crosses a line."""
    parts = []
    if len(known) == 2:
        width = x(known[0].value) - x(known[1].value)
        parts.append(box(x(known[1].value), _TOP, width, bottom - _TOP, "band", "band"))
    for bar, height in zip(reversed(known), (_LOW_NAME, _HIGH_NAME), strict=False):
        place, top = x(bar.value), _TOP - height
        before = place - x.start > _NAME
        parts.append(line(place, top - 8, place, bottom, bar.kind))
        words = f"{bar.name} {bar.value:.3f}"
        parts.append(text(place + (-5 if before else 5), top, words, "tick", "end" if before else None))
    return parts
