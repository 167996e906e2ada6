"""The run's page in Chromium: it asks for nothing, sorts and filters by mouse and keys, and reads without script."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browsing import Opened
from names import NAMES, report_row

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.records import Concern, ReportRow, Status, Verdict
from ffpipe.manifests.schemas import to_table
from ffpipe.pipeline import tables
from ffpipe.pipeline.page.report import FIRST_ROWS, report_page
from ffpipe.stages.aggregate import Thresholds

pytestmark = pytest.mark.browser

Show = Callable[..., Opened]
BARS = Thresholds(n_real=99, n_fake=99, real_groups=99, auc=0.9, auc_low=0.8, auc_high=0.95,
                  real_tail=tuple(0.9 - k / 40 for k in range(20)))  # fmt: skip
PROVENANCE = {"id": "abc", "ffpipe": "0.1.0", "command": ["ffpipe", "score", "</script><script>alert(1)</script>"],
              "started": "2026-01-01T00:00:00+00:00",
              "model": {"detector": "meso4", "sha256": "0" * 64, "thresholds": BARS.to_json()}}  # fmt: skip


def media() -> list[ReportRow]:
    """Six files of every kind: two that are likely manipulated, one in doubt, one without finding, two failed."""
    bars = {"threshold": 0.8, "inconclusive_from": 0.5}
    lost = {
        "verdict": Verdict.NOT_ASSESSABLE,
        "score": None,
        "worst_track": None,
        "duration": None,
        "n_faces": 0,
    }
    likely = report_row(b"in/clip10.mp4", verdict=Verdict.LIKELY_MANIPULATED, score=0.91, duration=61.5, n_faces=7,
                        concerns=(Concern.SMALL_FACE, Concern.BLURRED), **bars)  # fmt: skip
    return [
        report_row(b"in/clip2.mp4", verdict=Verdict.NO_MANIPULATION_FOUND, score=0.12, duration=9.0,
                   n_faces=32, **bars),
        likely,
        replace(likely, path="in/clip9.mp4", path_bytes=b"in/clip9.mp4", score=0.97, media_id="1" * 32,
                probability=0.9, log10_likelihood_ratio=0.95),
        report_row(b"in/doubt.mp4", score=0.6, duration=3.5, n_faces=12, **bars),
        report_row(b"in/empty.mp4", status=Status.UNREADABLE, reason="holds nothing", **lost),
        report_row(b"in/gone.mp4", status=Status.MISSING, reason="was gone", **lost),
    ]  # fmt: skip


def written(path: Path, rows: list[ReportRow]) -> str:
    table = tables.page_rows(to_table("report", rows))
    links = {row["media_id"]: f"videos/{row['media_id']}.html" for row in table}
    path.write_text(report_page(table, PROVENANCE, links), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("few") / "index.html", media())


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(tmp_path_factory.mktemp("named") / "index.html", [report_row(name) for name in NAMES])


def files(opened: Opened) -> list[str]:
    """The names of the rows in sight, from above."""
    names = opened.page.locator("#files tbody tr:visible bdi").all_text_contents()
    return [name.rsplit("/")[-1] for name in names]


def status(opened: Opened) -> str:
    return str(opened.page.get_by_role("status").text_content())


def button(opened: Opened, column: str) -> Any:
    """The button that sorts by a column of the table of files."""
    return opened.page.locator("#files").get_by_role("button", name=column, exact=True)


def find(opened: Opened, words: str, said: str) -> None:
    """Type into the search field, and wait until the page says so."""
    opened.page.get_by_role("searchbox", name="Find").fill(words)
    expect = pytest.importorskip("playwright.sync_api").expect
    expect(opened.page.get_by_role("status")).to_contain_text(said)


GRAVEST = ["clip9.mp4", "clip10.mp4", "doubt.mp4", "empty.mp4", "gone.mp4", "clip2.mp4"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_asks_for_nothing_but_itself_and_says_what_was_found(few: str, show: Show, scheme: str) -> None:
    opened = show(few, color_scheme=scheme)
    assert opened.strangers(few) == []
    assert opened.page.get_by_role("heading", level=1).text_content() == (
        "2 of 6 videos are likely manipulated; 1 is inconclusive; 2 could not be assessed."
    )
    assert files(opened) == GRAVEST
    assert status(opened) == "6 videos"


def test_columns_sort_by_mouse_and_say_so(few: str, show: Show) -> None:
    opened = show(few)
    heading = opened.page.locator("#files").get_by_role("columnheader", name="File", exact=True)
    button(opened, "File").click()
    assert files(opened) == ["clip2.mp4", "clip9.mp4", "clip10.mp4", "doubt.mp4", "empty.mp4", "gone.mp4"]
    assert heading.get_attribute("aria-sort") == "ascending"
    assert status(opened) == "6 videos, sorted by file, from A to Z"
    button(opened, "File").click()
    assert files(opened)[0] == "gone.mp4"
    assert heading.get_attribute("aria-sort") == "descending"
    button(opened, "Verdict").click()
    assert files(opened) == GRAVEST
    assert opened.page.locator("[aria-sort]").count() == 1


@pytest.mark.parametrize(
    ("column", "up"),
    [("Score", ["clip2.mp4", "doubt.mp4", "clip10.mp4", "clip9.mp4", "empty.mp4", "gone.mp4"]),
     ("Duration", ["doubt.mp4", "clip2.mp4", "clip9.mp4", "clip10.mp4", "empty.mp4", "gone.mp4"])],
)  # fmt: skip
def test_columns_sort_by_keys_and_what_has_no_number_stays_last(
    few: str, show: Show, column: str, up: list[str]
) -> None:
    opened = show(few)
    button(opened, column).focus()
    opened.page.keyboard.press("Enter")
    assert files(opened)[-2:] == ["empty.mp4", "gone.mp4"]
    opened.page.keyboard.press("Space")
    assert files(opened) == up
    assert opened.page.evaluate("document.activeElement.textContent") == column, (
        "the focus stays on the button"
    )


def test_rows_are_filtered_by_mouse_and_by_keys(few: str, show: Show) -> None:
    opened = show(few)
    opened.page.get_by_role("radio", name="failed (2)").check()
    assert files(opened) == ["empty.mp4", "gone.mp4"]
    assert status(opened) == "2 of 6 videos"
    opened.page.keyboard.press("ArrowUp")
    assert files(opened) == ["clip2.mp4"]
    opened.page.get_by_role("radio", name="all").check()
    find(opened, "WAS GONE", "1 of 6 videos")
    assert files(opened) == ["gone.mp4"]
    find(opened, "nowhere", "None of 6 videos")
    assert files(opened) == []


def test_keys_reach_the_table_and_its_links_in_order(few: str, show: Show) -> None:
    opened = show(few)
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.textContent") == "Skip to the table"
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.type") == "radio"
    assert opened.page.locator("a:has(bdi)").first.get_attribute("href") == f"videos/{'1' * 32}.html"


def test_it_reads_the_same_without_script(few: str, show: Show) -> None:
    opened = show(few, java_script_enabled=False)
    assert files(opened) == GRAVEST
    assert not opened.page.locator("#controls").is_visible()
    assert opened.page.locator("thead button").count() == 0
    assert opened.strangers(few) == []


def test_of_a_long_table_the_first_rows_are_shown_until_all_are_asked_for(tmp_path: Path, show: Show) -> None:
    rows = [report_row(b"%04d.mp4" % k) for k in range(FIRST_ROWS + 20)]
    address = written(tmp_path / "long.html", rows)
    opened = show(address)
    assert opened.page.locator("#files tbody tr:visible").count() == FIRST_ROWS
    assert status(opened) == "520 videos, the first 500 shown"
    button(opened, "File").click()
    button(opened, "File").click()
    assert files(opened)[0] == "0519.mp4"
    opened.page.emulate_media(media="print")
    assert opened.page.locator("#files tbody tr:visible").count() == len(rows), "print shows every row"
    opened.page.emulate_media(media="screen")
    opened.page.get_by_role("button", name="Show all of them").click()
    assert opened.page.locator("#files tbody tr:visible").count() == len(rows)
    assert opened.page.evaluate("document.activeElement.closest('tr').rowIndex") == FIRST_ROWS + 1
    unscripted = show(address, java_script_enabled=False)
    assert unscripted.page.locator("#files tbody tr:visible").count() == len(rows)


def test_hostile_names_are_text(named: str, show: Show) -> None:
    opened = show(named)
    found = opened.page.locator("#files tbody bdi").all_text_contents()
    assert found == [display_path(name) for name in NAMES]
    assert opened.page.locator("script").count() == 1
    assert opened.page.locator("#files img, #files script, #files b").count() == 0
    button(opened, "File").click()
    find(opened, "<script>", f"1 of {len(NAMES)} videos")
    assert opened.strangers(named) == []
    assert opened.overflow() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(axe: None, few: str, show: Show, scheme: str, width: int) -> None:
    opened = show(few, width=width, color_scheme=scheme)
    for summary in opened.page.locator("summary").all():
        summary.click()
    assert opened.violations() == []


@pytest.mark.parametrize("width", [320, 390, 500, 640, 834, 1100])
def test_no_width_scrolls_the_page_sideways_or_clips_anything(named: str, show: Show, width: int) -> None:
    opened = show(named, width=width)
    assert opened.overflow() == 0
    assert opened.clipped() == []


def test_rows_are_cards_on_a_phone_and_still_cells(few: str, show: Show) -> None:
    opened = show(few, width=390)
    first = opened.page.locator("#files").get_by_role("row").nth(1)
    boxes = [cell.bounding_box() for cell in first.get_by_role("cell").all()]
    assert len(boxes) == 5
    assert len({round(box["y"]) for box in boxes if box}) > 1, "one under another"
    button(opened, "Score").click()
    assert files(opened)[0] == "clip9.mp4"


def test_print_has_every_row_whole_and_no_controls(named: str, show: Show) -> None:
    # A4 upright with the page's margins, at 96 pixels an inch.
    opened = show(named, width=688, color_scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    assert opened.clipped() == []
    assert opened.overflow() == 0
    assert not opened.page.locator("#controls").is_visible()
    assert opened.page.locator("#files tbody tr:visible").count() == len(NAMES)
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert (
        opened.page.locator("#files thead").evaluate("head => getComputedStyle(head).display")
        == "table-header-group"
    )
