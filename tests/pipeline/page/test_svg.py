"""Small parts of drawings: values are escaped, scales hold at their ends, ticks are round."""

from __future__ import annotations

import pytest
from inert_page import assert_wellformed

from ffpipe.pipeline.page.svg import Scale, box, drawing, number, path, spread, tag, text, ticks


def test_what_is_given_is_escaped_and_what_is_drawing_is_not() -> None:
    made = tag("g", "<b>", tag("path", d="M0 0"), class_='"x"', stroke_width=1.25, fill=None)
    assert made == '<g class="&#34;x&#34;" stroke-width="1.2">&lt;b&gt;<path d="M0 0"></path></g>'
    assert_wellformed(drawing("n", 10, 10.5, "<title>", "a & b", text(1, 2, "</svg><script>")))


def test_numbers_are_short_and_zero_has_no_sign() -> None:
    assert [number(value) for value in (1.0, 0.04, -0.04, 12.36)] == ["1", "0", "0", "12.4"]


def test_a_scale_takes_values_to_places_and_stops_at_its_ends() -> None:
    scale = Scale(0, 2, 100, 200)
    assert [scale(value) for value in (-1, 0, 0.5, 2, 9)] == [100, 100, 125, 200, 200]
    downwards = Scale(0, 1, 50, 10)
    assert downwards(0.25) == 40


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 4.2, [0, 1, 2, 3, 4]),
        (-3, 7200, [0, 1000, 2000, 3000, 4000, 5000, 6000, 7000]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high, 8) == pytest.approx(expected)


def test_nothing_is_drawn_of_nothing() -> None:
    assert box(0, 0, 0, 5, "plot") == path([], "line") == ""


def test_labels_move_apart_in_order() -> None:
    assert spread([10, 12, 40, 41], 13) == [10, 23, 40, 53]
