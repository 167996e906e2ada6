"""The template engine escapes what it is given and refuses what it was not given."""

from __future__ import annotations

import jinja2
import pytest

from ffpipe.pipeline.page.render import render


def test_a_value_that_is_missing_is_an_error_and_no_gap() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("report.html.jinja")
