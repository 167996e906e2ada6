"""Fixtures that several test files share: the Ray cluster of the session, and the real clips where they are."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ffpipe.pipeline.environment import prepare

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Ray's workers and the programs of tests import what test files share: they are told where it is, as pytest is.
os.environ["PYTHONPATH"] = os.pathsep.join(
    part for part in (str(Path(__file__).parent), os.environ.get("PYTHONPATH")) if part
)
# How long an example takes says how busy the machine is.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
# A shell starts what runs in its background with SIGINT ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Test files import Ray when they are collected, and Ray reads this then.
prepare("local")


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """One local cluster of two cores for the whole session: starting one takes seconds."""
    ray = pytest.importorskip("ray")
    from ffpipe.pipeline.ray_cluster import connect

    connect("local", 2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips; tests that need it carry the marker `data` and skip without it."""
    folder = os.environ.get("FFPIPE_TEST_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FFPIPE_TEST_DATA names no folder of clips")
    return Path(folder)
