from __future__ import annotations

import os

import pytest
from names import NAMES

from ffpipe.stages.lettering import drawable, fitted, font, wrapped


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_drawn_in_letters_of_one_direction_that_the_font_has(name):
    text = drawable(os.fsdecode(name))
    assert text.isprintable()
    assert all(letter < "\u0250" or letter in "…–—·→" for letter in text)
    assert font(12).getlength(text) > 0


def test_ordinary_names_stay_as_they_are():
    assert drawable("Straße à Paris – 2.mp4") == "Straße à Paris – 2.mp4"
    assert drawable("日本.mp4") == "\\u65e5\\u672c.mp4"


def test_text_is_cut_at_its_front_and_wrapped_between_words():
    assert fitted("short", 500, 12) == "short"
    cut = fitted("a/long/path/to/clip.mp4", 90, 12)
    assert cut.startswith("…") and cut.endswith("clip.mp4")
    assert font(12).getlength(cut) <= 90
    lines = wrapped("many words " * 20, 200, 12)
    assert " ".join(lines) == ("many words " * 20).strip()
    assert all(font(12).getlength(line) <= 200 for line in lines)
