"""Many tiny inputs, sound and hostile, in one job: one row each, nothing left behind, memory that does not grow."""

from __future__ import annotations

import os
from multiprocessing import resource_tracker
from pathlib import Path

import pandas as pd
import pytest
from load_job import Run, Work, left_behind, run, statuses_of
from many_inputs import KINDS, make_inputs
from process_tree import shared_memory
from processes import descendants, processes, wait_until_gone
from small_weights import make_linear_weights

from ffpipe.manifests.records import Status
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import cli

FEW, MANY = 150, 2000
MIB = 1 << 20
#: What the driver may keep of each input while the job runs: an item of the plan, and its place in a commit.
PLANNED_BYTES = 4096
#: What it may hold besides at the end, when all rows are gathered for the report: a record and its Arrow row, twice.
REPORTED_BYTES = 16384
#: What allocators may keep back over a run, of one process.
SLACK = 24 * MIB


def assert_as_made(found: dict[bytes, str], statuses: dict[bytes, str | None]) -> None:
    assert found.keys() == statuses.keys()
    assert {n: s for n, s in found.items() if statuses[n] is not None} == {
        n: s for n, s in statuses.items() if s
    }
    # Nothing that is made here is able to crash a decoder or to hold it up.
    assert set(found.values()) <= {"ok", "partial", "no_face", "unreadable", "unsupported", "too_large"}


def open_files() -> list[str]:
    """What this process has open, but for the folder that is read to tell."""
    links = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    return sorted(link for link in links if not link.startswith("/proc/"))


def test_every_one_of_many_inputs_has_its_row_and_nothing_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses = make_inputs(tmp_path / "in", FEW)
    assert {kind.status for kind in KINDS.values()} <= {*statuses.values()}, "every kind is among them"
    weights, place = make_linear_weights(tmp_path / "weights"), tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    resource_tracker.ensure_running()
    before = open_files(), shared_memory(os.getpid()), processes(descendants(os.getpid()))
    code = cli.run(
        ["score", str(tmp_path / "in"), "--weights", str(weights), "--workspace", str(tmp_path / "ws"),
         "--engine", "local", "--workers", "1", "--frames", "2"]
    )  # fmt: skip
    assert code == 3
    (home,) = (tmp_path / "ws" / "scores").iterdir()
    group = ShardGroup(home, "report", ["tracks", "scores", "faces"])
    rows = group.read("report").to_pandas()
    assert_as_made(statuses_of(rows, tmp_path / "in"), statuses)
    assert not wait_until_gone(processes(descendants(os.getpid())) - before[2])
    assert open_files() == before[0]
    assert {path for path in shared_memory(os.getpid()) - before[1] if path.exists()} == set()
    assert [*place.iterdir(), *home.glob("*/_tmp/*")] == []
    shown = capsys.readouterr().err.splitlines()
    failed = sum(Status(status).failed for status in rows["status"])
    assert shown[-1].startswith(f"{FEW} inputs: ")
    assert shown[-1].endswith(f"({failed} failed)")
    assert f"… and {FEW - 50} more in the report" in shown
    assert len(shown) < 50 + 20, "what is printed does not grow with the inputs"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("load")


@pytest.fixture(scope="module")
def many(place: Path) -> dict[bytes, str | None]:
    make_linear_weights(place / "weights")
    return make_inputs(place / "in", MANY)


def work_in(place: Path, job: str, name: str, engine: str = "local") -> Work:
    return Work(job, place / f"{job}-{name}", place / "in", place / "weights", engine)


@pytest.mark.slow
@pytest.mark.parametrize("job", ["score", "extract"])
def test_two_thousand_inputs_keep_memory_flat_and_resume_exactly_after_a_kill(
    job: str, place: Path, many: dict[bytes, str | None]
) -> None:
    work = work_in(place, job, "whole")
    whole = run(work)
    assert whole.code == 3
    rows = work.rows()
    assert_as_made(statuses_of(rows, work.inputs), many)
    assert left_behind(work, whole.watch) == []
    assert_flat(whole)
    killed = work_in(place, job, "killed")
    cut = run(killed, kill_at=work.commits() // 2)
    assert wait_until_gone(cut.watch.seen) == set()
    assert 0 < killed.commits() < work.commits(), "killed in the middle"
    resumed = run(killed)
    pd.testing.assert_frame_equal(killed.rows(), rows)
    assert left_behind(killed, resumed.watch) == []


def assert_flat(done: Run) -> None:
    """From a third of the run to its end the driver keeps no more than what it plans, and workers no more at all."""
    samples = done.watch.samples
    third, last = done.at(1 / 3), done.at(1.0)
    assert last.driver_own - third.driver_own < SLACK + MANY * PLANNED_BYTES
    assert max(s.driver_own for s in samples) - third.driver_own < SLACK + MANY * (
        PLANNED_BYTES + REPORTED_BYTES
    )
    for role in ("workers", "children"):
        held = [s.memory[role] / s.members[role] for s in samples if s.members[role] and third.done <= s.done]
        assert max(held) - held[0] < SLACK, role


@pytest.mark.slow
@pytest.mark.ray
def test_ray_gives_the_same_rows_of_many_inputs(place: Path, many: dict[bytes, str | None]) -> None:
    work, local = work_in(place, "score", "ray", "ray"), work_in(place, "score", "beside")
    done = run(work)
    run(local)
    rows = work.rows()
    assert_as_made(statuses_of(rows, work.inputs), many)
    # The configuration names the engine, and the provenance's id is a hash of the configuration.
    named = ["provenance_id"]
    pd.testing.assert_frame_equal(rows.drop(columns=named), local.rows().drop(columns=named))
    assert left_behind(work, done.watch) == []
