"""The program needs no network and uses none: no telemetry, no look-up, no socket beyond this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest
from media import make_face_clip
from security.offline import COMMANDS, LOOPBACK_UP, NAMESPACE, NOTE_SOCKETS, SKIP

from ffpipe.models import checkpoint, create_detector
from ffpipe.pipeline import environment
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings

ROOT = Path(__file__).parents[2]
#: Seconds for one command on a machine whose cores are all busy.
_PATIENCE = 900


def _environment(**changes: str) -> dict[str, str]:
    """Without what this test's own environment says of telemetry and hubs: the program sets that itself."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "HF_"))}
    return kept | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **changes}


def _clips(folder: Path, count: int) -> Path:
    for number in range(count):
        for label in ("real", "fake"):
            (folder / label).mkdir(parents=True, exist_ok=True)
            clip = folder / label / f"{label}{number}.mp4"
            make_face_clip(clip, seconds=0.4, seed=number + 10 * (label == "fake"))
    return folder


#: urllib3 asks the system once, when it is imported, whether it has IPv6: a socket bound to the loopback, no packet.
_PROBE = ["socket.__new__ AF_INET6", "socket.bind ('::1', 0)"]
#: `doctor` tries whether `serve` could listen: a socket bound to the loopback, too.
_PORT = ["socket.__new__ AF_INET", "socket.bind ('127.0.0.1', 0)"]


def _noted(tmp_path: Path, code: str, *arguments: str) -> list[str]:
    log = tmp_path / "sockets"
    subprocess.run(
        [sys.executable, "-c", NOTE_SOCKETS + code, str(log), *arguments],
        check=True, stdout=subprocess.DEVNULL, timeout=_PATIENCE, env=_environment(), cwd=tmp_path,
    )  # fmt: skip
    return log.read_text().splitlines()


def test_the_log_does_note_what_is_looked_for(tmp_path: Path) -> None:
    """The positive control: a listener, a look-up and the start of a connection all appear, a socket pair does not."""
    code = (
        "s = socket.socket(); s.bind(('127.0.0.1', 0)); socket.getaddrinfo('127.0.0.1', 1); socket.socketpair()\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    )
    events = [line.partition(" ")[0] for line in _noted(tmp_path, code)]
    assert events == [
        "socket.__new__",
        "socket.bind",
        "socket.getaddrinfo",
        "socket.__new__",
        "socket.connect",
    ]


@pytest.mark.slow
def test_commands_make_no_socket_beyond_this_machine(tmp_path: Path) -> None:
    """Import, help, lists, the check-up, and a scoring by the local engine, whose decoding child has AF_UNIX alone."""
    clip = make_face_clip(tmp_path / "clip.mp4", seconds=0.4, seed=1)
    crop = CropSettings()
    facts = {"crop": asdict(crop), "crop_fingerprint": crop.fingerprint(), "thresholds": None}
    run, model = tmp_path / "ws/models/sida-linear/one", create_detector("sida-linear")
    checkpoint.save(run, model, name="sida-linear", options={}, extra=facts, metrics={}, card="A test.")
    scoring = [
        "score",
        str(clip.path),
        "--frames",
        "4",
        "--workers",
        "0",
        "--out",
        str(tmp_path / "r.parquet"),
    ]
    commands = [["--help"], ["models"], ["datasets"], ["doctor"], scoring]
    place = ["--workspace", "ws"]
    given = [[*command, *(place if command[0] in ("doctor", "score") else [])] for command in commands]
    lines = _noted(tmp_path, COMMANDS, json.dumps(given))
    ended = [line for line in lines if line.startswith("# ")]
    assert [line.split()[1] for line in ended] == [command[0] for command in commands]
    assert ended[-1] == "# score 0"
    assert pd.read_parquet(tmp_path / "r.parquet")["n_faces"].tolist() == [4]
    assert [line for line in lines if line not in ended] in (_PORT, [*_PROBE, *_PORT])


def test_ffpipe_itself_switches_telemetry_off_and_leaves_a_wish_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    environment.prepare()
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["HF_HUB_OFFLINE"] == "1"


@pytest.mark.slow
@pytest.mark.skipif(not NAMESPACE, reason=SKIP)
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_the_main_job_runs_where_there_is_no_network_at_all(tmp_path: Path, engine: str) -> None:
    data = _clips(tmp_path / "data", 5)
    place = Workspace(tmp_path / "ws")
    up = [sys.executable, "-c", LOOPBACK_UP] if engine == "ray" else []
    scoring = [
        "score",
        str(data / "real"),
        "--frames",
        "4",
        "--workers",
        "1",
        "--out",
        str(tmp_path / "r.parquet"),
    ]
    steps = [
        ["extract", str(data), "--name", "made", "--frames", "4", "--workers", "1", "--engine", engine],
        [
            "train",
            "--model",
            "sida-linear",
            "--recipe",
            "quick",
            "--epochs",
            "1",
            "--run",
            "one",
            "--engine",
            engine,
        ],
        [*scoring, "--engine", engine],
        ["evaluate", "sida-linear/one", "--data", "made", "--split", "test", "--replicates", "100"],
    ]
    for step in steps:
        done = subprocess.run(
            [*NAMESPACE, *up, sys.executable, "-m", "ffpipe", *step, "--workspace", str(place.root)],
            capture_output=True, text=True, timeout=_PATIENCE, env=_environment(), cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "r.parquet")) == 5


@pytest.mark.slow
@pytest.mark.skipif(not NAMESPACE, reason=SKIP)
def test_ray_without_loopback_is_one_line(tmp_path: Path) -> None:
    data = _clips(tmp_path / "data", 1)
    done = subprocess.run(
        [*NAMESPACE, sys.executable, "-m", "ffpipe", "extract", str(data), "--engine", "ray", "--workspace", "ws"],
        capture_output=True, text=True, timeout=_PATIENCE, env=_environment(), cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "ffpipe: error: --engine ray: Ray's processes talk over the loopback"
    )
