"""A batch scored as the runner does it, in this process, with the smallest detector."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from html_page import parse
from names import NAMES
from small_weights import make_tiny_weights
from tiny_scoring import INLINE, picture

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import log
from ffpipe.pipeline.config import ScoreConfig, ServeConfig
from ffpipe.pipeline.score import ScoreResult
from ffpipe.pipeline.serving.batches import Batch, Store
from ffpipe.pipeline.serving.runner import PAGES, Order, Told, check, files_of, perform, under_own_names
from ffpipe.pipeline.serving.server import remove
from ffpipe.pipeline.table_reading import content_digest, read_table
from ffpipe.pipeline.tables import read_provenance, with_provenance
from ffpipe.pipeline.workspace import Workspace

#: A name that reaches every output, beside the sound one.
HOSTILE = b"<script>alert(1)</script>\x1b[31m\n=cmd()-\xe9\xff.mp4"


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Order, dict[str, Any], list[Told]]:
    home = tmp_path_factory.mktemp("home")
    folder = home / "serve" / ("a" * 16)
    (folder / "uploads").mkdir(parents=True)
    face, text = folder / "uploads" / ("1" * 16), folder / "uploads" / ("2" * 16)
    picture(folder / "face.png").rename(face)
    text.write_text("no medium at all")
    settings = ScoreConfig.build({**INLINE, "weights": make_tiny_weights(home / "weights")})
    names = {text: HOSTILE.decode("utf-8", "surrogateescape"), face: "holiday/face.png"}
    order = Order("a" * 16, folder, names, settings, home)
    told: list[Told] = []
    return order, perform(order, told.append), told


def test_each_file_has_a_row_under_its_own_name_in_the_order_in_which_it_came(scored: Any) -> None:
    order, facts, _ = scored
    assert [row["status"] for row in facts["rows"]] == ["unsupported", "ok"]
    assert facts["rows"][1]["name"] == "holiday/face.png"
    assert facts["rows"][0]["name"].isprintable()
    assert facts["rows"][0]["failed"]
    assert "no known video" in facts["rows"][0]["reason"]
    assert "2 inputs" in facts["summary"]


def test_no_table_or_page_knows_where_the_uploads_lay(scored: Any) -> None:
    order, _, _ = scored
    report = read_table(order.folder / "report.parquet", "report")
    assert report.column("path_bytes").to_pylist() == [HOSTILE, b"holiday/face.png"]
    for path in (*order.folder.glob("report*"), *(order.folder / PAGES).rglob("*.html")):
        assert b"uploads/" not in path.read_bytes(), path


def test_the_hash_of_the_rows_is_that_of_the_rows_as_they_are_called_now(scored: Any) -> None:
    order, _, _ = scored
    for name in ("report.parquet", "report.json", "report.csv"):
        path = order.folder / name
        assert read_provenance(path)["content"]["report"] == content_digest(read_table(path, "report"))


def test_the_page_is_whole_and_the_name_does_nothing_in_it(scored: Any) -> None:
    order, _, _ = scored
    page = parse((order.folder / PAGES / "index.html").read_text())
    assert "<script>alert(1)" in page.text
    assert not any("alert(1)" in script.text for script in page.all("script"))


def test_every_format_is_there_and_the_log_says_what_was_written(scored: Any) -> None:
    order, facts, told = scored
    assert files_of(order.folder)[:3] == ["report.parquet", "report.json", "report.csv"]
    with (order.folder / "report.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2
    entries = log.read_logs(Workspace(order.workspace)).log.entries
    written = {Path(output["path"]).name for output in entries[-1]["outputs"]}
    assert entries[-1]["event"] == "serve"
    assert {*files_of(order.folder), "index.html"} <= written
    assert not (order.folder / "work").exists()
    assert [t.value for t in told if t.kind == "progress"][-1] == (2, 2, "writing the report")
    assert not any(f"{order.batch}/work" in t.value for t in told if t.kind == "line")


def test_names_of_every_kind_stand_in_the_report(scored: Any) -> None:
    order, _, _ = scored
    report = read_table(order.folder / "report.parquet", "report").slice(0, 1)
    told = read_provenance(order.folder / "report.parquet")
    for raw in NAMES:
        carrying = with_provenance(report, told)
        result = ScoreResult(carrying, carrying, carrying, order.folder, order.folder, told)
        place = Path(HOSTILE.decode("utf-8", "surrogateescape"))
        own = under_own_names(result, {place: raw.decode("utf-8", "surrogateescape")})
        assert own["report"].column("path_bytes").to_pylist() == [raw]
        assert own["report"].column("path").to_pylist()[0].isprintable()


def test_removing_a_scored_batch_deletes_its_crops_too(scored: Any, tmp_path: Path) -> None:
    order, facts, _ = scored
    workspace, store = Workspace(order.workspace), Store(order.folder.parent)
    assert facts["run"].startswith(f"{order.batch}-")
    assert (workspace.root / "scores" / facts["run"]).is_dir()
    store._batches[order.batch] = batch = Batch(order.batch, "now")
    remove(store, workspace, batch)
    assert not (workspace.root / "scores" / facts["run"]).exists()
    assert not order.folder.exists()


def test_weights_are_looked_at_before_anything_is_served(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trained model"):
        check(ServeConfig().scoring(), tmp_path, print)
    weights = make_tiny_weights(tmp_path / "models" / "meso4" / "one")
    settings, words = check(ServeConfig().scoring(), tmp_path, print)
    assert settings.weights == weights
    assert words.startswith("meso4 (one), model ")
