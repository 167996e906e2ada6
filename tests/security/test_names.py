"""Files of every name on disk, through whole jobs: each name comes back byte for byte and does nothing on the way."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from html_page import assert_inert, parse
from media import make_face_clip
from names import NAMES
from rich.console import Console
from small_weights import make_tiny_weights

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import cli, output, tables

#: The folder has a name of the same kind.
FOLDER = b"=folder \x1b[31m<b>[/x]\n'\"&amp;\xe9$(x)"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
INLINE = ("--engine", "local", "--workers", "0", "--frames", "4")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One clip under every name, in a folder with a name of the same kind; and weights."""
    home = tmp_path_factory.mktemp("names")
    clip = make_face_clip(home / "clip.mp4", seconds=0.4).path
    for name in NAMES:
        path = home / os.fsdecode(FOLDER) / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, path)
    make_tiny_weights(home / "model")
    return home


@pytest.fixture(scope="module")
def scored(home: Path) -> Path:
    """The report of them all, as Parquet."""
    assert score(home, "--out", str(home / "scored.parquet")) == 0
    return home / "scored.parquet"


def folder(home: Path) -> str:
    return str(home / os.fsdecode(FOLDER))


def expected(home: Path) -> set[bytes]:
    return {os.fsencode(folder(home)) + b"/" + name for name in NAMES}


def unescaped(text: str) -> bytes:
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def score(home: Path, *more: str) -> int:
    places = ["--workspace", str(home / "ws"), "--weights", str(home / "model")]
    return cli.run(["score", *places, *INLINE, *more, folder(home)])


# ---------------------------------------------------------------- files


def in_parquet(path: Path) -> list[bytes]:
    return pq.read_table(path).column("path_bytes").to_pylist()


def in_csv(path: Path) -> list[bytes]:
    text = path.read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(text.splitlines()) == len(rows) + 1, "a row is a line"
    assert not [cell for row in rows for cell in row.values() if cell.startswith(FORMULA_STARTS)]
    return [unescaped(row["path_bytes"]) for row in rows]


def in_json(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    assert raw.isascii()
    assert not set(raw) & set(b"<>&")
    return [unescaped(row["path_bytes"]) for row in json.loads(raw)["rows"]]


def in_json_lines(path: Path) -> list[bytes]:
    raw = path.read_bytes()
    assert raw.isascii()
    assert not set(raw) & set(b"<>&")
    return [unescaped(json.loads(line)["path_bytes"]) for line in raw.splitlines()]


def in_page(path: Path) -> list[bytes]:
    page = parse(path.read_text(encoding="utf-8"))
    assert_inert(page)
    rows = page.one("table", class_="inputs").one("tbody").all("tr")
    # The bytes of a path stand beside it only where the path does not show them as they are.
    found = [unescaped((row.all("code", class_="bytes") or row.all("bdi"))[0].text) for row in rows]
    assert [row.one("bdi").text for row in rows] == [display_path(name) for name in found]
    return found


@pytest.mark.parametrize(
    ("suffix", "names_in"),
    [(".parquet", in_parquet), (".csv", in_csv), (".json", in_json), (".jsonl", in_json_lines), (".html", in_page)],
)  # fmt: skip
def test_every_name_comes_back_from_a_report_and_is_inert(
    home: Path, scored: Path, suffix: str, names_in: Callable[[Path], list[bytes]]
) -> None:
    out = home / f"again{suffix}"
    tables.write_table(out, pq.read_table(scored))
    found = names_in(out)
    assert len(found) == len(NAMES)
    assert set(found) == expected(home)
    if suffix != ".parquet":
        lines = out.read_text("utf-8").splitlines()
        assert all(character.isprintable() for line in lines for character in line)


def test_a_page_is_written_by_score_itself(home: Path, scored: Path) -> None:
    out = home / "report.html"
    assert score(home, "--out", str(out)) == 0
    assert set(in_page(out)) == expected(home)
    assert [
        pq.read_table(home / f"{name}.scores.parquet").num_rows for name in ("report.html", "scored")
    ] == [
        4,
        4,
    ], "one content is decoded once, whatever its names"
    assert tables.read_provenance(out)["configuration"] == tables.read_provenance(scored)["configuration"]


# ---------------------------------------------------------------- the console


@pytest.mark.parametrize("kind", ["pipe", "terminal", "terminal without colour"])
def test_every_name_is_one_inert_row_of_the_console(
    home: Path, scored: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = io.StringIO()
    if kind == "terminal without colour":
        monkeypatch.setenv("NO_COLOR", "1")
    system: Any = None if kind == "pipe" else "auto"
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console(file=stream, force_terminal=kind != "pipe", color_system=system, width=4000, markup=False,
                      emoji=False, highlight=False, soft_wrap=True)  # fmt: skip
    monkeypatch.setattr(cli.common, "CONSOLE", console)
    monkeypatch.setattr(cli.scoring, "CONSOLE", console)
    assert score(home, "--out", str(scored)) == 0
    printed = stream.getvalue()
    colours = set(re.findall(r"\x1b\[[0-9;]*3[0-9][0-9;]*m", printed))
    assert bool(colours) == (kind == "terminal")
    bare = ESCAPES.sub("", printed)
    lines = [line.rstrip() for line in bare.split("\n")]
    assert not [c for line in lines for c in line.split("\r")[-1] if not c.isprintable()]
    rows = [line for line in lines if line.startswith("!! likely manipulated")]
    assert len(rows) == len(NAMES)
    prefix = display_path(os.fsencode(folder(home)))
    for name in NAMES:
        shown = f"{prefix}/{display_path(name)}"
        assert sum(shown in row for row in rows) >= 1, name
    assert capsys.readouterr().out == ""


def test_json_on_standard_output_is_ascii_with_every_name(
    home: Path, scored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(home, "--json", "--out", str(scored)) == 0
    out = capsys.readouterr().out
    assert out.isascii()
    assert {unescaped(row["path_bytes"]) for row in json.loads(out)["rows"]} == expected(home)


# ---------------------------------------------------------------- other commands


@pytest.mark.slow
def test_extract_its_dry_run_and_splits_keep_every_name(
    home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = ["--workspace", str(tmp_path / "ws")]
    source = home / "tree"
    for label, names in (("real", NAMES[::2]), ("fake", NAMES[1::2])):
        for name in names:
            target = source / label / os.fsdecode(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"no medium" + name)
    assert cli.run(["extract", str(source), "--dataset", "folder", "--dry-run", "--json", *place]) == 4
    told = capsys.readouterr()
    assert told.out.isascii()
    inner = {display_path(os.fsencode(source) + b"/real/" + name) for name in NAMES[::2]}
    assert inner <= {found["path"] for found in json.loads(told.out)["not_opened"]}
    assert cli.run(["extract", str(source), "--dataset", "folder", "--name", "named", *INLINE, *place]) == 4
    media = ShardGroup(tmp_path / "ws" / "datasets" / "named", "media", ["faces"]).read("media").to_pylist()
    wanted = {os.fsencode(source) + label + name for label, names in ((b"/real/", NAMES[::2]), (b"/fake/", NAMES[1::2]))
              for name in names}  # fmt: skip
    assert len(media) == len(NAMES)
    assert {row["path_bytes"] for row in media} == wanted
    told_too = capsys.readouterr()
    for text in (told.err, told_too.err, told_too.out):
        assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert (
        cli.run(
            ["splits", "make", str(source), "--protocol", "seeded", "--out", str(tmp_path / "s.csv"), *place]
        )
        == 0
    )
    rows = list(csv.DictReader(io.StringIO((tmp_path / "s.csv").read_text("utf-8"), newline="")))
    assert len(rows) == len(NAMES)
    assert not [cell for row in rows for cell in row.values() if cell.startswith(FORMULA_STARTS)]
    shown = {row["path"].removeprefix("./") for row in rows}
    assert shown == {display_path(path.removeprefix(os.fsencode(source) + b"/")) for path in wanted}
    assert cli.run(["splits", "check", str(tmp_path / "s.csv"), "--of", str(source), *place]) == 0


def test_nothing_was_run_by_any_name(home: Path) -> None:
    assert not [path for path in (home, home / os.fsdecode(FOLDER), Path.cwd()) if (path / "owned").exists()]
    assert output.inert("\x1b[2J") == "\\x1b[2J"
