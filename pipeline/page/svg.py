"""Inline SVG in small parts: elements with escaped values, scales from data to the drawing, ticks for people."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

#: Steps between ticks, in powers of ten.
_STEPS = (1, 2, 5, 10)


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; children and values are escaped unless they are Markup, and `None` leaves an attribute out.

    A trailing underscore of a name is dropped (`class_`), others become hyphens; numbers get one decimal.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(str(escape(child)) for child in children)
    # Name and keys are ours, and every value is escaped above.
    return Markup(f"<{name}{given}>{inside}</{name}>")  # noqa: S704


def number(value: float) -> str:
    """A coordinate with one decimal at most."""
    return f"{round(value, 1) + 0.0:.1f}".removesuffix(".0")


def _value(value: object) -> object:
    return number(value) if isinstance(value, float) else value


def drawing(name: str, width: float, height: float, title: str, about: str, *children: str) -> Markup:
    """A figure that says to a screen reader what it shows; `name` tells its ids from those of other figures."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-title"),
        tag("desc", about, id=f"{name}-about"),
        *children,
        viewBox=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-about",
        class_=f"drawing {name}",
    )


def text(x: float, y: float, words: str, class_: str | None = None, anchor: str | None = None) -> Markup:
    """Words whose baseline begins, is centred or ends (`anchor`: None, "middle", "end") at a place."""
    return tag("text", words, x=x, y=y, class_=class_, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return tag("path", d=f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}", class_=class_)


def box(x: float, y: float, width: float, height: float, class_: str, pattern: str | None = None) -> Markup:
    """A rectangle, filled with a pattern of this name if one is given; nothing where it has no area."""
    if width <= 0 or height <= 0:
        return Markup()
    fill = None if pattern is None else f"url(#{pattern})"
    return tag("rect", x=x, y=y, width=width, height=height, class_=class_, fill=fill)


def path(points: Sequence[tuple[float, float]], class_: str, pattern: str | None = None) -> Markup:
    """A line through points, or the area within, filled with a pattern of this name; nothing without points."""
    if not points:
        return Markup()
    fill = None if pattern is None else f"url(#{pattern})"
    return tag(
        "path", d="M" + "L".join(f"{number(x)} {number(y)}" for x, y in points), class_=class_, fill=fill
    )


def hatch(name: str, d: str, size: int, class_: str) -> Markup:
    """A pattern of strokes to fill areas with, so that they are told apart without colour."""
    return tag(
        "pattern",
        tag("path", d=d, class_=class_),
        id=name,
        width=size,
        height=size,
        patternUnits="userSpaceOnUse",
    )


@dataclass(frozen=True, slots=True)
class Scale:
    """Takes values from low to high to places from `start` to `end`; values beyond stay at the ends."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Round values within low and high, at most `most` steps apart 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(power * s for s in _STEPS if span / (power * s) <= most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def spread(places: Sequence[float], apart: float) -> list[float]:
    """Places of labels, moved as little as needed downwards in order, so that neighbours are `apart`."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + apart) if moved else place)
    return moved
