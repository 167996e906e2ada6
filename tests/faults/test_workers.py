"""Media that end or fill their worker, and drivers that are killed: on both engines, through the commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from media import make_face_clip, make_flat_clip
from processes import cmdline, family_of, wait_until, wait_until_gone, workers_of
from small_weights import make_linear_weights

pytestmark = pytest.mark.slow

ENGINES = ["local", pytest.param("ray", marks=pytest.mark.ray)]
#: Read by every Python that starts with its folder on the path: what a worker does with pictures of one colour.
POISON = """
import importlib.machinery, os, signal, sys

def poisoned(signature):
    def look(rgb):
        if rgb.mean() > 250:
            held = []
            while True:
                held.append(bytearray(b"x") * (64 << 20))
        if rgb.mean() < 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return signature(rgb)
    return look

class Finder(importlib.machinery.PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "ffpipe.stages.faces":
            return None
        spec = super().find_spec(name, path, target)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            module.frame_signature = poisoned(module.frame_signature)
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder)
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "videos"
    for number in range(2):
        make_face_clip(folder / f"good{number}.mp4", seconds=0.4, seed=number)
    make_flat_clip(folder / "white.mp4", 255)
    make_flat_clip(folder / "black.mp4", 0)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_linear_weights(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture
def poison(tmp_path: Path) -> dict[str, str]:
    """An environment in which the clips of one colour end their workers."""
    (tmp_path / "poison").mkdir()
    (tmp_path / "poison" / "sitecustomize.py").write_text(POISON)
    path = os.pathsep.join([str(tmp_path / "poison"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)}


def command(job: str, videos: Path, home: Path, engine: str) -> list[str]:
    how = ["--workspace", str(home), "--frames", "6", "--engine", engine, "--workers", "2"]
    return [sys.executable, "-m", "ffpipe", job, str(videos), *how, "--worker-memory", "2"]


@pytest.mark.parametrize("engine", ENGINES)
def test_media_that_fill_or_end_their_worker_cost_themselves_alone(
    videos: Path, weights: Path, tmp_path: Path, poison: dict[str, str], engine: str
) -> None:
    given = [*command("score", videos, tmp_path / "ws", engine), "--weights", str(weights), "--json"]
    done = subprocess.run(given, env=poison, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    rows = {Path(row["path"]).name: row for row in json.loads(done.stdout)["rows"]}
    assert {name: row["status"] for name, row in rows.items()} == {
        "good0.mp4": "ok",
        "good1.mp4": "ok",
        "white.mp4": "crashed",
        "black.mp4": "crashed",
    }
    for name in ("white.mp4", "black.mp4"):
        assert rows[name]["verdict"] == "not_assessable"
        assert "--worker-memory" in rows[name]["reason"]
        assert "tried again alone" in rows[name]["reason"]
    # Without what poisoned them they are media like others.
    healed = subprocess.run([*given, "--retry-failed"], capture_output=True, text=True, check=True)
    assert {row["status"] for row in json.loads(healed.stdout)["rows"]} == {"ok", "no_face"}


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_outlives_a_killed_scoring(videos: Path, weights: Path, tmp_path: Path, engine: str) -> None:
    given = [*command("score", videos, tmp_path / "ws", engine), "--weights", str(weights)]
    driver = subprocess.Popen(given, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    assert wait_until(lambda: bool(workers_of(driver.pid)) or driver.poll() is not None)
    family = family_of(driver.pid)
    assert family, "the driver has workers"
    driver.kill()
    driver.wait()
    left = wait_until_gone(family)
    assert not [cmdline(one.pid) for one in left]
