"""Every example of the pages, run in order in a folder with tiny media: the short ones here, all of them when slow."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_examples import Command, Examples, commands, missing, program
from doc_pages import PAGES, ROOT, Block, blocks

#: Pages with examples, and which of them have some that are not slow.
WITH_EXAMPLES = [page for page in PAGES if any(block.runs for block in blocks(page))]
SHORT = [page for page in PAGES if any(block.runs and block.mark != "slow" for block in blocks(page))]


@pytest.mark.parametrize("page", SHORT, ids=lambda page: page.name)
@pytest.mark.usefixtures("in_process")
def test_short_examples(page: Path, home: Path) -> None:
    examples = Examples(home)
    for block in blocks(page):
        if block.runs and block.mark != "slow":
            examples.run(block)


def free_port() -> int:
    """A port that nothing listens at now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[dict[str, str]]:
    """What a page's commands find around them: this tree's ffpipe first in the path, and an address for a cluster."""
    with tempfile.TemporaryDirectory(prefix="ffdoc", dir="/tmp") as ray:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        yield {
            **clean,
            "PATH": f"{program(tmp_path / 'bin')}:{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'src'}:{ROOT / 'tests'}",
            "HEAD": "127.0.0.1",
            "PORT": str(free_port()),
            # A path of Ray's sockets has to be short.
            "RAY_TMPDIR": ray,
        }


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_EXAMPLES, ids=lambda page: page.name)
def test_every_example_as_it_stands(page: Path, home: Path, outside: dict[str, str]) -> None:
    own = home
    if any(block.mark == "file" for block in blocks(page)):
        own = with_sources(home, page)
        outside["PYTHONPATH"] = f"{own / 'src'}:{own / 'tests'}"
        program(own / "bin", own)
        outside["PATH"] = f"{own / 'bin'}:{outside['PATH']}"
    examples = Examples(own, verbatim=True, environment=outside)
    try:
        for block in blocks(page):
            if block.runs:
                examples.run(block)
    finally:
        end_nodes(own)


def with_sources(home: Path, page: Path) -> Path:
    """A copy of the repository with the page's files in it, and the stage; a line is added to a file that exists."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("no repository here")
    for name in listed.stdout.splitlines():
        place = home / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place, follow_symlinks=False)
    for block in blocks(page):
        if block.mark == "file":
            place = home / block.note
            place.write_text((place.read_text() if place.exists() else "") + block.text)
    return home


def end_nodes(folder: Path) -> None:
    """End the nodes that a page started and, because of a failure, did not."""
    for pid in folder.glob("*.pid"):
        subprocess.run(["kill", pid.read_text().strip()], stderr=subprocess.DEVNULL)


def test_every_example_is_among_those_that_are_run() -> None:
    """Not one less than there are, whatever marks they have."""
    every = [block for page in PAGES for block in blocks(page) if block.language in ("console", "python")]
    left = [block for block in every if not block.runs]
    assert {block.mark for block in left} <= {"file", "elsewhere"}
    run = [block for page in WITH_EXAMPLES for block in blocks(page) if block.runs]
    assert len(run) + len(left) == len(every)
    assert len([block for block in left if block.mark == "elsewhere"]) == 1, "make demo alone"


def example(text: str) -> Block:
    return Block("a page", 1, "console", text, None, "")


def test_an_example_that_prints_something_else_or_fails_is_told(tmp_path: Path) -> None:
    examples = Examples(tmp_path)
    examples.run(example("$ printf 'a\\nb 12\\nc\\n'\na\n…\nb …\n$ false\n$ echo $?\n1\n"))
    with pytest.raises(AssertionError, match=r"a page, line 1: echo b does not print 'a'"):
        examples.run(example("$ echo b\na\n"))
    with pytest.raises(AssertionError, match="ends with 3"):
        examples.run(example("$ exit 3\n"))
    with pytest.raises(AssertionError, match="ends with 2"):
        examples.run(example("$ ffpipe score\n$ echo again\n"))
    assert missing(("b", "a"), "a\nb") == "a"
    assert commands("$ one \\\n  more\nprinted\n") == [Command("one    more", ("printed",))]
