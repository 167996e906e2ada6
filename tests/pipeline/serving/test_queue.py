from __future__ import annotations

from pathlib import Path

import pytest
import runner_targets
from local_page import Site, make_site
from processes import facts, wait_until

from ffpipe.pipeline.serving import queue
from ffpipe.pipeline.serving.batches import Batch, State
from ffpipe.pipeline.serving.refusal import Refused


def filled(site: Site, files: int = 1) -> Batch:
    batch = site.begin()
    for number in range(files):
        assert site.send(batch, b"x", f"{number}.mp4").status_code == 201
    return batch


def reached(batch: Batch, state: State) -> bool:
    return wait_until(lambda: batch.state is state, 60)


def test_batches_are_scored_one_after_the_other_in_the_order_of_their_start(tmp_path: Path) -> None:
    site = make_site(tmp_path, target=runner_targets.finish)
    batches = [filled(site, 2), filled(site)]
    for batch in reversed(batches):
        assert site.ask("POST", f"api/batches/{batch.id}/start").json()["state"] == "queued"
    assert [site.queue.ahead_of(batch) for batch in batches] == [1, 0]
    with site.queue:
        assert all(reached(batch, State.DONE) for batch in batches)
    order = [line.split()[0] for line in (site.store.root / "order").read_text().splitlines()]
    assert order == [batch.id for batch in reversed(batches)]
    assert batches[0].summary == "2 inputs"
    assert [row["name"] for row in batches[0].rows] == ["0.mp4", "1.mp4"]
    # What was scored is deleted, and the page says so.
    assert not any(site.store.uploads(batch).exists() or batch.kept for batch in batches)
    again = make_site(tmp_path).store.get(batches[0].id)
    assert (again.state, again.kept, again.summary) == (State.DONE, False, "2 inputs")


def test_an_error_that_nobody_foresaw_costs_its_batch_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(tmp_path, target=runner_targets.finish)
    first, second = filled(site), filled(site)
    run = site.queue._run

    def failing(batch: Batch, order: object) -> object:
        if batch is first:
            raise OSError(11, "Resource temporarily unavailable")
        return run(batch, order)

    monkeypatch.setattr(site.queue, "_run", failing)
    for batch in (first, second):
        site.queue.put(batch)
    with site.queue:
        assert reached(second, State.DONE)
    assert first.state is State.FAILED
    assert first.error == "BlockingIOError: [Errno 11] Resource temporarily unavailable"


@pytest.mark.slow
def test_what_goes_wrong_costs_that_batch_alone(tmp_path: Path) -> None:
    site = make_site(tmp_path, target=runner_targets.fail)
    batch = filled(site)
    site.queue.put(batch)
    with site.queue:
        assert reached(batch, State.FAILED)
    assert batch.error == "the disk\\nis full"
    # It can go on: nothing of it was deleted.
    assert len(list(site.store.uploads(batch).iterdir())) == 1
    again = make_site(tmp_path, target=runner_targets.die)
    batch = again.store.get(batch.id)
    again.queue.put(batch)
    with again.queue:
        assert reached(batch, State.FAILED)
    assert "ended with code -9" in str(batch.error)


@pytest.mark.slow
def test_a_running_batch_stops_at_once_and_its_process_is_gone(tmp_path: Path) -> None:
    site = make_site(tmp_path, target=runner_targets.stay)
    batch = filled(site)
    site.queue.put(batch)
    with site.queue:
        assert wait_until(lambda: batch.stage == "scoring", 60)
        assert "waiting or being scored" in site.ask("DELETE", f"api/batches/{batch.id}").json()["error"]
        assert site.ask("POST", f"api/batches/{batch.id}/cancel").status_code == 200
        assert reached(batch, State.STOPPED)
        assert facts(int((site.store.folder(batch) / "pid").read_text()), "stat") == b""
    assert len(list(site.store.uploads(batch).iterdir())) == 1
    assert site.ask("DELETE", f"api/batches/{batch.id}").status_code == 204
    assert [path.name for path in site.store.root.iterdir()] == []


@pytest.mark.slow
@pytest.mark.parametrize("target", [runner_targets.stay, runner_targets.stay_stubbornly])
def test_the_end_of_the_server_ends_the_runner_and_lets_its_batch_wait_for_the_next(
    tmp_path: Path, target: queue.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "_GRACE_SECONDS", 0.5)
    site = make_site(tmp_path, target=target)
    batch = filled(site)
    site.queue.put(batch)
    with site.queue:
        assert wait_until(lambda: batch.stage == "scoring", 60)
        pid = int((site.store.folder(batch) / "pid").read_text())
    assert facts(pid, "stat") == b""
    assert batch.state is State.QUEUED
    again = make_site(tmp_path, target=runner_targets.finish)
    batch = again.store.get(batch.id)
    with again.queue:
        assert reached(batch, State.DONE)


@pytest.mark.slow
def test_kept_uploads_stay_until_their_batch_is_removed(tmp_path: Path) -> None:
    site = make_site(tmp_path, target=runner_targets.finish, keep=True)
    batch = filled(site)
    site.queue.put(batch)
    with site.queue:
        assert reached(batch, State.DONE)
    assert batch.kept
    assert len(list(site.store.uploads(batch).iterdir())) == 1
    site.ask("DELETE", f"api/batches/{batch.id}")
    assert not site.store.folder(batch).exists()


def test_a_waiting_batch_leaves_the_queue(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    batch = filled(site)
    site.queue.put(batch)
    site.queue.cancel(batch)
    assert batch.state is State.STOPPED
    site.queue.put(batch)
    assert batch.state is State.QUEUED
    # Nothing is removed under the engine's feet.
    assert site.ask("DELETE", f"api/batches/{batch.id}").status_code == 409
    assert site.store.holds(batch)


def test_what_cannot_be_started_or_stopped_is_said(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    empty, batch = site.begin(), filled(site)
    with pytest.raises(Refused, match="no files"):
        site.queue.put(empty)
    with pytest.raises(Refused, match="nothing to stop"):
        site.queue.cancel(batch)
    site.queue.put(batch)
    with pytest.raises(Refused, match="queued already"):
        site.queue.put(batch)
    site.store.remove(empty)
    assert site.ask("POST", f"api/batches/{empty.id}/start").status_code == 404
