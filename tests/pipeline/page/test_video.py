"""The page of one medium: sealed whatever the names say, every figure with its table, words for every case."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from domain_faces import reference
from html_page import Element, parse
from inert_page import assert_sealed
from names import NAMES, report_row
from scored_media import evidence_of, scores_of

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Concern, Status, Verdict
from ffpipe.pipeline.output import VERDICT_WORDS
from ffpipe.pipeline.page.evidence import Evidence, ModelFacts
from ffpipe.pipeline.page.texts import CONCERNS
from ffpipe.pipeline.page.video import video_page
from ffpipe.pipeline.tables import escape_bytes
from ffpipe.stages.aggregate import Thresholds

BACK = "../index.html"
HOSTILE = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>"
VIDEO = [*scores_of(0, {k: 0.9 for k in range(5)}), *scores_of(1, {k: 0.2 for k in range(3, 8)})]
THRESHOLDS = Thresholds(
    n_real=100, n_fake=90, real_groups=100, auc=0.9, auc_low=0.85, auc_high=0.95,
    real_tail=tuple(sorted((0.3 + k / 50 for k in range(20)), reverse=True)),
)  # fmt: skip


def page_of(evidence: Evidence) -> Element:
    page = parse(video_page(evidence, back=BACK))
    assert_sealed(page, BACK)
    return page


def video(**changes) -> Evidence:
    return evidence_of(VIDEO, 10, **{"verdict": Verdict.LIKELY_MANIPULATED, **changes})


def headings(page: Element) -> list[int]:
    return [int(e.tag[1]) for e in page.everything() if e.tag in ("h1", "h2", "h3", "h4")]


def section(page: Element, name: str) -> Element:
    return page.one("section", **{"aria-labelledby": name})


def test_a_video_has_verdict_timeline_faces_statistics_and_provenance_in_order() -> None:
    page = page_of(video())
    mark, words, _ = VERDICT_WORDS[Verdict.LIKELY_MANIPULATED]
    assert page.one("h2", id="verdict").text == f"{mark} {words}"
    assert len(page.all("svg")) == 2
    named = [e.attributes["aria-labelledby"] for e in page.one("main").children if e.tag == "section"]
    assert named == ["verdict", "caveats", "timeline", "faces", "statistics", "errors", "origin"]
    levels = headings(page)
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("a").attributes["href"] == BACK
    assert (
        "Track 0, decides the verdict, mean 0.900" in page.one("section", **{"aria-labelledby": "faces"}).text
    )


def test_every_drawing_has_words_and_a_table_with_the_same_figures() -> None:
    page = page_of(video())
    ids = [e.attributes["id"] for e in page.everything() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for figure in page.all("svg"):
        assert set(figure.attributes["aria-labelledby"].split()) <= set(ids)
        assert figure.one("title").text
        assert figure.one("desc").text
    assert all(image.attributes["alt"] for image in page.all("img"))
    for table in page.all("table"):
        assert table.one("caption").text
        columns = table.one("thead").all("th")
        assert all(th.attributes["scope"] == "col" for th in columns)
        for row in table.one("tbody").all("tr"):
            assert row.children[0].attributes["scope"] == "row"
            assert len(row.children) == len(columns)
    tracks, statistics, frames = page.all("table")
    assert [row.children[0].text for row in tracks.one("tbody").all("tr")] == ["Track 0", "Track 1"]
    assert "0.0–0.2 s, 0.8–1.0 s" in [row.children[5].text for row in tracks.one("tbody").all("tr")]
    assert len(statistics.one("tbody").all("tr")) == 191
    assert [cell.text for cell in frames.one("tbody").all("tr")[0].children] == [
        "0", "0.000", "0", "8.0 9.0 24.5 25.0", "0 0 32 32", "0.900",
    ]  # fmt: skip


def test_no_name_becomes_markup() -> None:
    rows = [
        report_row(name, status=Status.MISSING, verdict=Verdict.NOT_ASSESSABLE, score=None, reason=HOSTILE)
        for name in [b"<h1>.mp4", *NAMES]
    ]
    page = page_of(Evidence(rows[0], tuple(rows[1:])))
    assert page.one("h1").text == page.one("title").text.removeprefix("not assessable: ") == "<h1>.mp4"
    origin = section(page, "origin")
    assert [e.text for e in origin.all("bdi")] == ["<h1>.mp4", *map(display_path, NAMES)]
    assert [e.text for e in origin.all("code")[: len(NAMES) + 1]] == ["<h1>.mp4", *map(escape_bytes, NAMES)]


def test_hostile_contents_stay_text_wherever_they_stand() -> None:
    made = video(
        reason=HOSTILE, codec=HOSTILE, content_credentials=json.dumps({"state": "valid", HOSTILE: [HOSTILE]})
    )
    made = replace(made, no_maps=HOSTILE, provenance={"command": [HOSTILE], "id": HOSTILE, "model": HOSTILE})
    page = page_of(made)
    assert page.one("p", class_="reason").text == f"{HOSTILE}."
    assert json.loads(page.one("pre", id="provenance").text)["id"] == HOSTILE
    assert HOSTILE in section(page, "credentials").text


@pytest.mark.parametrize("status", list(Status))
def test_what_was_not_scored_has_its_reason_and_no_error_rates(status: Status) -> None:
    row = report_row(status=status, verdict=Verdict.NOT_ASSESSABLE, score=None, reason="no moov atom", worst_track=None,
                     duration=None, n_frames=0, n_faces=0, n_tracks=0, sha256="", crops_accepted=True)  # fmt: skip
    page = page_of(Evidence(row))
    assert page.one("p", class_="reason").text == "Reason: no moov atom."
    named = [e.attributes["aria-labelledby"] for e in page.one("main").children if e.tag == "section"]
    assert [name for name in named if name != "caveats"] == ["verdict", "origin"]
    assert ("caveats" in named) == (status is Status.PARTIAL)
    assert not page.all("svg") + page.all("img")


def test_every_concern_has_a_name_a_measure_where_there_is_one_and_a_meaning() -> None:
    page = page_of(video(concerns=tuple(Concern), domain_distance=3.2, bit_rate=90_000))
    items = section(page, "caveats").all("li")
    assert [item.one("strong").text.rstrip(".") for item in items] == [
        CONCERNS[concern][0] for concern in Concern
    ]
    told = " ".join(item.text for item in items)
    for measured in ("Median side of the crop: 32 px", "50.0", "5 of the 10 frames", "90 kbit/s", "3.20"):
        assert measured in told


def test_only_checks_that_were_made_are_told_as_checks_that_found_nothing() -> None:
    def told(evidence: Evidence) -> tuple[str, str]:
        text = section(page_of(evidence), "caveats").text
        found, _, missing = text.partition("Not checked: ")
        return found.partition("nothing found: ")[2].strip(), missing.partition(". Either")[0]

    without = video(concerns=(), bit_rate=90_000)
    few = "face size, number of frames, decoding"
    assert told(without) == (f"{few}.", "sharpness, bit rate, likeness to the training data")
    full = ModelFacts("meso4", "m", Thresholds(), reference=reference("m"))
    with_reference = replace(video(concerns=(), bit_rate=90_000, domain_distance=1.0), model=full)
    assert told(with_reference) == (
        "face size, sharpness, number of frames, decoding, likeness to the training data.", "bit rate",
    )  # fmt: skip
    assert told(video(concerns=None))[0] == "" and "face size" in told(video(concerns=None))[1]


def test_what_was_scored_whole_is_not_called_a_face_even_where_the_weights_chose_it() -> None:
    page = page_of(replace(video(), provenance={"kind": "whole", "configuration": {"whole": False}}))
    assert "Frames were examined whole" in section(page, "errors").text
    assert "The face that decided" not in page.text


def test_an_image_has_scores_of_faces_and_no_time() -> None:
    scores = [s for t in range(3) for s in scores_of(t, {0: 0.2 + 0.2 * t})]
    page = page_of(evidence_of(scores, 1, duration=None, sampled_seconds=(0.0,)))
    assert "Timeline" not in page.one("main").text
    assert section(page, "timeline").one("h2").text == "Scores of the faces"
    assert [card.one("strong").text for card in section(page, "faces").all("figcaption")] == [
        "Face 2, decides the verdict", "Face 1", "Face 0",
    ]  # fmt: skip
    assert " s, frame" not in page.one("main").text


def test_a_whole_image_is_a_picture_and_no_face() -> None:
    made = replace(evidence_of(scores_of(0, {0: 0.6}), 1), provenance={"configuration": {"whole": True}})
    page = page_of(made)
    assert section(page, "faces").one("h2").text == "Pictures"
    assert "Only faces were examined" not in page.one("main").text
    assert page.one("figure", class_="deciding").text.strip() == "The picture with the highest score"


def test_without_kept_faces_the_page_says_why() -> None:
    page = page_of(replace(video(), faces={}, no_faces="they were deleted"))
    assert "No faces can be shown: they were deleted." in section(page, "faces").text
    assert not page.all("img")
    assert len(page.all("svg")) == 1


def test_a_map_stands_beside_the_plain_face_and_is_no_proof() -> None:
    made = video()
    views = made.faces[0]
    heat = [np.ones((32, 32), np.float32), np.zeros((32, 32), np.float32)]
    mapped = tuple(replace(view, heat=each) for view, each in zip(views, heat, strict=True))
    cards = section(page_of(replace(made, faces={0: mapped})), "faces").all("figure")
    for card in cards:
        face, overlay = card.all("img")
        assert face.attributes["src"] != overlay.attributes["src"]
        assert "where the model looked, not proof" in card.text
    assert ["(empty)" in card.text for card in cards] == [False, True]


def test_error_rates_stand_with_their_numbers_and_without_weights_it_is_said() -> None:
    facts = ModelFacts("meso4", "m", THRESHOLDS, ("dfdc",))
    told = section(page_of(replace(video(threshold=0.6, inconclusive_from=0.4), model=facts)), "errors").text
    assert "on dfdc with 100 real files from 100 independent sources and 90 fakes" in told
    assert "4 of 100, 4.0% (95% interval 1.1% to 9.9%)" in told
    assert "2 tracks count here" in told
    assert "Uncalibrated" in told
    assert "not at hand" in section(page_of(video()), "errors").text


def test_content_credentials_stand_apart_from_the_verdict() -> None:
    plain = video_page(video())
    assert "ontent credentials" not in plain
    page = page_of(
        video(content_credentials='{"state": "invalid", "failures": ["hash.mismatch"], "claims_ai": true}')
    )
    told = section(page, "credentials")
    assert "do NOT fit" in told.one("strong").text
    assert [e.text for e in told.all("dd")] == ["yes", "hash.mismatch"]
    assert "credential" not in section(page, "verdict").text
    assert "cannot be read" in section(page_of(video(content_credentials="[" * 9999)), "credentials").text


def test_copies_of_the_content_are_named() -> None:
    made = video()
    page = page_of(replace(made, copies=(replace(made.row, path="b.mp4", path_bytes=b"b.mp4"),)))
    assert [e.text for e in page.one("section", **{"aria-labelledby": "origin"}).all("bdi")] == [
        "plain.mp4",
        "b.mp4",
    ]


def test_nobody_is_told_that_a_video_is_authentic() -> None:
    for verdict in Verdict:
        text = page_of(replace(video(verdict=verdict), faces={})).one("main").text.lower()
        assert "authentic" not in text
        assert "genuine" not in text


@pytest.mark.slow
def test_a_long_video_of_a_crowd_stays_a_page_that_opens() -> None:
    scores = [
        s
        for t in range(10)
        for s in scores_of(t, {k: 0.01 + 0.98 * ((k * 7 + t) % 100) / 100 for k in range(600)})
    ]
    page = video_page(evidence_of(scores, 600))
    assert len(page) < 2_000_000
    assert page.count('<tr><th scope="row">') == 10 + 191 + 6000
