"""Nothing but the gate opens a Parquet, Arrow or Feather file: told from the source of every module of the product."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import ffpipe

ROOT = Path(ffpipe.__file__).parent
#: The only module that may.
GATE = "manifests/parquet.py"
#: What it calls there; anything else in this list is called nowhere.
ALLOWED = {"pyarrow.parquet.ParquetFile"}
#: Whole modules whose every function reads such files, or makes types from what they say. Ray's also drops blocks that
#: fail where it is told to, and no row may go in silence.
READERS = (
    "pyarrow.dataset",
    "pyarrow.feather",
    "pyarrow.ipc",
    "pyarrow.orc",
    "pyarrow.flight",
    "ray.data",
    "polars",
    "duckdb",
    "fastparquet",
)
#: What of pyarrow.parquet writes only.
WRITES = {"write_table", "ParquetWriter"}
#: Functions elsewhere, by their last name, that read them.
NAMES = {
    "read_parquet",
    "read_feather",
    "read_orc",
    "deserialize",
    "deserialize_pandas",
    "open_stream",
    "open_file",
    "read_message",
    "read_record_batch",
    "register_extension_type",
    "PyExtensionType",
    "UnknownExtensionType",
}


#: A module without any of these words names nothing of the above; reading a source takes longer than searching it.
_WORDS = re.compile(rf"\b({'|'.join([*{module.split('.')[0] for module in READERS}, *NAMES])})\b")


def _imports(tree: ast.AST) -> dict[str, str]:
    """Name in a module -> what it stands for."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for one in node.names:
                found[one.asname or one.name.split(".")[0]] = (
                    one.name if one.asname else one.name.split(".")[0]
                )
                found.setdefault(f"import {one.name}", one.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for one in node.names:
                found[one.asname or one.name] = f"{node.module}.{one.name}"
    return found


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (inner := _dotted(node.value)):
        return f"{inner}.{node.attr}"
    return None


def readers(source: str) -> set[str]:
    """What a module names that reads Parquet, Arrow or Feather."""
    if not _WORDS.search(source):
        return set()
    tree = ast.parse(source)
    imported = _imports(tree)
    named = set(imported.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (dotted := _dotted(node)):
            first, _, rest = dotted.partition(".")
            named.add(f"{imported.get(first, first)}.{rest}")
        if isinstance(node, ast.Attribute) and node.attr in NAMES:
            named.add(f"….{node.attr}")
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES:
            named.add(f"text {node.value}")
    return {name for name in named if _reads(name)}


def _reads(name: str) -> bool:
    if name.startswith("pyarrow.parquet."):
        return name.split(".")[2] not in WRITES
    return name.rpartition(".")[2].removeprefix("text ") in NAMES or any(
        name == module or name.startswith(f"{module}.") for module in READERS
    )


def test_only_the_gate_reads_parquet() -> None:
    found = {}
    rooms = [
        folder for folder in ROOT.iterdir() if folder.is_dir()
    ]  # a search does not follow links by itself
    files = [*ROOT.glob("*.py"), *(path for room in rooms for path in room.glob("**/*.py"))]
    assert len(files) > 150, "the sources are where they are looked for"
    for path in files:
        if names := readers(path.read_text()):
            found[path.relative_to(ROOT).as_posix()] = names
    assert found == {GATE: ALLOWED}


def test_the_search_finds_what_it_looks_for() -> None:
    for source, name in {
        "import pyarrow.parquet as pq\npq.read_table('x')": "pyarrow.parquet.read_table",
        "import pyarrow.parquet\npyarrow.parquet.ParquetFile('x')": "pyarrow.parquet.ParquetFile",
        "from pyarrow import parquet\nparquet.read_schema('x')": "pyarrow.parquet.read_schema",
        "from pyarrow.parquet import ParquetDataset as D\nD('x')": "pyarrow.parquet.ParquetDataset",
        "import pyarrow as pa\npa.ipc.open_stream(b'')": "pyarrow.ipc.open_stream",
        "import pyarrow.dataset as ds\nds.dataset('x')": "pyarrow.dataset",
        "import pandas as pd\npd.read_parquet('x')": "pandas.read_parquet",
        "def f(x):\n    return x().read_feather('x')": "….read_feather",
        "import pandas\ngetattr(pandas, 'read_parquet')('x')": "text read_parquet",
        "def f():\n    import ray\n    ray.data.read_images('x')": "ray.data.read_images",
        "import duckdb": "duckdb",
    }.items():
        assert name in readers(source), source
    assert readers("import pyarrow.parquet as pq\npq.write_table(t, 'x')\npa.table({})") == set()
