"""How the Ray engine takes what Ray raises; nodes that are really lost are in tests/faults/test_ray_nodes.py."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
import ray.exceptions

from ffpipe.manifests.errors import ClusterError
from ffpipe.pipeline import ray_cluster, ray_engine
from ffpipe.pipeline.engine import RETRIES_ALONE, Chunk, Outcome, Worker
from ffpipe.pipeline.ray_engine import NODE_LOSSES, RayEngine

pytestmark = pytest.mark.ray


class Echo:
    """A job that commits nothing."""

    key = "echo"

    def build(self) -> Worker:
        return lambda chunk, attempt: {"items": list(chunk.items)}

    def single(self, item: Any) -> Chunk:
        return Chunk(f"only-{item}", (item,), 1.0)

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        return None

    def poisoned(self, chunk: Chunk, attempt: str) -> dict[str, Any]:
        return {"items": list(chunk.items), "crashed": True}


class Committed(Echo):
    """A job whose chunks turn out to be committed."""

    def committed(self, chunk: Chunk) -> dict[str, Any] | None:
        return {"items": list(chunk.items), "found": True}


@pytest.fixture
def engine(ray_cluster: None) -> Iterator[RayEngine]:
    with RayEngine("local", 2) as made:
        yield made


@pytest.fixture
def losses(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception, int], Counter[str]]:
    """Have Ray raise an error for the chunks that hold "x", the first so many times; counts them."""
    seen: Counter[str] = Counter()
    get = ray.get

    def install(error: Exception, times: int) -> Counter[str]:
        def lossy(reference: Any) -> Any:
            result = get(reference)
            if "x" in result["items"]:
                seen["x"] += 1
                if seen["x"] <= times:
                    raise error
            return result

        monkeypatch.setattr(ray_engine.ray, "get", lossy)
        return seen

    return install


LOST = ray.exceptions.NodeDiedError("gone")
SHORT = ray.exceptions.OutOfMemoryError("the node is short of memory")
CHUNKS = [Chunk("c0", ("a",), 1.0), Chunk("c1", ("x",), 1.0)]


def run(engine: RayEngine, job: Echo) -> dict[str, dict[str, Any]]:
    outcomes: list[Outcome] = list(engine.run(job, CHUNKS))
    assert len(outcomes) == 2
    return {o.summary["items"][0]: o.summary for o in outcomes}


@pytest.mark.parametrize("error", [LOST, SHORT])
def test_a_lost_node_is_not_held_against_a_medium(engine: RayEngine, losses: Any, error: Exception) -> None:
    seen = losses(error, NODE_LOSSES)
    assert not run(engine, Echo())["x"].get("crashed")
    assert seen["x"] == NODE_LOSSES + 1


@pytest.mark.parametrize("error", [LOST, SHORT])
def test_a_medium_that_takes_every_node_with_it_is_tried_a_bounded_number_of_times(
    engine: RayEngine, losses: Any, error: Exception
) -> None:
    seen = losses(error, 10**6)
    summaries = run(engine, Echo())
    assert summaries["x"]["crashed"]
    assert not summaries["a"].get("crashed")
    assert seen["x"] == (NODE_LOSSES + 1) * (1 + RETRIES_ALONE)


def test_what_a_lost_node_had_committed_is_not_done_again(engine: RayEngine, losses: Any) -> None:
    seen = losses(LOST, 10**6)
    assert run(engine, Committed())["x"]["found"]
    assert seen["x"] == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ray.exceptions.LocalRayletDiedError(), r"\(raylet\) ended; what is committed stays"),
        (ray.exceptions.RaySystemError("store"), r"Ray failed: RaySystemError: .*; what is committed stays"),
    ],
)
def test_a_cluster_that_breaks_ends_the_job_in_one_line(
    engine: RayEngine, losses: Any, error: Exception, words: str
) -> None:
    losses(error, 1)
    with pytest.raises(ClusterError, match=words) as caught:
        run(engine, Echo())
    assert caught.value.exit_code == 74


def test_no_wait_is_endless(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(ray_cluster, "NODE_PATIENCE", 0.0)
    monkeypatch.setattr(ray_engine.ray, "cluster_resources", dict)
    monkeypatch.setattr(ray_engine.ray, "wait", lambda references, **_: ([], references))
    with pytest.raises(ClusterError, match=r"fewer cores than the job needs \(0 of 1\)"):
        run(engine, Echo())


def test_a_head_that_does_not_answer_ends_the_job(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_cluster, "answers", lambda head: False)
    monkeypatch.setattr(ray_engine.ray, "wait", lambda references, **_: ([], references))
    with pytest.raises(ClusterError, match=r"head at .* does not answer"):
        run(engine, Echo())


def test_a_question_that_stays_open_ends_the_job(engine: RayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_cluster, "ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(ray_engine.ray, "cluster_resources", lambda: {"CPU": 2.0 * asked.wait()})
    monkeypatch.setattr(ray_engine.ray, "wait", lambda references, **_: ([], references))
    try:
        with pytest.raises(ClusterError, match=r"head at .* does not answer"):
            run(engine, Echo())
    finally:
        asked.set()


@pytest.mark.usefixtures("ray_cluster")
def test_slots_follow_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_cluster, "LOOK_SECONDS", 0.0)
    with RayEngine("auto", 2) as engine:
        assert engine.slots == 2
        monkeypatch.setattr(ray_engine.ray, "cluster_resources", lambda: {"CPU": 5.0})
        while engine.slots != 5:
            run(engine, Echo())
    with RayEngine("local", 2) as engine:
        assert engine.slots == 2, "never more than were asked for"
