from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from local_page import Site, make_site

from ffpipe.pipeline.page.report import report_page
from ffpipe.pipeline.serving.refusal import Refused
from ffpipe.pipeline.serving.reports import read_file, read_page

PAGE = report_page([], {})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("home"))


def test_a_page_is_shown_with_its_own_policy_and_no_other_may_frame_it(site: Site) -> None:
    batch = site.finished({"index.html": PAGE, "videos/abc.html": PAGE})
    for asked in ("index.html", "", "videos/abc.html"):
        answer = site.ask("GET", f"reports/{batch.id}/{asked}")
        assert (answer.status_code, answer.text) == (200, PAGE)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert policy.endswith("frame-ancestors 'none'")


def test_a_page_without_a_policy_is_not_shown(site: Site) -> None:
    batch = site.finished({"index.html": "<!DOCTYPE html><title>x</title><script>alert(1)</script>"})
    answer = site.ask("GET", f"reports/{batch.id}/index.html")
    assert answer.status_code == 500
    assert "alert" not in answer.text


@pytest.fixture(scope="module")
def page_folder(site: Site) -> tuple[Site, str]:
    batch = site.finished({"index.html": PAGE, ".hidden": "secret"})
    pages = site.store.folder(batch) / "pages"
    (pages / "link.html").symlink_to("/etc/passwd")
    (pages / "linked").symlink_to("..", target_is_directory=True)
    os.mkfifo(pages / "pipe.html")
    assert site.raw(f"reports/{batch.id}/index.html")[0] == 200
    return site, batch.id


@pytest.mark.parametrize(
    "asked",
    [
        "../batch.json", "videos/../../batch.json", "..%2fbatch.json", "%2e%2e/batch.json", "..%5cbatch.json",
        "....//batch.json", "/etc/passwd", "//etc/passwd", "videos//abc.html", "./index.html", "videos/", "videos",
        "index.html/", "index.html?x", "index.html%00", "index.html%00.png", ".hidden", "%252e%252e/batch.json", "~/x",
        "file:///etc/passwd", "link.html", "linked/batch.json", "pipe.html", "missing.html", "index.HTML%20", "C:\\x",
        "*", "x" * 5000,
    ],
)  # fmt: skip
def test_nothing_else_is_found(page_folder: tuple[Site, str], asked: str) -> None:
    site, name = page_folder
    status, body = site.raw(f"reports/{name}/{asked}")
    assert status == 404
    assert "no such" in json.loads(body)["error"]
    assert "\n" not in json.loads(body)["error"]


@pytest.mark.parametrize(
    "asked", ["..", "../x", "a/../b", "/x", "", "a//b", ".a", "a/.b", "a\\b", "a\0", "é", "a b"]
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_opened(tmp_path: Path, asked: str) -> None:
    with pytest.raises(Refused):
        read_file(tmp_path / "does" / "not" / "exist", asked)


def test_what_is_no_page_is_not_shown_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(PAGE)
    with pytest.raises(Refused):
        read_page(tmp_path, "a.svg")


@pytest.mark.parametrize("batch", ["..", "%2e%2e", "0" * 16, "serve", "x%2f..", ".", "", "*"])
def test_only_batches_that_are_known_have_reports(site: Site, batch: str) -> None:
    assert site.raw(f"reports/{batch}/index.html")[0] == 404


def test_an_unfinished_batch_has_no_report(site: Site) -> None:
    batch = site.begin()
    answer = site.ask("GET", f"reports/{batch.id}/index.html")
    assert answer.status_code == 404
    assert "no report" in answer.json()["error"]


def test_tables_are_saved_and_nothing_else_of_a_batch(site: Site) -> None:
    batch = site.finished({"index.html": PAGE})
    answer = site.ask("GET", f"files/{batch.id}/report.csv")
    assert (answer.status_code, answer.text) == (200, "path\n")
    assert answer.headers["content-disposition"] == 'attachment; filename="report.csv"'
    for other in (
        "batch.json",
        "report.json",
        "pages",
        "..",
        "uploads",
        "report.csv%2f..",
        "%2e%2e/batch.json",
    ):
        assert site.raw(f"files/{batch.id}/{other}")[0] == 404
