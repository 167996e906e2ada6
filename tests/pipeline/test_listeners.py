from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import descendants

from ffpipe.pipeline import doctor, listeners
from ffpipe.pipeline.listeners import DASHBOARD_PORT, Listener, Place, parse_table, ray_listeners, ray_role

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(address: str, state: str = "0A", inode: int = 7) -> str:
    return f"   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0\n"


@pytest.mark.skipif(sys.byteorder != "little", reason="the table's words are in the machine's byte order")
@pytest.mark.parametrize(
    ("address", "shown", "wildcard", "public"),
    [
        ("00000000:2049", "0.0.0.0:8265", True, True),
        ("0100007F:2049", "127.0.0.1:8265", False, False),
        ("0A00000A:0050", "10.0.0.10:80", False, True),
        ("00000000000000000000000000000000:2049", "[::]:8265", True, True),
        ("00000000000000000000000001000000:2049", "[::1]:8265", False, False),
        ("0000000000000000FFFF000000000000:2049", "0.0.0.0:8265", True, True),
        ("0000000000000000FFFF00000100007F:2049", "127.0.0.1:8265", False, False),
    ],
)
def test_addresses_of_both_families_are_read(address: str, shown: str, wildcard: bool, public: bool) -> None:
    place = parse_table(HEADER + row(address))["7"]
    assert (str(place), place.is_wildcard, place.is_public) == (shown, wildcard, public)
    assert place.dialled.split(":")[-1] == shown.split(":")[-1]
    assert not place.is_wildcard or "0.0.0.0" not in place.dialled


def test_only_listening_sockets_count() -> None:
    assert parse_table(HEADER + row("0100007F:0050", state="01") + row("0100007F:0051", inode=8)).keys() == {
        "8"
    }


@pytest.mark.parametrize(
    ("words", "role"),
    [
        (["/x/ray/core/src/ray/gcs/gcs_server", "--log_dir=/x"], "head (gcs_server)"),
        (["/x/ray/core/src/ray/raylet/raylet", "--port=0"], "raylet"),
        (["/usr/bin/python", "-u", "/x/ray/dashboard/dashboard.py", "--host=0.0.0.0"], "dashboard"),
        (["/usr/bin/python", "-m", "ray.util.client.server", "--port=10001"], "client server"),
        (["ray::IDLE", ""], "ray::IDLE"),
        (["/usr/bin/python", "/home/me/dashboard.py"], None),
        (["/usr/bin/grep", "raylets"], None),
        ([], None),
    ],
)
def test_processes_of_ray_are_known_by_their_command_line(words: list[str], role: str | None) -> None:
    assert ray_role(words) == role


@contextmanager
def pretended_raylet(folder: Path, family: str, address: str, only6: int = 0) -> Iterator[tuple[int, int]]:
    """A process whose command line is a raylet's, listening at an address; its id and port."""
    code = (
        "import socket, sys\n"
        f"one = socket.socket(socket.{family})\n"
        f"if socket.{family} == socket.AF_INET6: one.setsockopt(41, 26, {only6})\n"
        f"one.bind(({address!r}, 0)); one.listen()\n"
        "print(one.getsockname()[1], flush=True); sys.stdin.read()\n"
    )
    program = folder / "raylet"
    if not program.exists():
        program.symlink_to(shutil.which(sys.executable) or sys.executable)
    process = subprocess.Popen(
        [str(program), "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    try:
        if not line:
            pytest.skip(f"this machine has no {family} socket at {address}")
        yield process.pid, int(line)
    finally:
        process.communicate("")


@pytest.mark.parametrize(
    ("family", "address", "only6", "shown"),
    [
        ("AF_INET", "0.0.0.0", 0, "0.0.0.0"),
        ("AF_INET6", "::", 1, "[::]"),
        ("AF_INET6", "::", 0, "[::]"),
        ("AF_INET6", "::ffff:0.0.0.0", 0, "0.0.0.0"),
        ("AF_INET", "127.0.0.1", 0, "127.0.0.1"),
    ],
)
def test_a_real_listener_is_seen_with_its_address(
    tmp_path: Path, family: str, address: str, only6: int, shown: str
) -> None:
    with pretended_raylet(tmp_path, family, address, only6) as (pid, port):
        (found,) = [one for one in ray_listeners() if one.pid == pid]
        assert (found.role, str(found.place)) == ("raylet", f"{shown}:{port}")
        problems = [f for f in doctor.examine_ports() if f.fix and f"process {pid}" in f.text]
    assert len(problems) == (0 if address == "127.0.0.1" else 1)
    assert all("every address" in problem.text and "ray stop" in (problem.fix or "") for problem in problems)


def test_a_dashboard_of_another_user_shows_by_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Place(listeners.ip_address("0.0.0.0"), DASHBOARD_PORT)
    monkeypatch.setattr(doctor, "ray_listeners", list)
    monkeypatch.setattr(doctor, "serves", lambda port: iter([wide]))
    (finding, _) = doctor.examine_ports()
    assert f"0.0.0.0:{DASHBOARD_PORT}" in finding.text
    assert "--dashboard-host 127.0.0.1" in (finding.fix or "")
    monkeypatch.setattr(doctor, "ray_listeners", lambda: [Listener(1, "dashboard", wide)])
    (finding,) = doctor.examine_ports()
    assert "dashboard (process 1) listens on every address" in finding.text


def test_a_head_that_asks_for_no_token_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    from ffpipe.pipeline import ray_access

    head = Listener(1, "head (gcs_server)", Place(listeners.ip_address("127.0.0.1"), 6379))
    monkeypatch.setattr(doctor, "ray_listeners", lambda: [head])
    monkeypatch.setattr(doctor, "serves", lambda port: iter([]))
    answers = {}
    for access in ray_access.Access:
        monkeypatch.setattr(ray_access, "ask", lambda place, access=access: access)
        answers[access] = [f.fix for f in doctor.examine_ports() if f.fix]
    assert ["RAY_AUTH_MODE=token" in fix for fix in answers[ray_access.Access.GRANTED]] == [True]
    assert answers[ray_access.Access.REFUSED] == answers[ray_access.Access.SILENT] == []


def test_the_environment_that_opens_a_cluster_is_a_problem(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(doctor, "CHECKS", (doctor.examine_ray,))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert [f for f in doctor.examine(tmp_path) if f.fix] == []
    monkeypatch.setenv("RAY_ADDRESS", "10.1.2.3:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    problems = [f for f in doctor.examine(tmp_path) if f.fix]
    assert [p.text.split(":")[0] for p in problems] == [
        "RAY_ADDRESS is 10.1.2.3",
        "RAY_AUTH_MODE is disabled",
    ]


@pytest.mark.ray
def test_a_cluster_of_ours_gives_no_problem(ray_cluster: None) -> None:
    mine = {one.pid for one in ray_listeners()} & set(descendants(os.getpid()))
    assert mine
    texts = [f.text for f in doctor.examine_ports() if f.fix]
    assert not [text for text in texts if any(f"process {pid})" in text for pid in mine)], texts
