"""Faults during training: kills at random points, a full disk under the checkpoint, signals, two runs at once."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from training_faces import write_dataset

from ffpipe.manifests.records import Label, Split

pytestmark = pytest.mark.slow

KILLS = 20

#: Forks a training process and kills it after so many steps and seconds, again and again; then trains to the end.
RANDOM_KILLS = """
import json, os, signal, sys, time
from pathlib import Path
import torch
from ffpipe.pipeline import training_state
from ffpipe.pipeline.training_loop import Observer
from training_faces import make_loop

torch.set_num_threads(1)
folder, whole, kills = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
EPOCHS = 12

class Tell(Observer):
    def __init__(self, end):
        self.end = end

    def step(self, progress, total_step):
        os.write(self.end, b"x")

reached = []
for steps, seconds in kills:
    mine, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        make_loop(folder, Tell(theirs), epochs=EPOCHS).run()
        os._exit(0)
    for _ in range(steps):
        os.read(mine, 1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    os.close(mine), os.close(theirs)
    position = training_state.load(folder)
    reached.append(0 if position is None else len(position[0].losses))
result, wanted = (make_loop(place, epochs=EPOCHS).run() for place in (folder, whole))
weights = [training_state.read_tensors(r.best_weights) for r in (result, wanted)]
print(json.dumps({
    "reached": reached,
    "steps": len(wanted.losses),
    "losses": result.losses == wanted.losses,
    "history": result.history == wanted.history,
    "weights": all(weights[0][name].equal(weights[1][name]) for name in weights[1]),
}))
"""


def test_twenty_kills_at_random_points_give_the_curve_of_an_uninterrupted_run(tmp_path: Path) -> None:
    rng = random.Random(3)
    # A save takes most of a step's time here, so that kills fall into saves too.
    kills = [(rng.randint(1, 8), rng.uniform(0, 0.05)) for _ in range(KILLS)]
    given = [str(tmp_path / "killed"), str(tmp_path / "whole"), json.dumps(kills)]
    done = subprocess.run([sys.executable, "-c", RANDOM_KILLS, *given], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["reached"] == sorted(found["reached"]), "no state is lost"
    assert len(found["reached"]) == KILLS
    assert found["reached"][0] < found["reached"][-1] < found["steps"]
    assert [found[name] for name in ("losses", "history", "weights")] == [True] * 3


def _clips(media: int, part: Split) -> list[tuple[str, Label, Split]]:
    return [(f"{part}{i // 2}", Label(i % 2), part) for i in range(media)]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_dataset(tmp_path / "ws" / "datasets" / "made", [*_clips(8, Split.TRAIN), *_clips(24, Split.VAL)])
    return tmp_path / "ws"


#: The command line with a detector that trains in milliseconds, each step of which is told; one may last.
COMMAND = """
import os, sys, time
import training_faces
from ffpipe.models import registry
from ffpipe.pipeline import training_job, training_loop
registry._DETECTORS["tiny"] = training_faces.Tiny
training_job.SAVE_SECONDS = 0.0
step = training_loop.TrainingLoop._step
def told(self, batch):
    step(self, batch)
    print("step", len(self.position.losses), flush=True)
    if len(self.position.losses) == int(os.environ["HOLD_AT"]):
        time.sleep(600)
training_loop.TrainingLoop._step = told
from ffpipe.pipeline.cli import main, run
"""
TRAIN = [
    "train", "--model", "tiny", "--engine", "local", "--recipe", "quick", "--epochs", "4", "--learning-rate", "0.01",
]  # fmt: skip


def train(home: Path, run: str, hold_at: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND + "main()", *TRAIN, "--workspace", str(home), "--run", run],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "HOLD_AT": str(hold_at)},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, said = process.communicate(timeout=500)
    return process.returncode, out, said


def model(home: Path, run: str) -> tuple[list[dict[str, object]], bytes]:
    """The curve and the weights of a finished run."""
    folder = home / "models" / "tiny" / run
    return (
        json.loads((folder / "metrics.json").read_text())["history"],
        (folder / "model.safetensors").read_bytes(),
    )


def until_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout is not None
    while process.stdout.readline() != f"step {step}\n":
        assert process.poll() is None, process.communicate()


def test_signals_and_a_second_run_during_training_cost_nothing(home: Path) -> None:
    code, out, said = finish(train(home, "whole"))
    assert code == 0, said
    steps = out.count("step ")
    running = train(home, "mine", hold_at=2)
    until_step(running, 2)
    code, _, said = finish(train(home, "mine"))
    assert code == 2, said
    assert "ffpipe: error: " in said.splitlines()[-1]
    assert "mine" in said.splitlines()[-1]
    running.send_signal(signal.SIGINT)
    code, _, said = finish(running)
    assert code == 130, said
    assert said.splitlines()[-1] == "interrupted; run the same command again to go on from here"
    assert "Traceback" not in said
    again = train(home, "mine", hold_at=steps // 2)
    until_step(again, steps // 2)
    again.send_signal(signal.SIGTERM)
    code, _, said = finish(again)
    assert code == 130, said
    assert "Traceback" not in said
    code, _, said = finish(train(home, "mine"))
    assert code == 0, said
    assert "going on with the interrupted run" in said
    assert model(home, "mine") == model(home, "whole")


#: Trains on a small file system that is filled before the third checkpoint, then emptied.
FULL_DISK = (
    COMMAND
    + """
import hashlib, json
from pathlib import Path
from ffpipe.pipeline import training_state
home, arguments = Path(sys.argv[1]), sys.argv[2:]
ballast, saves, save = home / "models" / "ballast", [], training_state.save
def files():
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in (home / "models").rglob("state*.*")}
def fill(*given):
    saves.append(None)
    if len(saves) == 3:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError as error:
                assert error.errno == 28
        saves.append(files())
    save(*given)
training_state.save = fill
first = run(arguments)
kept = files() == saves[3]
ballast.unlink()
print(json.dumps({"first": first, "kept": kept, "second": run(arguments)}))
"""
)


def test_a_disk_that_fills_under_a_checkpoint_keeps_the_old_one_and_the_run_goes_on(home: Path) -> None:
    code, _, said = finish(train(home, "whole"))
    assert code == 0, said
    (whole,) = [model(home, "whole")]
    shutil.rmtree(home / "models")
    (home / "models").mkdir()
    arguments = [*TRAIN, "--workspace", str(home), "--run", "small"]
    script = (
        'mount -t tmpfs -o size=8m none "$1/models" && shift && "$@" && cp -r "$HOME_OF_RUN/models" "$KEPT"'
    )
    kept = home.parent / "kept"
    space = ["unshare", *(["-m"] if os.geteuid() == 0 else ["-rm"])]
    probe = subprocess.run([*space, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if probe.returncode != 0:
        pytest.skip(f"this machine mounts no file system in a namespace: {probe.stderr.strip()}")
    done = subprocess.run(
        [*space, "sh", "-c", script, "sh", str(home), sys.executable, "-c", FULL_DISK, str(home), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HOLD_AT": "0", "HOME_OF_RUN": str(home), "KEPT": str(kept)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {"first": 74, "kept": True, "second": 0}
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("ffpipe: error: ")]
    assert "No space left on device" in line
    assert "state" in line
    assert "Traceback" not in done.stderr
    history = json.loads((kept / "tiny/small/metrics.json").read_text())["history"]
    assert (history, (kept / "tiny/small/model.safetensors").read_bytes()) == whole
