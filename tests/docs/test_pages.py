"""The pages hold together: links lead somewhere, commands and options exist, and no block is left out unseen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from doc_examples import commands
from doc_pages import DOCS, MARKS, PAGES, ROOT, RUN, SHOWN, anchor, blocks, headings, links, prose

from ffpipe.pipeline.cli import app

#: Pages with links that are checked.
LINKED = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for link in links(page):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, part = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if part:
            assert part in {anchor(heading) for heading in headings(target)}, link


def test_the_index_leads_to_every_page_and_the_readme_to_the_index() -> None:
    listed = {link.partition("#")[0] for link in links(DOCS / "index.md")}
    there = {page.name for kind in ("md", "ipynb") for page in DOCS.glob(f"*.{kind}")} - {"index.md"}
    assert there <= listed
    assert "docs/index.md" in links(ROOT / "README.md")


@each_page
def test_every_block_is_run_or_says_where_it_is(page: Path) -> None:
    found = blocks(page)
    fences = re.findall(r"(?m)^ *```", page.read_text(encoding="utf-8"))
    assert len(fences) == 2 * len(found), "a fence that is not seen"
    for block in found:
        assert block.language in (*RUN, *SHOWN), (page.name, block.line, block.language)
        assert block.mark is None or (block.mark in MARKS and block.note), (page.name, block.line)
        if block.mark == "elsewhere":
            assert (ROOT / block.note).is_file(), block.note
    marks = re.findall(r"(?m)^<!--", page.read_text(encoding="utf-8"))
    assert len(marks) == sum(block.mark is not None for block in found), "a mark that belongs to no block"
    assert not re.search(r"(?m)^ {4}(?:\$ |ffpipe |make )", prose(page)), "a command that nothing runs"


def known() -> dict[str, set[str]]:
    """Each command of the program, with its options."""
    found: dict[str, set[str]] = {}

    def add(group: typer.core.TyperGroup, name: str) -> None:
        for inner, command in group.commands.items():
            found[f"{name} {inner}"] = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {
                "--debug"
            }
            if hasattr(command, "commands"):
                add(command, f"{name} {inner}")

    add(typer.main.get_command(app), "ffpipe")
    return found


def lines(page: Path) -> list[str]:
    """Commands of ffpipe in a page's blocks and within its lines."""
    shown = [c.line for block in blocks(page) if block.language == "console" for c in commands(block.text)]
    inline = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]
    indented = re.findall(r"(?m)^ {4}(ffpipe .*(?:\\\n.*)*)", page.read_text(encoding="utf-8"))
    return [
        re.sub(r"\\?\n\s*", " ", line) for line in (*shown, *inline, *indented) if line.startswith("ffpipe ")
    ]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    there = known()
    for line in lines(page):
        words = line.partition("#")[0].split()
        name = max((n for n in there if words[: len(n.split())] == n.split()), key=len, default="")
        assert name, f"no such command: {line}"
        given = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line.partition("#")[0]))
        assert given <= there[name], line


def test_options_that_stand_alone_are_those_of_a_command_or_of_a_shown_one() -> None:
    ours = set().union(*known().values())
    for page in PAGES:
        shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", "".join(b.text for b in blocks(page))))
        alone = {
            o for span in re.findall(r"`(--[^`]+)`", prose(page)) for o in re.findall(r"--[a-z][a-z-]*", span)
        }
        assert alone <= ours | shown | {"--num-cpus"}, page.name


def test_services_and_containers_start_ray_as_the_commands_that_are_run() -> None:
    page = blocks(DOCS / "cluster.md")
    started = [c.line.split() for b in page if b.language == "console" for c in commands(b.text)]
    known_options = {
        word.partition("=")[0] for line in started if line[:2] == ["ray", "start"] for word in line
    }
    for language in ("ini", "yaml"):
        (shown,) = (block.text for block in page if block.language == language)
        given = [line for line in shown.splitlines() if "start" in line and "--block" in line]
        assert given
        for line in given:
            assert set(re.findall(r"--[a-z-]+", line)) <= known_options, line


def test_functions_of_the_table_are_those_of_the_package() -> None:
    import ffpipe

    text = prose(DOCS / "python.md")
    told = set(re.findall(r"\| `ffpipe\.(\w+)\(", text))
    assert told == set(ffpipe.__all__) - {"__version__"}
