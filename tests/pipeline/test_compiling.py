"""Compiling before a job: the line on it, and the refusals."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import pytest
import torch
from training_faces import SIDE
from training_faces import TinyNetwork as Network

from ffpipe.manifests.errors import UsageError
from ffpipe.models.detector import DetectorSpec
from ffpipe.pipeline.compiling import try_compiled
from ffpipe.stages.arithmetic import REFERENCE, Arithmetic


class TinyNetwork(Network):
    spec = DetectorSpec(name="tiny", summary="", paper="", input_size=SIDE, needs_sida=True)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize(
    "arithmetic",
    [REFERENCE, Arithmetic("bfloat16", channels_last=True)],
)
def test_a_compiled_network_scores_as_it_did(arithmetic):
    threads = torch.get_num_threads()
    line = try_compiled(SimpleNamespace(model=TinyNetwork()), "cpu", 4, arithmetic)
    assert line.startswith("compiled in ") and line.endswith(" of the uncompiled network's")
    assert torch.get_num_threads() == threads


def test_a_compiler_that_fails_is_told_in_one_line(monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no C++ compiler\nand much more")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: fails)
    with pytest.raises(UsageError, match=r"^--compile: torch.compile does not work here: no C\+\+ compiler$"):
        try_compiled(SimpleNamespace(model=TinyNetwork()), "cpu", 4, REFERENCE)


def test_other_scores_are_refused(monkeypatch):
    monkeypatch.setattr(
        torch, "compile", lambda model, **_: lambda image, d: model(image, d) + torch.tensor([0.0, 30.0])
    )
    with pytest.raises(
        UsageError, match="--compile: scores of the compiled network differ by up to 0.*; 0.01 is"
    ):
        try_compiled(SimpleNamespace(model=TinyNetwork()), "cpu", 4, REFERENCE)
