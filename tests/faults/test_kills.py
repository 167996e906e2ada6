"""Kills of workers and of the driver during extract: after a resume the rows equal an uninterrupted run's."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from media import make_face_clip
from processes import cmdline, descendants, gone, wait_until, workers_of

from ffpipe.manifests.shards import ShardGroup

CLIPS = 8


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("set") / "set"
    for number in range(CLIPS):
        make_face_clip(root / ("real", "fake")[number % 2] / f"{number}.mp4", seconds=1.2, seed=number)
    return root


def command(tree: Path, home: Path, engine: str) -> list[str]:
    return [
        sys.executable, "-m", "ffpipe", "extract", str(tree), "--workspace", str(home),
        "--engine", engine, "--workers", "2", "--frames", "12",
    ]  # fmt: skip


def tables(home: Path) -> list[pd.DataFrame]:
    group = ShardGroup(home / "datasets" / "set", "media", ["faces"])
    keys = {"media": "path", "faces": "face_id"}
    return [group.read(t).to_pandas().sort_values(k).reset_index(drop=True) for t, k in keys.items()]


@pytest.fixture(scope="module")
def uninterrupted(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> list[pd.DataFrame]:
    home = tmp_path_factory.mktemp("whole")
    subprocess.run(command(tree, home, "local"), check=True, capture_output=True)
    whole = tables(home)
    assert len(whole[0]) == CLIPS
    assert len(whole[1]) == CLIPS * 12
    return whole


def assert_equal(home: Path, wanted: list[pd.DataFrame]) -> None:
    for found, expected in zip(tables(home), wanted, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    leftovers = [p for p in (home / "datasets/set").glob("*/_tmp/*")]
    assert leftovers == []


def commits(home: Path) -> int:
    return len(list((home / "datasets/set/media/_commits").glob("*.json")))


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_killed_driver_leaves_no_process_and_loses_nothing(
    tree: Path, tmp_path: Path, engine: str, uninterrupted: list[pd.DataFrame]
) -> None:
    driver = subprocess.Popen(command(tree, tmp_path, engine), stderr=subprocess.DEVNULL)
    wait_until(lambda: commits(tmp_path) >= 2 or driver.poll() is not None)
    # Ray's own two agents hold no work and notice their raylet's end by themselves, half a minute later.
    family = {pid for pid in descendants(driver.pid) if b"Agent" not in cmdline(pid)}
    assert family, "the driver has workers"
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = commits(tmp_path)
    assert 2 <= done < CLIPS, "killed in the middle"
    assert gone(family)
    resumed = subprocess.run(command(tree, tmp_path, "local"), capture_output=True, text=True, check=True)
    assert "done before" in resumed.stderr
    assert_equal(tmp_path, uninterrupted)


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_killed_worker_costs_nothing(
    tree: Path, tmp_path: Path, engine: str, uninterrupted: list[pd.DataFrame]
) -> None:
    driver = subprocess.Popen(command(tree, tmp_path, engine), stderr=subprocess.PIPE, text=True)
    killed = 0
    rng = random.Random(0)
    while driver.poll() is None and killed < 2:
        time.sleep(0.05)
        found = workers_of(driver.pid)
        if found and commits(tmp_path) >= killed + 1:
            os.kill(rng.choice(found), signal.SIGKILL)
            killed += 1
    _, said = driver.communicate(timeout=200)
    assert killed == 2, said
    assert driver.returncode == 0, said
    assert_equal(tmp_path, uninterrupted)


@pytest.mark.parametrize(
    ("engine", "number"),
    [("local", signal.SIGINT), pytest.param("ray", signal.SIGTERM, marks=pytest.mark.ray)],
)
def test_an_interrupt_ends_with_130_and_a_line_on_how_to_resume(
    tree: Path, tmp_path: Path, engine: str, number: int, uninterrupted: list[pd.DataFrame]
) -> None:
    driver = subprocess.Popen(command(tree, tmp_path, engine), stderr=subprocess.PIPE, text=True)
    wait_until(lambda: commits(tmp_path) >= 1 or driver.poll() is not None)
    family = {pid for pid in descendants(driver.pid) if b"Agent" not in cmdline(pid)}
    driver.send_signal(number)
    _, said = driver.communicate(timeout=60)
    assert driver.returncode == 130, said
    assert said.count("run the same command again") == 1
    assert "Traceback" not in said
    assert gone(family)
    subprocess.run(command(tree, tmp_path, "local"), check=True, capture_output=True)
    assert_equal(tmp_path, uninterrupted)


@pytest.mark.slow
def test_twenty_kills_of_the_driver_at_random_points(
    tree: Path, tmp_path: Path, uninterrupted: list[pd.DataFrame]
) -> None:
    rng = random.Random(1)
    for _ in range(20):
        driver = subprocess.Popen(command(tree, tmp_path, "local"), stderr=subprocess.DEVNULL)
        try:
            driver.wait(timeout=rng.uniform(0.5, 9))
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
    subprocess.run(command(tree, tmp_path, "local"), check=True, capture_output=True)
    assert_equal(tmp_path, uninterrupted)
