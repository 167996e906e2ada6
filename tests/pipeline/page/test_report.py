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


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inputs_of(page: Element) -> list[Element]:
    return page.one("table", class_="inputs").one("tbody").all("tr")


@pytest.fixture(scope="module")
def named() -> Element:
    return parse(page_of([report_row(name) for name in NAMES]))


def test_no_name_and_no_provenance_becomes_markup(named: Element) -> None:
    assert_inert(named)
    rows = inputs_of(named)
    assert [row.one("bdi").text for row in rows] == [display_path(name) for name in NAMES]
    told = [(row.all("code", class_="bytes") or row.all("bdi"))[0].text for row in rows]
    assert told == [tables.escape_bytes(name) for name in NAMES]
    assert all(character.isprintable() for row in rows for character in row.one("bdi").text)


def test_the_policy_allows_the_pages_own_style_and_script_alone(named: Element) -> None:
    (policy,) = named.all("meta", **{"http-equiv": "Content-Security-Policy"})
    allowed = dict(part.strip().split(" ", 1) for part in str(policy.attributes["content"]).split(";"))
    assert allowed == {
        "default-src": "'none'", "style-src": f"'sha256-{digest(named.one('style').text)}'",
        "script-src": f"'sha256-{digest(named.one('script').text)}'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    head = named.one("head").children
    for governed in ("style", "script"):
        assert [e.tag for e in head].index(governed) > head.index(policy), (
            "the policy stands before what it governs"
        )
    assert content_policy("a") != content_policy("b")


def test_a_reader_finds_language_title_captions_and_headings(named: Element) -> None:
    assert named.one("html").attributes["lang"] == "en"
    assert f"None of {len(NAMES)} videos is called likely manipulated" in named.one("title").text
    for table in named.all("table"):
        assert table.one("caption").text
        headings = table.one("thead").all("th")
        assert all(th.attributes["scope"] == "col" for th in headings)
        for row in table.one("tbody").all("tr"):
            assert row.one("th").attributes["scope"] == "row"
            assert len(row.children) == len(headings)
    for part in named.all("section"):
        assert part.one("h2").attributes["id"] == part.attributes["aria-labelledby"]
    assert named.one("meta", name="color-scheme").attributes["content"] == "light dark"
    style = named.one("style").text
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_every_verdict_has_words_and_a_mark_beside_its_colour() -> None:
    page = parse(page_of([report_row(verdict=verdict) for verdict in Verdict]))
    for row, verdict in zip(inputs_of(page), VERDICT_WORDS, strict=True):
        mark, words, _ = VERDICT_WORDS[verdict]
        assert row.one("span", class_=f"verdict {verdict}").text == f"{mark} {words}"
    assert "authentic" not in page.one("main").text


def test_counts_stand_on_top_and_failures_have_a_count_a_filter_and_a_reason() -> None:
    failed = report_row(b"gone.mp4", status=Status.MISSING, verdict=Verdict.NOT_ASSESSABLE, score=None,
                        reason="No such file <b>or</b> directory", worst_track=None, bytes=None, sha256="")  # fmt: skip
    page = parse(page_of([report_row(), report_row(b"b.mp4", verdict=Verdict.LIKELY_MANIPULATED), failed]))
    assert page.one("h1").text == (
        "1 of 3 videos is likely manipulated; 1 is inconclusive; 1 could not be assessed."
    )
    counted = {
        card.all("p")[1].text: card.all("p")[0].text for card in page.one("ul", class_="counts").all("li")
    }
    assert counted == {"!! likely manipulated": "1", "?? inconclusive": "1", "xx not assessable": "1",
                       "-- no manipulation found": "0"}  # fmt: skip
    statuses = page.one("table", class_="statuses").one("tbody").all("tr")
    assert [(row.children[0].text, row.children[1].text) for row in statuses] == [
        ("missingfailed", "1"), ("ok", "2"),
    ]  # fmt: skip
    assert [radio.attributes["value"] for radio in page.all("input", name="show")] == [
        "", "likely_manipulated", "inconclusive", "not_assessable", "failed",
    ]  # fmt: skip
    row = inputs_of(page)[2]
    assert "failed" in str(row.attributes["class"]).split()
    assert row.one("td", class_="reason").text == "No such file <b>or</b> directory"
    assert row.children[0].text == "xx not assessablemissing, failed"
    assert row.one("td", class_="score").text == "-"


def test_a_page_that_stands_alone_has_no_link_and_one_of_a_folder_leads_to_each_medium() -> None:
    rows = tables.text_rows(to_table("report", [report_row()]))
    alone = parse(report_page(rows, PROVENANCE))
    linked = parse(report_page(rows, PROVENANCE, {"0" * 32: f"videos/{'0' * 32}.html"}))
    assert [link.attributes["href"] for link in inputs_of(alone)[0].all("a")] == []
    assert [link.attributes["href"] for link in inputs_of(linked)[0].all("a")] == [f"videos/{'0' * 32}.html"]
    assert_inert(linked)


def test_an_uncalibrated_report_says_so_and_a_calibrated_one_what_its_numbers_mean() -> None:
    assert "The scores are uncalibrated" in parse(page_of([report_row()])).one("main").text
    page = parse(page_of([report_row(probability=0.9, log10_likelihood_ratio=0.95)]))
    assert "probability 0.900" in inputs_of(page)[0].text
    assert "a probability at even odds" in page.one("main").text


@pytest.mark.parametrize("provenance", [{}, {"model": "x", "command": "y"}, {"model": {"thresholds": [1]}}])
def test_a_provenance_of_anyone_makes_a_page_all_the_same(provenance: dict) -> None:
    assert "does not say which bars" in parse(page_of([report_row()], provenance)).one("main").text


def test_the_provenance_is_read_back() -> None:
    page = page_of([report_row()])
    assert provenance_in(page) == PROVENANCE
    assert "</pre><script>" in parse(page).one("dl").text
    with pytest.raises(ValueError):
        provenance_in("<html></html>")


def test_a_posterior_stands_on_the_page_with_its_prior_and_whole_pictures_are_no_faces() -> None:
    row = report_row(log10_likelihood_ratio=1.0, probability=0.9, posterior=0.09)
    told = {**PROVENANCE, "calibration": "abc", "configuration": {"prior": 0.01}}
    text = parse(page_of([row], told)).text
    assert "that of every file was 0.01" in text
    assert "that of every file was" not in parse(page_of([row], {**told, "configuration": {}})).text
    assert "The scores are uncalibrated" not in parse(page_of([report_row()], told)).text
    whole = parse(page_of([row], {**told, "kind": "whole"})).text
    assert "Pictures were looked at whole" in whole and "Only faces were looked at" not in whole


def test_content_credentials_are_shown_apart_from_the_verdict() -> None:
    page = parse(page_of([report_row(content_credentials='{"state": "valid"}')]))
    (note,) = page.all("small", class_="credentials")
    assert note.text == "Apart from the verdict: content credentials valid"
