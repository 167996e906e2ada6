"""A Ray cluster that ffpipe starts obeys its own process tree alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import cmdline, descendants, facts

from ffpipe.pipeline.ray_access import MODE, TOKEN, Access, ask
from ffpipe.stages.confined import child_environment

pytestmark = pytest.mark.ray

#: Joins the cluster as any program would, without Ray's twenty tries.
JOIN = """
import sys, ray
ray.init(address=sys.argv[1], log_to_driver=False)
print("cores", ray.cluster_resources()["CPU"])
"""


@pytest.fixture
def head(ray_cluster: None) -> str:
    """Address of the session's cluster's head."""
    import ray

    return str(ray.get_runtime_context().gcs_address)


def stranger(**access: str) -> dict[str, str]:
    """The environment of a process that was not started by this one."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    # An empty home: Ray's own default is a token there.
    return {**clean, "RAY_gcs_server_port_wait_time_s": "1", "HOME": "/nonexistent", **access}


def join(head: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", JOIN, head], env=environment, capture_output=True, text=True, timeout=200
    )


def test_the_head_refuses_a_process_without_the_token_and_accepts_one_with_it(head: str) -> None:
    refused = join(head, stranger(**{MODE: "disabled"}))
    assert refused.returncode != 0
    assert "InvalidAuthToken" in refused.stderr
    accepted = join(head, stranger(**{MODE: "token", TOKEN: os.environ[TOKEN]}))
    assert accepted.stdout == "cores 2.0\n", accepted.stderr


def test_a_wrong_token_is_one_line_of_ours(head: str, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"no medium")
    command = [sys.executable, "-m", "ffpipe", "extract", str(tmp_path), "--workspace", str(tmp_path / "ws")]
    done = subprocess.run(
        [*command, "--address", head],
        env=stranger(**{MODE: "token", TOKEN: "f" * 64}),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 2, done.stderr
    assert f"ffpipe: error: --address {head}: the Ray cluster refuses the token that was given" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("token", [None, "0" * 64])
def test_every_port_that_can_run_code_asks_for_the_token(head: str, token: str | None) -> None:
    assert ask(head, os.environ[TOKEN]) is Access.GRANTED
    assert ask(head, token) is Access.REFUSED


def test_the_token_is_in_no_command_line_and_in_no_file_of_the_session(head: str) -> None:
    token = os.environ[TOKEN].encode()
    assert len(token) == 64
    family = list(descendants(os.getpid()))
    holders = [pid for pid in family if token in facts(pid, "environ")]
    assert holders, "the processes of the cluster have it in their environment"
    assert not [pid for pid in family if token in cmdline(pid)]
    import ray

    session = Path(ray._private.worker.global_worker.node.get_session_dir_path())
    files = [path for path in session.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert not [path for path in files if token in _read(path)]


def test_the_token_does_not_reach_the_decoding_child(head: str) -> None:
    environment = child_environment()
    assert os.environ[TOKEN] not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it is gone
