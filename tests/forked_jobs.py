"""A process that imports the program once and runs command lines in forks of itself, each with a fault.

`kills`: a run is killed in front of some steps of it on the file system, each in a home of its own, and then resumed.
`grow`: a run on a file system that is full is repeated with more room, until it is done. Results go to stdout as JSON.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from file_steps import killed_at, steps_of

from ffpipe.pipeline import cli, extract, score  # noqa: F401 - imported once, for all forks
from ffpipe.pipeline.degrade import job  # noqa: F401
from ffpipe.stages.detect import mtcnn  # noqa: F401

#: Steps that a run is killed in front of, beside its first and its last.
DRAWN = 10


def forked(action: Callable[[], int]) -> tuple[int, str]:
    """The result of an action in a fork, and what it said."""
    inner, outer = os.pipe()
    child = os.fork()
    if not child:
        os.close(inner)
        said = io.StringIO()
        with redirect_stderr(said):
            code = action()
        os.write(outer, json.dumps([code, said.getvalue()[-4000:]]).encode())
        os._exit(0)
    os.close(outer)
    with os.fdopen(inner, "rb") as answer:
        content = answer.read()
    os.waitpid(child, 0)
    code, said_there = json.loads(content)
    return int(code), str(said_there)


def run(arguments: list[str], home: Path) -> int:
    return cli.run([argument.replace("HOME", str(home)) for argument in arguments])


def kills(arguments: list[str], homes: Path) -> object:
    """Exit codes of the resumed runs by home; the first home is that of the counted run."""
    (homes / "whole").mkdir()
    steps, _ = forked(lambda: steps_of(lambda: run(arguments, homes / "whole")))
    codes = {}
    drawn = random.Random(2).sample(range(1, steps - 1), DRAWN)
    for step in (0, *sorted(drawn), steps - 1):
        home = homes / str(step)
        home.mkdir()
        assert killed_at(step, lambda home=home: run(arguments, home)), step
        codes[str(step)] = forked(lambda home=home: run(arguments, home))
    return codes


def grow(arguments: list[str], home: Path, first: int, factor: float) -> object:
    """Bytes, exit code and last line of each run."""
    told, size = [], float(first)
    while True:
        subprocess.run(["mount", "-o", f"remount,size={int(size)}", str(home)], check=True)
        code, said = forked(lambda: run(arguments, home))
        told.append([int(size), code, said.strip().splitlines()[-1]])
        if code != 74 or size > 1 << 28:
            return told
        size *= factor


if __name__ == "__main__":
    mode, place, *rest = sys.argv[1:]
    if mode == "kills":
        print(json.dumps(kills(rest, Path(place))))
    else:
        print(json.dumps(grow(rest[2:], Path(place), int(rest[0]), float(rest[1]))))
