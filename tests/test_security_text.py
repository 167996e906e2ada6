"""What SECURITY.md names exists: commands, options, files, variables and the tests behind its promises."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from ffpipe.pipeline.cli import app

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def spans() -> set[str]:
    """Code within lines."""
    prose = "\n".join(line for line in TEXT.splitlines() if not line.startswith("    "))
    return {" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)}


def shown_commands() -> list[str]:
    """Commands in indented blocks, each on one line."""
    blocks = re.findall(r"(?m)^ {4}\S.*(?:\n {4,}.*)*", TEXT)
    return [re.sub(r"\s*\\\n\s*", " ", block).strip() for block in blocks]


def commands(group: Any, name: str = "ffpipe") -> Iterator[tuple[str, Any]]:
    for inner, command in group.commands.items():
        yield f"{name} {inner}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{name} {inner}")


KNOWN = dict(commands(typer.main.get_command(app)))


def options_of(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


ALL_OPTIONS = {"--version"}.union(*(options_of(command) for command in KNOWN.values()))


def options_in(text: str) -> set[str]:
    return set(re.findall(r"(?<!\S)--?[a-z][a-z0-9-]*", text))


def ours_in(line: str) -> str:
    """What a shown command runs of ffpipe: behind the image's name, or behind the word itself."""
    return "ffpipe " + re.split(r" ffpipe(?::cpu|:cuda)? ", " " + line, maxsplit=1)[1]


def test_promises_name_tests_that_exist() -> None:
    part = TEXT.partition("## What is promised")[2].partition("\n## ")[0]
    rows = [line for line in part.splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[^`]+)`", row.rpartition(" | ")[2] or row)
        assert named, row
        assert [name for name in named if not (ROOT / name).is_file()] == []


def test_files_that_are_named_exist() -> None:
    named = {span for span in spans() if re.fullmatch(r"[\w./-]+\.(py|md|toml|txt)|docker/\w+", span)}
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "line", sorted({s for s in spans() if s.startswith("ffpipe ")} | {*map(ours_in, shown_commands())})
)
def test_commands_and_their_options_exist(line: str) -> None:
    if line == "ffpipe --version":
        return
    words = line.split()
    name = max(
        (known for known in KNOWN if words[: len(known.split())] == known.split()), key=len, default=""
    )
    assert name, f"no such command: {line}"
    assert options_in(line) <= options_of(KNOWN[name])


def test_options_that_stand_alone_belong_to_a_command_or_to_what_is_shown() -> None:
    shown = {option for line in shown_commands() for option in options_in(line)}
    # What is advised for or against beside the shown command is told by the runners' own manuals.
    beside = {"--cpus", "--userns"}
    for span in spans():
        if span.startswith("-") and not span.startswith("-v"):
            assert options_in(span) <= ALL_OPTIONS | shown | beside, span


def test_variables_are_those_that_the_sources_or_the_image_know() -> None:
    sources = "".join(
        p.read_text(encoding="utf-8") for room in ("pipeline", "models") for p in (ROOT / room).rglob("*.py")
    )
    named = {
        span.partition("=")[0] for span in spans() if re.fullmatch(r"(RAY|HF|FFPIPE)_[A-Z_]+(=\S*)?", span)
    }
    assert named
    assert [name for name in named if name not in sources] == []


def test_the_image_s_file_recommends_the_same_flags() -> None:
    (advised,) = (line for line in shown_commands() if line.startswith("docker run"))
    comment = re.sub(r"\s*\\\n#\s*", " ", (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8"))
    (recommended,) = (line[1:].strip() for line in comment.splitlines() if line.startswith("#   docker run"))
    assert recommended == advised


def test_readers_find_the_page() -> None:
    for name in ("README.md", "CONTRIBUTING.md"):
        assert "(SECURITY.md)" in (ROOT / name).read_text(encoding="utf-8"), name


def test_limits_are_those_of_the_sources() -> None:
    from ffpipe.stages.decode import Limits

    limits = Limits()
    shown = {
        f"{8192} x {8192}": limits.max_pixels == 8192 * 8192,
        f"{limits.max_bytes >> 30} GiB": True,
        f"{limits.wall_seconds:.0f}, and {limits.seconds_per_second:.0f} for each second of video": True,
        f"{limits.memory_bytes >> 30} GiB of address space": True,
        f"{limits.cpu_seconds:.0f} and {limits.seconds_per_second:.0f} a second of video; "
        f"{limits.max_seconds / 3600:.0f} hours; {limits.max_streams}": True,
    }
    assert all(shown.values())
    assert [text for text in shown if text not in TEXT] == []
