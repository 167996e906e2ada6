"""Nodes of a Ray cluster that leave and join during a job: every row is there, as an uninterrupted run has it.

All nodes are on this machine, so they share the workspace, which is what the engine asks of a real cluster.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from processes import children_of, cmdline, wait_until
from ray_host import RayHost
from whole_jobs import assert_same, extract_job

pytestmark = [pytest.mark.slow, pytest.mark.ray]

JOB = extract_job()
WAIT = 240
#: The command, with less patience for a cluster without a core, and looks that do not let the job end before them.
IMPATIENT = (
    "from ffpipe.pipeline import ray_cluster, ray_engine\n"
    "ray_cluster.NODE_PATIENCE, ray_cluster.LOOK_SECONDS, ray_engine.WAIT_SECONDS = 5.0, 0.1, 0.1\n"
    "from ffpipe.pipeline.cli import main; main()"
)


class Running:
    """An extraction on a cluster."""

    def __init__(self, host: RayHost, source: Path, home: Path) -> None:
        self._home = home
        self._before = JOB.progress(home)
        self._process = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, *JOB.arguments(source, home, "ray"), "--address", host.address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=host.environment,
        )

    def until(self, commits: int) -> None:
        """Wait until this run has committed so many chunks."""
        assert wait_until(
            lambda: JOB.progress(self._home) >= self._before + commits or self._process.poll() is not None,
            WAIT,
        )
        assert self._process.poll() is None, self._process.communicate()

    def end(self) -> tuple[int, str, str]:
        """Exit code, standard output and what was said."""
        try:
            out, said = self._process.communicate(timeout=WAIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"it does not end: {self._process.communicate()[1]}") from None
        return self._process.returncode, out, said


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayHost]:
    """A first node with a core, and two more nodes."""
    with RayHost(cores=1) as host:
        host.order("add one")
        host.order("add two")
        yield host


def test_a_node_leaves_and_another_joins_and_is_used(
    cluster: RayHost, source: Path, tmp_path: Path, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    running = Running(cluster, source, tmp_path)
    running.until(1)
    cluster.order("kill one")
    raylet = int(cluster.order("add three"))
    assert wait_until(
        lambda: any(cmdline(pid).startswith(b"ray::_work") for pid in children_of(raylet)), WAIT
    )
    code, out, said = running.end()
    assert code == 0, said
    assert out == "", "what befell Ray's processes is no data"
    assert_same(JOB.outcome(tmp_path), uninterrupted)


def test_all_nodes_but_the_first_leave(
    cluster: RayHost, source: Path, tmp_path: Path, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    running = Running(cluster, source, tmp_path)
    running.until(1)
    cluster.order("kill two")
    cluster.order("kill three")
    code, _, said = running.end()
    assert code == 0, said
    assert_same(JOB.outcome(tmp_path), uninterrupted)


def test_the_loss_of_the_drivers_own_raylet_is_told_and_a_resume_is_exact(
    cluster: RayHost, source: Path, tmp_path: Path, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    running = Running(cluster, source, tmp_path)
    running.until(1)
    cluster.order("kill-raylet")
    code, out, said = running.end()
    assert (code, out) == (74, ""), said
    assert "error: Ray's process for this machine (raylet) ended; what is committed stays" in said
    assert "Traceback" not in said
    assert_same(JOB.finish(source, tmp_path), uninterrupted)


def test_a_cluster_without_a_core_or_without_a_head_ends_the_job_in_words(
    source: Path, tmp_path: Path, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    with RayHost(cores=0) as host:
        host.order("add one")
        running = Running(host, source, tmp_path)
        running.until(1)
        host.order("kill one")
        code, _, said = running.end()
        assert code == 74, said
        assert "the Ray cluster has had fewer cores than the job needs (0 of 1) for" in said
        host.order("add two")
        running = Running(host, source, tmp_path)
        running.until(1)
        host.order("kill-head")
        code, _, said = running.end()
        assert code == 74, said
        assert "does not answer; what is committed stays" in said
    assert_same(JOB.finish(source, tmp_path), uninterrupted)


def test_a_cluster_that_asks_for_no_token_is_used_with_a_warning(
    source: Path, tmp_path: Path, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    with RayHost(cores=1, token=None) as host:
        code, _, said = Running(host, source, tmp_path).end()
    assert code == 0, said
    assert "asks for no token: whoever reaches its ports runs code on it" in said
    assert_same(JOB.outcome(tmp_path), uninterrupted)
