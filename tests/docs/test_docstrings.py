"""The examples in public docstrings, run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType

import pytest

import ffpipe
from ffpipe.models import sida, spectral

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run(module: ModuleType) -> list[str]:
    """Runs a module's examples, each docstring's with a copy of what the module imports; names those that had some."""
    ran = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(
        module, globs={**vars(module), "ffpipe": ffpipe}
    ):
        if test.examples:
            said: list[str] = []
            result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=said.append)
            assert result.failed == 0, "".join(said)
            ran.append(test.name.rpartition(".")[2])
    return ran


@pytest.mark.slow
@pytest.mark.usefixtures("in_process")
def test_the_jobs_of_the_python_api(home: Path) -> None:
    assert set(run(ffpipe)) >= {"extract", "train", "score", "evaluate"}


def test_the_operators() -> None:
    assert {"block_dct", "sida"} <= set(run(spectral))
    assert "sida" in run(sida)
