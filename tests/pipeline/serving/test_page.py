from __future__ import annotations

import base64
import hashlib
import re

from html_page import parse

from ffpipe.pipeline.serving.page import make_page
from ffpipe.pipeline.serving.uploads import UploadLimits

LIMITS = UploadLimits(3 << 30, 7, 1 << 40, 1 << 30)
PAGE = make_page("<b>model</b>", LIMITS, False, "/home/<i>me</i>")


def test_only_its_own_style_and_script_may_run() -> None:
    page = parse(PAGE.html)
    for kind, text in (("style", page.one("style").text), ("script", page.one("script").text)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in PAGE.policy
    assert "unsafe" not in PAGE.policy
    assert "http" not in PAGE.policy


def test_it_asks_for_nothing_elsewhere() -> None:
    assert not re.search(r"https?:|//[a-z]|url\(|@import|eval\(|innerHTML|document\.write", PAGE.html)
    for element in parse(PAGE.html).everything():
        assert element.attributes.get("href", "data:,") == "data:,"
        assert not {"src", "action", "style", "srcset"} & element.attributes.keys()
        assert not [name for name in element.attributes if name.startswith("on")]


def test_every_field_has_a_label_and_every_section_a_heading() -> None:
    page = parse(PAGE.html)
    labels = {label.attributes["for"] for label in page.all("label")}
    assert labels == {field.attributes["id"] for field in page.all("input")}
    ids = {element.attributes["id"] for element in page.everything() if "id" in element.attributes}
    assert {section.attributes["aria-labelledby"] for section in page.all("section")} <= ids
    assert page.one("html").attributes["lang"] == "en"


def test_it_says_what_is_taken_and_what_is_kept() -> None:
    page = parse(PAGE.html)
    main = page.one("main")
    assert (main.attributes["data-file-bytes"], main.attributes["data-batch-files"]) == (str(3 << 30), "7")
    assert "Up to 7 files, 3.0 GiB each" in main.text
    assert "deleted as soon as their batch is scored" in main.text
    assert "<b>model</b>" in main.text
    assert "/home/<i>me</i>" in main.text
    assert "until their batch is removed" in parse(make_page("m", LIMITS, True, "w").html).one("main").text


def test_no_word_claims_that_a_video_is_genuine() -> None:
    assert not re.search(r"authentic|genuine", PAGE.html, re.IGNORECASE)
