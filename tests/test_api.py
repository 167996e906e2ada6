"""The public Python API: one function a job, annotated, told, named after its command, and light to import."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from importlib import resources

import pytest
import typer

import ffpipe
from ffpipe.pipeline.cli import app

FUNCTIONS = [name for name in ffpipe.__all__ if name != "__version__"]


def test_every_public_function_is_listed() -> None:
    there = {n for n, o in vars(ffpipe).items() if inspect.isfunction(o) and not n.startswith("_")}
    assert there == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_annotated_and_told(name: str) -> None:
    function = getattr(ffpipe, name)
    signature = inspect.signature(function)
    assert signature.return_annotation is not signature.empty
    assert all(p.annotation is not p.empty for p in signature.parameters.values())
    assert "workspace" in signature.parameters
    told = inspect.getdoc(function) or ""
    assert "Raises ffpipe.manifests.errors.UsageError and StorageError." in " ".join(told.split())
    named = [p for p in signature.parameters if p in re.findall(r"`(\w+)`", told)]
    assert "settings" in named or "settings" not in signature.parameters, "says what its settings are"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_command_that_a_function_names_exists(name: str) -> None:
    told = inspect.getdoc(getattr(ffpipe, name)) or ""
    group = typer.main.get_command(app)
    named = re.search(r"(?:are those of|as) `ffpipe ([\w -]+)`", told)
    words = named[1].split() if named else ["import-weights"]
    assert named or "the command line's" in told
    for word in words:
        assert word in group.commands
        group = group.commands[word]


def test_the_package_says_that_it_is_typed() -> None:
    assert resources.files(ffpipe).joinpath("py.typed").is_file()


def test_importing_it_loads_neither_torch_nor_ray_nor_pandas() -> None:
    code = "import ffpipe, sys; print(sorted({'torch', 'ray', 'pandas', 'pyarrow'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
