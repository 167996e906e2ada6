"""A folder of pages in Chromium: from the run's page to a medium's and back, over files alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browsing import Opened
from small_weights import make_tiny_weights
from tiny_scoring import picture, run

from ffpipe.pipeline.reporting import report_scoring
from ffpipe.pipeline.workspace import Workspace

pytestmark = pytest.mark.browser

Show = Callable[..., Opened]


def pages_of(paths: list[str], home: Path, **settings: Any) -> list[Path]:
    result = run(paths, home / "ws", make_tiny_weights(home / "model"), **settings)
    return report_scoring(result, home / "out", Workspace(home / "ws"), lambda line: None)


def there_and_back(pages: list[Path], show: Show) -> None:
    opened = show(pages[0].as_uri())
    links = opened.page.locator("#files a:has(bdi)")
    known = {page.as_uri() for page in pages}
    for place in range(links.count()):
        link = links.nth(place)
        name = str(link.locator("bdi").text_content())
        link.click()
        assert opened.page.url in known
        assert name in str(opened.page.locator("main").text_content())
        assert opened.overflow() == 0
        opened.page.locator("a[href='../index.html']").first.click()
        assert opened.page.url == pages[0].as_uri()
    assert opened.strangers(*known) == []


def test_links_lead_from_the_run_to_a_medium_and_back(tmp_path: Path, show: Show) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    there_and_back(
        pages_of([str(picture(tmp_path / "face.png")), str(tmp_path / "broken.mp4")], tmp_path), show
    )


@pytest.mark.slow
@pytest.mark.data
def test_pages_of_real_clips_are_quiet_and_sound(tmp_path: Path, clips: Path, show: Show, axe: None) -> None:
    named = ["real/lia_vox_driving2.mp4", "fake/fomm_vox_sameper1.mp4", "hostile/pyfeat_no_face.mp4",
             "hostile/mp4parse_short-cenc.mp4"]  # fmt: skip
    pages = pages_of([str(clips / name) for name in named], tmp_path, frames=16)
    there_and_back(pages, show)
    for scheme in ("light", "dark"):
        for page in pages:
            opened = show(page.as_uri(), color_scheme=scheme)
            assert opened.violations() == [], page.name
            assert opened.strangers(page.as_uri()) == []
            opened.page.set_viewport_size({"width": 390, "height": 844})
            assert opened.overflow() == 0, page.name
