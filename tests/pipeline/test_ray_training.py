from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from processes import cmdline, descendants, family_of, wait_until_gone
from training_faces import write_dataset

from ffpipe.manifests.errors import ClusterError, StorageError, UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.models.checkpoint import load
from ffpipe.pipeline import ray_cluster as ray_cluster_module
from ffpipe.pipeline import ray_training
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.ray_cluster import Nodes
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace

#: Options that make sfcl-hcmf small enough for a test.
SMALL = {"input_size": 64, "embed_dim": 64}


def _clips(media: int, part: Split) -> list[tuple[str, Label, Split]]:
    return [(f"{part}{i // 2}", Label(i % 2), part) for i in range(media)]


@pytest.fixture
def workspace(tmp_path):
    write_dataset(tmp_path / "datasets" / "made", [*_clips(8, Split.TRAIN), *_clips(24, Split.VAL)])
    return Workspace(tmp_path)


@pytest.mark.slow
@pytest.mark.ray
def test_ray_train_gives_the_model_of_the_loop_in_process(workspace, ray_cluster):
    settings = {"model": "sfcl-hcmf", "recipe": "quick", "options": SMALL, "epochs": 1, "limit": 16}
    said: list[str] = []
    there = train(TrainConfig(**settings, engine="ray"), workspace, said.append)
    torch.set_num_threads(1)
    here = train(TrainConfig(**settings, engine="local"), workspace, lambda line: None)
    assert there.metrics["history"] == here.metrics["history"]
    assert load(there.directory).model_id == load(here.directory).model_id
    assert any("will take about" in line for line in said)
    assert any(line.startswith("epoch 1: train loss") for line in said)


@pytest.mark.ray
@pytest.mark.slow
def test_what_stops_a_ray_worker_reaches_the_user_as_it_was(workspace, ray_cluster):
    config = TrainConfig(
        model="sfcl-hcmf", recipe="quick", options=SMALL, epochs=1, limit=16, learning_rate=1e30, engine="ray"
    )
    with pytest.raises(UsageError, match=r"--learning-rate"):
        train(config, workspace, lambda line: None)


@pytest.mark.ray
@pytest.mark.slow
def test_two_ranks_share_the_faces_and_train_one_model(workspace, ray_cluster):
    config = TrainConfig(
        model="sfcl-hcmf", recipe="quick", options=SMALL, epochs=2, limit=32, num_workers=2, engine="ray"
    )
    result = train(config, workspace, lambda line: None)
    assert len(result.metrics["history"]) == 2
    assert load(result.directory).model_id
    with pytest.raises(UsageError, match="2 cores"):
        train(config.model_copy(update={"num_workers": 3}), workspace, lambda line: None)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_rank_is_restarted_and_the_curve_is_the_same(workspace, ray_cluster, workers):
    settings = {
        "model": "sfcl-hcmf",
        "recipe": "quick",
        "options": SMALL,
        "epochs": 6,
        "limit": 32,
        "engine": "ray",
        "num_workers": workers,
    }
    whole = train(TrainConfig(**settings), workspace, lambda line: None)
    killed: list[int] = []

    def kill(done, total, text):
        if done >= 6 and not killed:
            killed.append(_kill_rank())

    result = train(TrainConfig(**settings), workspace, lambda line: None, kill)
    assert killed
    assert len(result.metrics["history"]) == len(whole.metrics["history"]) == 6
    if workers == 1:
        assert result.metrics["history"] == whole.metrics["history"]
        assert load(result.directory).model_id == load(whole.directory).model_id
    for found, wanted in zip(result.metrics["history"], whole.metrics["history"], strict=True):
        # Ranks sum their gradients in an order that may differ from run to run.
        assert _figures(found) == pytest.approx(_figures(wanted), rel=1e-4, nan_ok=True)


def _figures(entry: dict[str, float | None]) -> dict[str, float]:
    """An epoch's figures; one that is undefined is no number, so that it has to be undefined in both."""
    return {name: math.nan if value is None else value for name, value in entry.items()}


def _kill_rank() -> int:
    """kill -9 of one training worker below this process."""
    pid = max(_ranks(os.getpid()))
    os.kill(pid, signal.SIGKILL)
    return pid


def _ranks(ancestor: int) -> list[int]:
    """Training workers below a process. Ray's own agents, which notice a death later, are not among them."""
    return [pid for pid in descendants(ancestor) if cmdline(pid).startswith(b"ray::RayTrainWorker")]


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_driver_leaves_no_worker_and_the_same_command_goes_on(workspace):
    code = """
import sys
from pathlib import Path
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.train import train
from ffpipe.pipeline.workspace import Workspace
config = TrainConfig(model="sfcl-hcmf", recipe="quick", options={"input_size": 64, "embed_dim": 64}, epochs=8, limit=32)
train(config, Workspace(Path(sys.argv[1])), print, lambda done, total, text: print("step", done, flush=True))
"""
    driver = subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.root)], stdout=subprocess.PIPE, text=True
    )
    assert driver.stdout is not None
    while not _far_enough(driver.stdout.readline()):
        assert driver.poll() is None
    assert _ranks(driver.pid)
    family = family_of(driver.pid)
    driver.kill()
    driver.wait()
    driver.stdout.close()
    assert not wait_until_gone(family)
    done = subprocess.run(
        [sys.executable, "-c", code, str(workspace.root)], capture_output=True, text=True, timeout=500
    )
    assert "going on with the interrupted run" in done.stdout, done.stderr
    assert done.returncode == 0, done.stderr
    settings = {
        "model": "sfcl-hcmf",
        "recipe": "quick",
        "options": SMALL,
        "epochs": 8,
        "limit": 32,
        "engine": "local",
    }
    whole = train(TrainConfig(**settings), workspace, lambda line: None)
    resumed = load(workspace.model_run("sfcl-hcmf", "quick-001"))
    assert resumed.metrics["history"] == whole.metrics["history"]


def _far_enough(line: str) -> bool:
    return line.startswith("step ") and int(line.split()[1]) >= 6


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_in_words_and_its_workers_with_it(workspace, number):
    command = [sys.executable, "-m", "ffpipe", "train", "--workspace", str(workspace.root)]
    command += ["--model", "sfcl-hcmf", "--recipe", "quick", "--epochs", "200", "--limit", "32"]
    command += [part for name, value in SMALL.items() for part in ("--set", f"model.{name}={value}")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("epoch 1:"):
        assert process.poll() is None
    family = family_of(process.pid)
    assert _ranks(process.pid)
    # A terminal sends SIGINT to every process of its group.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on from here"
    assert "Traceback" not in said
    assert not wait_until_gone(family)
    assert (workspace.model_run("sfcl-hcmf", "quick-001") / "state" / "state.json").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_what_no_restart_mends_is_not_tried_again(workspace, ray_cluster, workers):
    folder = workspace.model_run("sfcl-hcmf", "mine")
    folder.mkdir(parents=True)
    (folder / "tensorboard").write_text("a file where a folder belongs")
    config = TrainConfig(
        model="sfcl-hcmf", recipe="quick", options=SMALL, epochs=1, limit=32, num_workers=workers, run="mine"
    )
    said: list[str] = []
    with pytest.raises(StorageError, match=r"tensorboard: File exists$"):
        train(config, workspace, said.append)
    assert len([line for line in said if "will take about" in line]) == 1


@pytest.mark.ray
def test_a_cluster_that_stays_too_small_ends_the_training_in_words(ray_cluster, monkeypatch):
    class Waiting:
        """A trainer that Ray gives no worker."""

        def fit(self):
            time.sleep(1)

    monkeypatch.setattr(ray_cluster_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ray_cluster_module, "NODE_PATIENCE", 0.1)
    with pytest.raises(ClusterError, match=r"fewer cores than the job needs \(2 of 3\)"):
        ray_training._fit(Waiting(), Nodes(3))
    ray_training._fit(Waiting(), Nodes(2))
