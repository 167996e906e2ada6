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
from media import make_face_clip
from processes import family_of, wait_until, wait_until_gone, workers_of
from whole_jobs import assert_same, extract_job

CLIPS = 8
JOB = extract_job()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set") / "set"
    for number in range(CLIPS):
        make_face_clip(root / ("real", "fake")[number % 2] / f"{number}.mp4", seconds=1.2, seed=number)
    return root


@pytest.fixture(scope="module")
def uninterrupted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    home = tmp_path_factory.mktemp("whole")
    subprocess.run(JOB.command(tree, home), check=True, capture_output=True)
    whole = JOB.outcome(home)
    assert len(whole["media"]) == CLIPS
    assert len(whole["faces"]) == CLIPS * 8
    return whole


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_killed_driver_leaves_no_process_and_loses_nothing(
    tree: Path, tmp_path: Path, engine: str, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = subprocess.Popen(JOB.command(tree, tmp_path, engine), stderr=subprocess.DEVNULL)
    wait_until(lambda: JOB.progress(tmp_path) >= 2 or driver.poll() is not None)
    family = family_of(driver.pid)
    assert family, "the driver has workers"
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = JOB.progress(tmp_path)
    assert 2 <= done < CLIPS, "killed in the middle"
    assert not wait_until_gone(family)
    resumed = subprocess.run(JOB.command(tree, tmp_path), capture_output=True, text=True, check=True)
    assert "done before" in resumed.stderr
    assert_same(JOB.outcome(tmp_path), uninterrupted)


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        ("local", signal.SIGKILL),
        pytest.param("ray", signal.SIGKILL, marks=[pytest.mark.ray, pytest.mark.slow]),
        pytest.param("local", signal.SIGSTOP, marks=pytest.mark.slow),
        pytest.param("ray", signal.SIGSTOP, marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def test_a_killed_worker_costs_nothing_and_a_stopped_one_a_minute(
    tree: Path, tmp_path: Path, engine: str, number: int, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = subprocess.Popen(JOB.command(tree, tmp_path, engine), stderr=subprocess.PIPE, text=True)
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


@pytest.mark.parametrize(
    ("engine", "number"),
    [
        ("local", signal.SIGINT),
        pytest.param("ray", signal.SIGTERM, marks=[pytest.mark.ray, pytest.mark.slow]),
    ],
)
def test_an_interrupt_ends_with_130_and_a_line_on_how_to_resume(
    tree: Path, tmp_path: Path, engine: str, number: int, uninterrupted: dict[str, pd.DataFrame]
) -> None:
    driver = subprocess.Popen(JOB.command(tree, tmp_path, engine), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: JOB.progress(tmp_path) >= 1 or driver.poll() is not None)
    family = family_of(driver.pid)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=600)
    assert driver.returncode == 130, said
    assert said.count("run the same command again") == 1
    assert "Traceback" not in said
    assert not wait_until_gone(family)
    subprocess.run(JOB.command(tree, tmp_path), check=True, capture_output=True)
    assert_same(JOB.outcome(tmp_path), uninterrupted)
