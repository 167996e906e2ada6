"""Starting and joining clusters, with Ray's own start replaced; real ones are in tests/security and tests/faults."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ffpipe.manifests.errors import ClusterError, UsageError
from ffpipe.pipeline import ray_access, ray_cluster
from ffpipe.pipeline.ray_cluster import answers, connect


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Ray is started with."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(ray_cluster.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_cluster.ray, "init", lambda **arguments: found.update(arguments))
    return found


@pytest.mark.parametrize(("guarded", "said"), [(True, 0), (False, 1)])
def test_a_cluster_of_ours_is_on_loopback_without_dashboard_and_says_when_it_obeys_anybody(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, guarded: bool, said: int
) -> None:
    monkeypatch.setattr(ray_access, "grant_token", lambda: guarded)
    lines: list[str] = []
    assert connect("local", 3, say=lines.append)
    assert (given["num_cpus"], given["include_dashboard"], given["_node_ip_address"]) == (
        3,
        False,
        "127.0.0.1",
    )
    assert len(lines) == said
    assert all("RAY_AUTH_MODE is not token" in line for line in lines)


def _fail(error: Exception) -> Any:
    def init(**_: Any) -> None:
        raise error

    return init


def test_a_start_that_fails_says_what_does_without_ray(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_access, "grant_token", lambda: True)
    monkeypatch.setattr(ray_cluster.ray, "init", _fail(Exception("timed out during startup")))
    with pytest.raises(ClusterError, match="did not start: timed out during startup; --engine local"):
        connect("local", 2)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("nobody there"), "no Ray cluster there: nobody there"),
        (
            ConnectionError("InvalidAuthToken: missing"),
            "refuses a call without a token; set RAY_AUTH_MODE=token",
        ),
    ],
)
def test_a_cluster_that_cannot_be_joined_is_one_line(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    monkeypatch.setenv(ray_access.MODE, "disabled")
    monkeypatch.setattr(ray_cluster.ray, "init", _fail(error))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(UsageError, match=words):
        connect("auto", 2)


def test_nobody_at_the_address_is_told_at_once(
    given: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"--address 127.0.0.1:1: .*nothing listens at 127.0.0.1:1"):
        connect("127.0.0.1:1", 2)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UsageError, match=r"--address auto: .*nothing listens at 127.0.0.1:1"):
        connect("auto", 2)
    assert given == {}, "Ray was not asked"


def test_a_head_answers_where_something_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(place)
    assert not answers(place)
