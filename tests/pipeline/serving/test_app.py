from __future__ import annotations

from pathlib import Path

import pytest
from local_page import Site, make_site

from ffpipe.pipeline import log
from ffpipe.pipeline.serving.batches import State


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return make_site(tmp_path)


def listed(site: Site) -> list[dict[str, object]]:
    return list(site.ask("GET", "api/batches").json()["batches"])


def test_a_batch_is_listed_once_it_is_started(site: Site) -> None:
    batch = site.begin()
    site.send(batch, b"abc", "clip.mp4")
    assert listed(site) == []
    site.ask("POST", f"api/batches/{batch.id}/start")
    (told,) = listed(site)
    assert (told["id"], told["state"], told["total"]) == (batch.id, "queued", 1)
    assert told["uploads"] == [{"name": "clip.mp4", "bytes": 3}]


def test_the_newest_batch_is_first(site: Site) -> None:
    batches = [site.begin() for _ in range(3)]
    for place, batch in enumerate(batches):
        batch.created = f"2026-01-0{place + 1}T00:00:00+00:00"
        site.send(batch, b"x")
        site.queue.put(batch)
    assert [told["id"] for told in listed(site)] == [batch.id for batch in reversed(batches)]


def test_a_finished_batch_lists_its_tables_and_takes_no_files(site: Site) -> None:
    batch = site.finished({})
    assert [told["files"] for told in listed(site)] == [["report.csv"]]
    assert site.send(batch, b"x").status_code == 409
    assert site.ask("POST", f"api/batches/{batch.id}/start").status_code == 409


def test_removing_deletes_files_report_and_the_scoring_run_and_notes_it(site: Site) -> None:
    batch, other = site.finished({"index.html": ""}), site.finished({})
    runs = [site.workspace.root / "scores" / f"{one.id}-{'0' * 12}" for one in (batch, other)]
    for run in runs:
        (run / "faces").mkdir(parents=True)
        (run / "faces" / "crop").write_bytes(b"a face")
    assert site.ask("DELETE", f"api/batches/{batch.id}").status_code == 204
    assert [run.exists() for run in runs] == [False, True]
    assert [told["id"] for told in listed(site)] == [other.id]
    assert not site.store.folder(batch).exists()
    (entry,) = log.read_logs(site.workspace).log.entries
    assert entry["removed"] == [str(runs[0]), str(site.store.folder(batch))]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "api/batches/{0}/start"), ("POST", "api/batches/{0}/cancel"), ("DELETE", "api/batches/{0}"),
        ("PUT", "api/batches/{0}/files?name=a"), ("GET", "reports/{0}/index.html"), ("GET", "files/{0}/report.csv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["0" * 16, "..%2f..", "x", "%00"])
def test_a_batch_that_is_not_there_is_one_line(site: Site, method: str, path: str, name: str) -> None:
    answer = site.ask(method, path.format(name))
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("there is no such batch") or "%2f" in name


def test_state_of_a_batch_is_data_for_the_page_alone(site: Site) -> None:
    batch = site.finished({})
    batch.rows, batch.run = [{"name": "</script><script>alert(1)</script>"}], "secret-run"
    answer = site.ask("GET", "api/batches")
    assert answer.headers["content-type"] == "application/json"
    assert "run" not in answer.json()["batches"][0]
    assert batch.state is State.DONE
