"""The notebook runs from beginning to end in a folder of its own, and is stored without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doc_pages import DOCS, ROOT

NOTEBOOK = DOCS / "score.ipynb"


def cells(kind: str) -> list[dict[str, Any]]:
    return [
        cell
        for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == kind
    ]


def test_it_is_stored_without_outputs() -> None:
    code = cells("code")
    assert len(code) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_it_says_what_a_score_and_a_heat_map_are_not() -> None:
    said = " ".join("".join(cell["source"]) for cell in cells("markdown"))
    assert "A score is not a probability" in said and "It is no proof" in said


@pytest.mark.slow
def test_it_runs_from_a_clean_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    for name in (
        "IPYTHONDIR",
        "JUPYTER_CONFIG_DIR",
        "JUPYTER_DATA_DIR",
        "JUPYTER_RUNTIME_DIR",
        "MPLCONFIGDIR",
    ):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    book = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(home)}}
    )
    done = client.execute()
    kinds = [set(out.get("data", {})) for cell in done.cells for out in cell.get("outputs", ())]
    pictures = sum("image/png" in kind for kind in kinds)
    assert pictures == 2, "a timeline and a heat map"
    assert sum("text/html" in kind for kind in kinds) == 2, "the report as a table, and the page"
    assert (home / "report.html").is_file() and (home / "report.html.scores.parquet").is_file()
    nbformat.write(done, tmp_path / "executed.ipynb")
