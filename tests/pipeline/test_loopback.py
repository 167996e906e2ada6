"""Ray on one machine needs the loopback interface; where it is down that is said, and `auto` does without Ray."""

from __future__ import annotations

import subprocess
import sys

import pytest
from security.offline import NAMESPACE, SKIP

from ffpipe.manifests.errors import UsageError
from ffpipe.pipeline import loopback
from ffpipe.pipeline.engine import RAY_FROM_INPUTS, PoolEngine, create_engine


def test_where_it_is_up_nothing_is_said() -> None:
    assert loopback.usable()
    loopback.require()


def test_where_it_is_down_ray_is_refused_and_auto_stays_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loopback, "usable", lambda: False)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with pytest.raises(UsageError, match=r"--engine ray: .*ip link set lo up.*--engine local"):
        create_engine("ray", "local", 1, 100)
    with create_engine("auto", "local", 1, RAY_FROM_INPUTS) as engine:
        assert isinstance(engine, PoolEngine)


@pytest.mark.skipif(not NAMESPACE, reason=SKIP)
def test_an_empty_network_namespace_is_told_from_one_with_loopback() -> None:
    code = "from ffpipe.pipeline import loopback; print(loopback.usable())"
    told = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert told.stdout == "False\n"
