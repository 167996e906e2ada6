from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import GONE_WITHIN, descendants, wait_until

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.engine import (
    RAY_FROM_INPUTS,
    Chunk,
    Engine,
    InlineEngine,
    PoolEngine,
    Worker,
    WorkerBug,
    create_engine,
)
from ffpipe.pipeline.ray_engine import RayEngine


@dataclass(frozen=True)
class Notes:
    """A job that leaves one file an item, and does to its worker what the item says."""

    folder: Path

    @property
    def key(self) -> str:
        return f"notes {self.folder}"

    def build(self) -> Worker:
        def work(chunk: Chunk, attempt: str) -> dict[str, Any]:
            for item in chunk.items:
                with (self.folder / f"tries-{item}").open("a") as log:
                    log.write(f"{os.getpid()} {len(chunk.items)}\n")
                self._act(str(item))
            for item in chunk.items:
                (self.folder / f"done-{item}").write_text(chunk.id)
            return {"items": list(chunk.items), "pid": os.getpid()}

        return work

    def _act(self, item: str) -> None:
        if item.startswith("poison") or (item.startswith("once") and len(self.tries(item)) == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "glut":
            held = []
            while True:
                held.append(bytearray(b"x") * (64 << 20))
        if item == "vast":
            bytearray(1 << 62)
        if item == "full":
            raise StorageError("disk full")
        if item == "bug":
            raise ZeroDivisionError("oops")

    def tries(self, item: str) -> list[str]:
        return (self.folder / f"tries-{item}").read_text().splitlines()

    def single(self, item: Any) -> Chunk:
        return Chunk(f"only-{item}", (item,), 1.0)

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        done = all((self.folder / f"done-{item}").exists() for item in chunk.items)
        return {"items": list(chunk.items)} if done else None

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        return {"items": list(chunk.items), "crashed": True}


def chunks(*groups: tuple[str, ...]) -> list[Chunk]:
    return [Chunk(f"c{n}", items, float(len(items))) for n, items in enumerate(groups)]


@pytest.fixture(params=["inline", "pool", pytest.param("ray", marks=pytest.mark.ray)])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "inline":
        return InlineEngine()
    if request.param == "pool":
        made: Engine = PoolEngine(2)
    else:
        request.getfixturevalue("ray_cluster")
        made = RayEngine("local", 2)
    request.addfinalizer(made.close)
    return made


def test_every_chunk_is_worked_on_exactly_once(engine: Engine, tmp_path: Path) -> None:
    given = chunks(("a", "b"), ("c",), ("d", "e", "f"), ("g",), ("h",))
    outcomes = list(engine.run(Notes(tmp_path), given))
    assert sorted(o.chunk.id for o in outcomes) == [c.id for c in given]
    assert sorted(i for o in outcomes for i in o.summary["items"]) == list("abcdefgh")
    assert all(len(Notes(tmp_path).tries(i)) == 1 for i in "abcdefgh")


def test_our_errors_end_the_job_and_bugs_bring_their_traceback(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="disk full"):
        list(engine.run(Notes(tmp_path), chunks(("full",))))
    bug = ZeroDivisionError if isinstance(engine, InlineEngine) else WorkerBug
    with pytest.raises(bug, match="oops"):
        list(engine.run(Notes(tmp_path), chunks(("bug",))))


@pytest.fixture(params=["pool", pytest.param("ray", marks=pytest.mark.ray)])
def guarded(request: pytest.FixtureRequest) -> Engine:
    made: Engine
    if request.param == "pool":
        made = PoolEngine(2)
    else:
        request.getfixturevalue("ray_cluster")
        made = RayEngine("local", 2)
    request.addfinalizer(made.close)
    return made


def test_a_poison_item_is_tried_a_bounded_number_of_times_and_costs_nothing_else(
    guarded: Engine, tmp_path: Path
) -> None:
    job = Notes(tmp_path)
    outcomes = list(guarded.run(job, chunks(("a", "poison", "b"), ("c",), ("once",))))
    crashed = [o.summary["items"] for o in outcomes if o.summary.get("crashed")]
    assert crashed == [["poison"]]
    assert sorted(i for o in outcomes for i in o.summary["items"]) == ["a", "b", "c", "once", "poison"]
    assert [line.split()[1] for line in job.tries("poison")] == ["3", "1", "1"], (
        "once in company, twice alone"
    )
    assert [line.split()[1] for line in job.tries("once")] == ["1", "1"]


#: What a worker of these tests may hold: enough for torch and OpenCV, and soon filled.
LITTLE = 2 << 30


@pytest.fixture(params=["pool", pytest.param("ray", marks=pytest.mark.ray)])
def narrow(request: pytest.FixtureRequest) -> Engine:
    if request.param == "pool":
        made: Engine = PoolEngine(1, LITTLE)
    else:
        request.getfixturevalue("ray_cluster")
        made = RayEngine("local", 1, LITTLE)
    request.addfinalizer(made.close)
    return made


@pytest.mark.slow
def test_an_item_that_takes_memory_without_end_costs_itself_alone(narrow: Engine, tmp_path: Path) -> None:
    job = Notes(tmp_path)
    outcomes = list(narrow.run(job, chunks(("a", "glut"), ("vast",))))
    assert sorted(o.summary["items"] for o in outcomes if o.summary.get("crashed")) == [["glut"], ["vast"]]
    assert sorted(i for o in outcomes for i in o.summary["items"]) == ["a", "glut", "vast"]
    assert [len(job.tries(item)) for item in ("glut", "vast")] == [3, 3], "once, and twice alone"


def test_workers_end_with_the_pool_and_are_collected(tmp_path: Path) -> None:
    with PoolEngine(2) as pool:
        pids = {o.summary["pid"] for o in pool.run(Notes(tmp_path), chunks(("a",), ("b",), ("c",)))}
    assert pids
    assert wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), GONE_WITHIN)


def test_auto_takes_the_local_engine_for_few_inputs_and_nothing_in_process_unless_asked() -> None:
    with create_engine("auto", "local", 2, RAY_FROM_INPUTS - 1) as engine:
        assert isinstance(engine, PoolEngine)
    with create_engine("local", "local", 0, 100) as engine:
        assert isinstance(engine, InlineEngine)


def test_auto_stays_in_this_process_where_that_was_asked_for() -> None:
    with create_engine("auto", "local", 0, RAY_FROM_INPUTS) as engine:
        assert isinstance(engine, InlineEngine)


@pytest.mark.ray
def test_auto_takes_ray_for_many(ray_cluster: None) -> None:
    with create_engine("auto", "local", 2, RAY_FROM_INPUTS) as engine:
        assert isinstance(engine, RayEngine)
        assert engine.slots == 2


@pytest.mark.ray
def test_a_cluster_of_this_machine_listens_on_loopback_alone(ray_cluster: None) -> None:
    listening = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        listening |= {row[9]: row[1].rpartition(":")[0] for row in rows if row[3] == "0A"}
    found = [listening[inode] for inode in _sockets(descendants(os.getpid())) if inode in listening]
    assert len(found) > 3
    assert {address[-8:] for address in found} == {"0100007F"}, "127.0.0.1, little-endian"


def _sockets(pids: Iterable[int]) -> set[str]:
    found = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                name = str(descriptor.readlink())
                if name.startswith("socket:["):
                    found.add(name[8:-1])
    return found
