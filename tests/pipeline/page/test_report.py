"""The report's page: inert whatever the names say, readable without colour, and with its provenance."""

from __future__ import annotations

import base64
import hashlib

import pytest
from html_page import Element, assert_inert, parse
from names import NAMES, report_row

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Status, Verdict
from ffpipe.manifests.schemas import to_table
from ffpipe.pipeline import tables
from ffpipe.pipeline.output import VERDICT_WORDS
from ffpipe.pipeline.page.render import content_policy
from ffpipe.pipeline.page.report import provenance_in, report_page

PROVENANCE = {"id": "abc", "ffpipe": "0.1.0", "command": ["ffpipe", "score", "</pre><script>alert(1)</script>"],
              "started": "2026-01-01T00:00:00+00:00", "model": {"detector": "meso4", "sha256": "0" * 64}}  # fmt: skip


def page_of(rows: list, provenance: dict = PROVENANCE) -> str:
    return report_page(tables.text_rows(to_table("report", rows)), provenance)


def inputs_of(page: Element) -> list[Element]:
    return page.one("table", class_="inputs").one("tbody").all("tr")


@pytest.fixture(scope="module")
def named() -> Element:
    return parse(page_of([report_row(name) for name in NAMES]))


def test_no_name_and_no_provenance_becomes_markup(named: Element) -> None:
    assert_inert(named)
    rows = inputs_of(named)
    assert [row.one("bdi").text for row in rows] == [display_path(name) for name in NAMES]
    assert [row.one("code", class_="bytes").text for row in rows] == [
        tables.escape_bytes(name) for name in NAMES
    ]
    assert all(character.isprintable() for row in rows for character in row.one("bdi").text)


def test_the_policy_allows_the_pages_own_style_alone(named: Element) -> None:
    (policy,) = named.all("meta", **{"http-equiv": "Content-Security-Policy"})
    digest = base64.b64encode(hashlib.sha256(named.one("style").text.encode()).digest()).decode()
    allowed = dict(part.strip().split(" ", 1) for part in str(policy.attributes["content"]).split(";"))
    assert allowed == {
        "default-src": "'none'", "style-src": f"'sha256-{digest}'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    head = named.one("head").children
    assert [e.tag for e in head].index("style") > head.index(policy), (
        "the policy stands before what it governs"
    )
    assert content_policy("a") != content_policy("b")


def test_a_reader_finds_language_title_captions_and_headings(named: Element) -> None:
    assert named.one("html").attributes["lang"] == "en"
    assert f"{len(NAMES)} inputs" in named.one("title").text
    for table in named.all("table"):
        assert table.one("caption").text
        headings = table.one("thead").all("th")
        assert all(th.attributes["scope"] == "col" for th in headings)
        for row in table.one("tbody").all("tr"):
            assert row.children[0].attributes["scope"] == "row"
            assert len(row.children) == len(headings)
    assert named.one("meta", name="color-scheme").attributes["content"] == "light dark"
    style = named.one("style").text
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_every_verdict_has_words_and_a_mark_beside_its_colour() -> None:
    page = parse(page_of([report_row(verdict=verdict) for verdict in Verdict]))
    for row, verdict in zip(inputs_of(page), Verdict, strict=True):
        mark, words, _ = VERDICT_WORDS[verdict]
        assert row.one("span", class_=f"verdict {verdict}").text == f"{mark} {words}"
    assert "authentic" not in page.one("main").text


def test_counts_stand_on_top_and_failures_have_a_row_with_the_reason() -> None:
    failed = report_row(b"gone.mp4", status=Status.MISSING, verdict=Verdict.NOT_ASSESSABLE, score=None,
                        reason="No such file <b>or</b> directory", worst_track=None, bytes=None, sha256="")  # fmt: skip
    page = parse(page_of([report_row(), report_row(b"b.mp4", verdict=Verdict.LIKELY_MANIPULATED), failed]))
    verdicts, statuses, _ = page.all("table")
    counted = {row.children[0].text: row.children[1].text for row in verdicts.one("tbody").all("tr")}
    assert counted == {"!! likely manipulated": "1", "?? inconclusive": "1", "xx not assessable": "1",
                       "-- no manipulation found": "0"}  # fmt: skip
    counted = {
        row.children[0].text: (row.children[1].text, row.children[2].text)
        for row in statuses.one("tbody").all("tr")
    }
    assert counted == {"ok": ("2", "not failed"), "missing": ("1", "failed")}
    row = inputs_of(page)[2]
    assert row.one("td", class_="reason").text == "No such file <b>or</b> directory"
    assert [cell.text for cell in row.children[2:4]] == ["-", "missing"]


def test_the_provenance_is_read_back() -> None:
    page = page_of([report_row()])
    assert provenance_in(page) == PROVENANCE
    assert "</pre><script>" in parse(page).one("dl").text
    with pytest.raises(ValueError):
        provenance_in("<html></html>")
