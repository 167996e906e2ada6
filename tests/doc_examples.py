"""Runs the examples of a page of docs/ in a folder: console blocks as typed, Python blocks with one namespace.

A console block has commands after `$ ` and, below each, what it prints: those lines have to come in this order, and
`…` stands for anything. A command must succeed, unless `$ echo $?` follows it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from doc_pages import ROOT, Block

from ffpipe.pipeline import cli

#: Characters that only a shell understands.
_SHELL = re.compile(r"[|&;<>$*`]")
SECONDS = 300


@dataclass(frozen=True)
class Command:
    """A command line and the lines that it is shown to print."""

    line: str
    shown: tuple[str, ...]


def commands(text: str) -> list[Command]:
    """The commands of a console block; a backslash at a line's end goes on with the next."""
    found: list[tuple[str, list[str]]] = []
    for line in text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.strip():
            assert found, f"a console block begins with a command, not {line!r}"
            found[-1][1].append(line)
    return [Command(line, tuple(shown)) for line, shown in found]


def missing(shown: tuple[str, ...], printed: str) -> str | None:
    """The first line that was shown and is not printed behind those before it."""
    lines = iter([" ".join(line.split()) for line in printed.splitlines()])
    for wanted in shown:
        pattern = re.escape(" ".join(wanted.split())).replace("…", ".*")
        if wanted.strip() != "…" and not any(re.fullmatch(pattern, line) for line in lines):
            return wanted
    return None


@dataclass
class Examples:
    """Runs blocks in `folder`, which has to be the current one; with `verbatim` commands get processes of their own.

    Otherwise those of ffpipe alone run in this process. `environment` are all variables that commands get; empty: ours.
    """

    folder: Path
    verbatim: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "example"})
    _code: int = 0

    def run(self, block: Block) -> None:
        """Raises AssertionError, naming page and line, where a block does not do what it shows."""
        where = f"{block.page}, line {block.line}"
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), self.names)
            return
        steps = commands(block.text)
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            printed = self._command(step.line)
            lost = missing(step.shown, printed)
            assert lost is None, f"{where}: {step.line} does not print {lost!r} but:\n{printed}"
            asked = after is not None and after.line == "echo $?"
            assert self._code == 0 or asked, f"{where}: {step.line} ends with {self._code}:\n{printed}"

    def _command(self, line: str) -> str:
        if line == "echo $?":
            code, self._code = self._code, 0
            return str(code)
        if not self.verbatim and line.startswith("ffpipe ") and not _SHELL.search(line):
            return self._here(shlex.split(line)[1:])
        return self._shell(line)

    def _here(self, arguments: list[str]) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            self._code = cli.run(arguments)
        return printed.getvalue()

    def _shell(self, line: str) -> str:
        """In bash, with the variables that earlier lines exported."""
        kept = self.folder / ".exported"
        script = f"[ -f {kept} ] && . {kept}; trap 'export -p > {kept}' EXIT\n{line}\n"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=dict(self.environment or os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=SECONDS,
        )
        self._code = done.returncode
        return done.stdout


def program(folder: Path, tree: Path = ROOT) -> Path:
    """A folder with the program `ffpipe` of a tree, and this Python, to put first in PATH."""
    folder.mkdir(parents=True)
    starts = {
        "ffpipe": f"PYTHONPATH={tree / 'src'}:$PYTHONPATH exec {sys.executable} -m ffpipe",
        "python": f"exec {sys.executable}",
        "ray": f"exec {Path(sys.executable).with_name('ray')}",
    }
    for name, start in starts.items():
        script = folder / name
        script.write_text(f'#!/bin/sh\n{start} "$@"\n')
        script.chmod(0o755)
    return folder
