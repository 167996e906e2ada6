"""Kills of workers and of the driver during extract: after a resume the rows equal an uninterrupted run's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest
from processes import family_of, wait_until_gone, workers_of
from whole_jobs import assert_same, extract_job

JOB = extract_job()


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_killed_driver_leaves_no_process_and_loses_nothing(
    source: Path, tmp_path: Path, engine: str, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = JOB.underway(source, tmp_path, engine, commits=2)
    family = family_of(driver.pid)
    assert family, "the driver has workers"
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    done = JOB.progress(tmp_path)
    assert 2 <= done < 8, "killed in the middle"
    assert not wait_until_gone(family)
    assert_same(JOB.finish(source, tmp_path), uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_worker_costs_nothing_and_a_stopped_one_a_minute(
    source: Path, tmp_path: Path, engine: str, number: int, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = subprocess.Popen(JOB.command(source, tmp_path, engine), stderr=subprocess.PIPE, text=True)
    killed = 0
    rng = random.Random(0)
    while driver.poll() is None and killed < 2:
        time.sleep(0.05)
        found = workers_of(driver.pid)
        if found and JOB.progress(tmp_path) >= killed + 1:
            os.kill(rng.choice(found), number)
            killed += 1
    _, said = driver.communicate(timeout=500)
    assert killed == 2, said
    assert driver.returncode == 0, said
    assert_same(JOB.outcome(tmp_path), uninterrupted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "number"),
    [("local", signal.SIGINT), pytest.param("ray", signal.SIGTERM, marks=pytest.mark.ray)],
)
def test_an_interrupt_ends_with_130_and_a_line_on_how_to_resume(
    source: Path, tmp_path: Path, engine: str, number: int, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = JOB.underway(source, tmp_path, engine)
    family = family_of(driver.pid)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == 130, said
    assert said.count("run the same command again") == 1
    assert "Traceback" not in said
    assert not wait_until_gone(family)
    assert_same(JOB.finish(source, tmp_path), uninterrupted)
