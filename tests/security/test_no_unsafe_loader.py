"""No file of the program calls an unsafe loader or evaluator; what is allowed is named, with its reason.

The rules are in `unsafe_code`; each is shown to find what it is for.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from security.unsafe_code import findings, imports

ROOT = Path(__file__).parents[2]
ROOMS = ("manifests", "models", "stages", "pipeline", "src", "benchmarks", "docker")
FILES = sorted({path.resolve() for room in ROOMS for path in (ROOT / room).rglob("*.py")})

#: The one place that may read a pickle, and what it calls.
IMPORTER, LOADER = "stages/foreign/reading.py", "torch.load"

#: What is allowed nevertheless, and why.
ALLOWED = {
    (IMPORTER, LOADER): "the one importer of foreign checkpoints, with weights_only, in the confined child",
    (
        "pipeline/exporters.py",
        "torch.export.load",
    ): "from memory, the program that this very process made before",
    ("pipeline/training_loop.py", "torch.distributed.all_gather_object"): "between the ranks of one training",
}
#: Where pickles pass between processes that ffpipe itself started, over channels that only these can write to.
BETWEEN_OUR_OWN = {
    "pipeline/engine.py": "the local engine's workers, over the socket pairs of multiprocessing's pipes",
    "pipeline/serving/queue.py": "the process that scores for the local page, over such a pipe",
    "pipeline/serving/runner.py": "that process",
    "pipeline/ray_engine.py": "Ray's tasks, of a cluster that the user named or that is this machine's own",
    "pipeline/ray_cluster.py": "starts, joins and watches that cluster",
    "pipeline/ray_access.py": "that cluster's token",
    "pipeline/ray_training.py": "Ray Train's workers, of the same cluster",
    "pipeline/train.py": "asks Ray for the cluster's GPUs",
}
#: Parts of libraries that carry pickles between processes.
CARRIERS = ("multiprocessing", "ray", "torch.multiprocessing", "torch.distributed.rpc")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT.resolve()).as_posix()


def test_there_are_files_to_look_at():
    names = {name_of(path) for path in FILES}
    assert {IMPORTER, "manifests/shards.py", "src/ffpipe/__init__.py", "pipeline/cli/__init__.py"} <= names
    assert len(names) > 200


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_file_calls_nothing_unsafe(path):
    found = [
        finding for finding in findings(path.read_text()) if (name_of(path), finding.what) not in ALLOWED
    ]
    assert found == []


def test_what_is_allowed_is_there():
    for name, what in ALLOWED:
        assert what in {finding.what for finding in findings((ROOT / name).read_text())}


def test_the_importer_loads_in_one_place_with_weights_only_written_out():
    tree = ast.parse((ROOT / IMPORTER).read_text())
    calls = [
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == LOADER
    ]
    assert len(calls) == 1
    keywords = {keyword.arg: keyword.value for keyword in calls[0].keywords}
    assert isinstance(keywords["weights_only"], ast.Constant)
    assert keywords["weights_only"].value is True
    assert ast.unparse(keywords["map_location"]) == "'cpu'"
    assert None not in keywords
    assert [f.what for f in findings((ROOT / IMPORTER).read_text())] == [LOADER]


def test_only_the_confined_child_imports_the_importer():
    users = {
        name_of(path)
        for path in FILES
        if any(name.startswith("ffpipe.stages.foreign.reading") for name in imports(path.read_text()))
    }
    # The others take constants and types from it; `read` is the child's alone.
    readers = {
        name for name in users if "ffpipe.stages.foreign.reading.read" in imports((ROOT / name).read_text())
    }
    assert readers == {"stages/foreign/child.py"}


def test_pickles_pass_between_our_own_processes_only_where_it_is_known():
    carrying = {
        name_of(path)
        for path in FILES
        if any(name == c or name.startswith(f"{c}.") for name in imports(path.read_text()) for c in CARRIERS)
        and path.is_relative_to(ROOT / "benchmarks") is False
    }
    assert carrying == set(BETWEEN_OUR_OWN)


UNSAFE = {
    "import pickle": "pickle",
    "from pickle import loads": "pickle",
    "import cloudpickle as c": "cloudpickle",
    "def f():\n    import dill": "dill",
    "import joblib": "joblib",
    "import shelve": "shelve",
    "import marshal": "marshal",
    "import importlib\nimportlib.import_module('pickle')": "pickle",
    "import xml.etree.ElementTree as ET": "xml.etree.ElementTree",
    "from lxml import etree": "lxml",
    "import torch\ntorch.load('f')": "torch.load",
    "import torch\ntorch.load('f', weights_only=True)": "torch.load",
    "import torch as t\nt.load('f')": "torch.load",
    "from torch import load as x\nx('f')": "torch.load",
    "from torch import load": "torch.load",
    "import torch\nread = torch.load": "torch.load",
    "import torch\ngetattr(torch, 'load')('f')": "torch.load",
    "import torch\nname = 'lo' + 'ad'\ngetattr(torch, name)('f')": "getattr(torch)",
    "from torch import *": "everything of torch",
    "import torch.serialization\ntorch.serialization.load('f')": "torch.serialization.load",
    "from torch.serialization import load": "torch.serialization.load",
    "import torch\nm.f('x', weights_only=False)": "weights_only",
    "flag = True\nm.f('x', weights_only=flag)": "weights_only",
    "import torch\ntorch.hub.load('a', 'b')": "torch.hub.load",
    "from torch import hub\nhub.load('a', 'b')": "torch.hub.load",
    "import torch\ntorch.jit.load('f')": "torch.jit.load",
    "from torch.jit import load": "torch.jit.load",
    "import torch.distributed as dist\ndist.all_gather_object(a, b)": "torch.distributed.all_gather_object",
    "import numpy as np\nnp.load('f')": "numpy.load",
    "import numpy as np\nnp.load('f', allow_pickle=True)": "allow_pickle",
    "import numpy as np\nnp.load('f', allow_pickle=flag)": "numpy.load",
    "from numpy import load\nload('f')": "numpy.load",
    "import pandas as pd\npd.read_pickle('f')": "pandas.read_pickle",
    "import pandas as pd\npd.read_xml('f')": "pandas.read_xml",
    "import yaml\nyaml.load(f)": "yaml.load",
    "import yaml\nyaml.load(f, Loader=yaml.Loader)": "yaml.load",
    "import yaml\nyaml.unsafe_load(f)": "yaml.unsafe_load",
    "eval('1')": "eval",
    "exec('1')": "exec",
    "compile('1', 'f', 'exec')": "compile",
    "run = eval": "eval",
    "import builtins\nbuiltins.exec('1')": "builtins.exec",
    "from builtins import eval as e": "builtins.eval",
    "__import__('os')": "__import__",
    "__builtins__['eval']('1')": "__builtins__",
    "import os\nos.system('ls')": "os.system",
    "from os import popen": "os.popen",
    "import subprocess\nsubprocess.run('ls', shell=True)": "shell",
    "import subprocess as s\ns.Popen('ls', shell=flag)": "shell",
    "import subprocess\nsubprocess.run('ls', **options)": "shell",
    "import subprocess\nsubprocess.getoutput('ls')": "subprocess.getoutput",
    "import tempfile\ntempfile.mktemp()": "tempfile.mktemp",
    "import tarfile\ntarfile.open('f').extractall('d')": "extractall",
    "import tarfile\ntarfile.open('f').extractall('d', filter='fully_trusted')": "extractall",
    "import tarfile\narchive.extract(member)": "extractall",
    "import shutil\nshutil.unpack_archive('f')": "shutil.unpack_archive",
    "m.load('name', trust_remote_code=True)": "trust_remote_code",
    "options = {'trust_remote_code': True}": "trust_remote_code",
}


@pytest.mark.parametrize("source", UNSAFE, ids=lambda source: source.replace("\n", "; "))
def test_each_rule_finds_what_it_is_for(source):
    assert UNSAFE[source] in {finding.what for finding in findings(source)}


SAFE = (
    "import re\nre.compile('a')",
    "model.eval()",
    "import torch\ntorch.compile(model)",
    "import safetensors.torch\nsafetensors.torch.load(data)",
    "import json\njson.load(f)",
    "import numpy as np\nnp.load('f', mmap_mode='r', allow_pickle=False)",
    "import yaml\nyaml.load(f, Loader=yaml.SafeLoader)",
    "import yaml\nyaml.safe_load(f)",
    "import subprocess\nsubprocess.run(['ls'])",
    "import tarfile\ntarfile.open('f').extractall('d', filter='data')",
    "getattr(settings, name)",
    "job.extract(source)",
    "class Settings:\n    compile: bool = False",
    "connection.load(1)",
    "'torch.load is not called here'",
)


@pytest.mark.parametrize("source", SAFE, ids=lambda source: source.replace("\n", "; "))
def test_what_is_harmless_is_let_through(source):
    assert findings(source) == []
