"""A folder of pages: every medium has one, stale ones go, nothing else is touched, and gaps are said in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from html_page import parse
from names import report_row
from small_weights import make_tiny_weights
from tiny_scoring import INLINE, picture

from ffpipe.manifests.errors import IntegrityError, UsageError
from ffpipe.manifests.records import ReportRow
from ffpipe.manifests.schemas import SCHEMAS, to_table
from ffpipe.pipeline import cli, reporting, tables
from ffpipe.pipeline.page.render import GENERATOR
from ffpipe.pipeline.reporting import check_folder, is_page, write_pages

PROVENANCE = {"id": "abc", "configuration": {}, "model": {"sha256": "0" * 64}, "run": "gone"}
PAGE = f"<!DOCTYPE html>\n<head>{GENERATOR}<style></style></head>"


def tables_of(*rows: ReportRow) -> dict[str, pa.Table]:
    made = {"report": to_table("report", rows), "tracks": SCHEMAS["tracks"].empty_table(),
            "scores": SCHEMAS["scores"].empty_table()}  # fmt: skip
    return {name: tables.with_provenance(table, PROVENANCE) for name, table in made.items()}


def medium(digit: str, name: bytes = b"plain.mp4") -> ReportRow:
    return report_row(name, media_id=digit * 32)


def write(out: Path, *rows: ReportRow) -> list[Path]:
    return write_pages(tables_of(*rows), out, say=lambda line: None)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_medium_has_a_page_that_leads_back_and_copies_share_one(tmp_path: Path) -> None:
    pages = write(tmp_path / "out", medium("a"), medium("b"), medium("a", b"copy.mp4"))
    assert [page.relative_to(tmp_path / "out").as_posix() for page in pages] == [
        "index.html", f"videos/{'a' * 32}.html", f"videos/{'b' * 32}.html",
    ]  # fmt: skip
    index = parse(pages[0].read_text("utf-8"))
    links = [link.attributes["href"] for link in index.one("table", id="files").all("a")]
    assert sorted(links) == [f"videos/{'a' * 32}.html"] * 2 + [f"videos/{'b' * 32}.html"]
    assert "1 of the rows below is a copy" in index.one("main").text
    for page in pages:
        assert is_page(page)
    for page in pages[1:]:
        assert "../index.html" in [a.attributes["href"] for a in parse(page.read_text("utf-8")).all("a")]


def test_pages_of_an_earlier_report_go_and_hidden_files_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, medium("a"), medium("b"))
    (out / ".notes").write_text("mine")
    (out / "videos" / ".index").write_text("mine too")
    write(out, medium("b"), medium("c"))
    assert names(out) == [
        ".notes",
        "index.html",
        "videos/.index",
        f"videos/{'b' * 32}.html",
        f"videos/{'c' * 32}.html",
    ]


@pytest.mark.parametrize(
    "other",
    [
        "notes.txt",
        "index.html",
        f"videos/{'a' * 32}.html",
        "videos/cat.mp4",
        "videos/deep/x",
        f"videos/{'d' * 32}.txt",
    ],
)
def test_a_folder_that_holds_something_else_is_refused_and_left_as_it_is(tmp_path: Path, other: str) -> None:
    out = tmp_path / "out"
    foreign = out / other
    foreign.parent.mkdir(parents=True)
    foreign.write_text("<!DOCTYPE html><title>not ours</title>" if other.endswith(".html") else "mine")
    before = foreign.read_bytes()
    with pytest.raises(UsageError, match=r"which is no page of ffpipe's; give an empty folder"):
        write(out, medium("a"))
    assert names(out) == [other]
    assert foreign.read_bytes() == before


def test_a_page_that_only_quotes_ours_is_not_ours(tmp_path: Path) -> None:
    quoting = tmp_path / "q.html"
    quoting.write_text(f"<html><style>{GENERATOR}</style></html>")
    assert not is_page(quoting)
    quoting.write_text(PAGE)
    assert is_page(quoting)
    (tmp_path / "link.html").symlink_to(quoting)
    assert not is_page(tmp_path / "link.html")


def _file(home: Path) -> Path:
    (home / "out").write_text("a file")
    return home / "out"


def _link(home: Path) -> Path:
    (home / "there").mkdir()
    (home / "out").symlink_to(home / "there")
    return home / "out"


def _videos_link(home: Path) -> Path:
    (home / "there").mkdir()
    (home / "out").mkdir()
    (home / "out" / "videos").symlink_to(home / "there")
    return home / "out"


@pytest.mark.parametrize(
    ("make", "said"),
    [(_file, "is no folder"), (_link, "is no folder"), (_videos_link, "holds videos"),
     (lambda home: home / "no" / "out", "does not exist")],
)  # fmt: skip
def test_what_cannot_hold_pages_is_refused(tmp_path: Path, make: Callable[[Path], Path], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_folder(make(tmp_path))


@pytest.mark.parametrize("media_id", ["../../../etc/x", "a" * 31, "A" * 32, "", f"{'a' * 31}\n"])
def test_an_identity_that_is_none_names_no_file(tmp_path: Path, media_id: str) -> None:
    with pytest.raises(IntegrityError, match="identifies no medium"):
        write(tmp_path / "out", report_row(media_id=media_id))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_a_report_of_any_format_becomes_pages_without_its_run(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"mine{suffix}"
    tables.write_report(file, tables_of(medium("a", b"\xff<b>.mp4")))
    said: list[str] = []
    pages = reporting.report(file, None, reporting.Workspace(tmp_path / "ws"), said.append)
    assert pages[0] == tmp_path / "mine-pages" / "index.html"
    assert r"\xff<b>.mp4" in parse(pages[0].read_text("utf-8")).one("table", id="files").text
    assert any("no run gone in" in line for line in said)
    assert any("without the weights" in line for line in said)


def test_what_is_no_report_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("x")
    (tmp_path / "r.json").write_text("{}")
    workspace = reporting.Workspace(tmp_path / "ws")
    for name, said in (
        ("r.html", "is a page already"),
        ("none.csv", "no such report"),
        ("r.json", "is no report"),
    ):
        with pytest.raises(UsageError, match=said):
            reporting.report(tmp_path / name, None, workspace, lambda line: None)
    assert not (tmp_path / "ws").exists()


def test_a_scoring_and_its_report_make_the_same_pages_with_faces(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, face = make_tiny_weights(tmp_path / "model"), picture(tmp_path / "face.png")
    place = ["--workspace", str(tmp_path / "ws")]
    settings: list[str] = ["--set", "workers=0"]
    for name, value in INLINE.items():
        settings += ["--set", f"{name}={value}"]
    given: list[Any] = [str(face), "--weights", str(weights), "--out", str(tmp_path / "r.parquet")]
    assert cli.run(["score", *given, "--report", str(tmp_path / "one"), *settings, *place]) == 0
    assert (
        cli.run(["report", str(tmp_path / "r.parquet"), "--out", str(tmp_path / "two"), "--json", *place])
        == 0
    )
    listed = json.loads(capsys.readouterr().out)
    assert [str(tmp_path / "two" / name) for name in names(tmp_path / "two")] == sorted(listed)
    assert names(tmp_path / "one") == names(tmp_path / "two")
    for name in names(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    (page,) = (tmp_path / "one" / "videos").iterdir()
    assert "data:image/" in page.read_text("utf-8"), "the face that was kept is shown"
    events = [json.loads(line)["event"] for line in (tmp_path / "ws" / "log.jsonl").read_text().splitlines()]
    assert events == ["score", "report", "report"]
