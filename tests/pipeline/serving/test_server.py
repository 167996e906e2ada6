"""The real server: what it refuses to start with, what it scores, and that it leaves nothing running."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from media import make_face_clip
from processes import family_of, wait_until, wait_until_gone
from served import serving
from small_weights import make_tiny_weights

from ffpipe.manifests.errors import StorageError, UsageError
from ffpipe.pipeline import cli
from ffpipe.pipeline.config import ServeConfig
from ffpipe.pipeline.interrupts import INTERRUPTED
from ffpipe.pipeline.serving import server


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.4", "example.org", "", "127.0.0.1.example.org", "127.1"]
)
def test_no_other_machine_may_reach_it(host: str) -> None:
    with pytest.raises(UsageError, match="this machine alone"):
        ServeConfig.build({"host": host})


@pytest.mark.parametrize(
    ("host", "here"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")]
)
def test_loopback_addresses_are_taken(host: str, here: str) -> None:
    assert ServeConfig.build({"host": host}).host == here


def test_the_score_job_gets_its_own_settings_and_no_others() -> None:
    config = ServeConfig.build({"min_faces": 5, "frames": 7, "port": 8123, "keep": True})
    scoring = config.scoring()
    assert (scoring.min_faces, scoring.frames, scoring.engine) == (5, 7, "local")
    assert not hasattr(scoring, "port")


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StorageError, match=f"--port {port}.*another port"):
            server._listen("127.0.0.1", port)


def test_without_a_model_nothing_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["serve", "--workspace", str(tmp_path)]) == UsageError.exit_code
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "no trained model" in said.err
    assert not (tmp_path / "serve").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--host", "0.0.0.0"), ("--port", "65536"), ("--max-files", "0")]
)
def test_a_wrong_option_is_one_line(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["serve", option, value]) == UsageError.exit_code
    assert capsys.readouterr().err.startswith(f"ffpipe: error: {option} '{value}'")


@pytest.mark.slow
def test_a_clip_is_scored_found_again_after_a_restart_and_removed(tmp_path: Path) -> None:
    home = tmp_path / "home"
    make_tiny_weights(home / "models" / "meso4" / "one")
    clip = make_face_clip(tmp_path / "clip.mp4").path
    (tmp_path / "notes.txt").write_text("no medium")
    with serving(home) as served:
        batch = served.begin(clip, tmp_path / "notes.txt")
        assert served.reached("done", "failed")
        (found,) = served.batches()
        assert [row["status"] for row in found["rows"]] == ["ok", "unsupported"], found
        assert found["kept"] is False
        code, said = served.end()
        assert code == INTERRUPTED
        assert "interrupted" in said.splitlines()[-1]
        assert served.home not in said
    assert not (home / "serve" / batch / "uploads").exists()
    with serving(home) as served:
        assert [one["id"] for one in served.batches()] == [batch]
        page = served.ask("GET", f"reports/{batch}/index.html")
        assert page.status_code == 200
        assert "clip.mp4" in page.text
        for row in found["rows"]:
            assert served.ask("GET", f"reports/{batch}/{row['page']}").status_code == 200
        assert served.ask("GET", f"files/{batch}/report.parquet").content[:4] == b"PAR1"
        assert served.ask("DELETE", f"api/batches/{batch}").status_code == 204
        assert served.batches() == []
    assert not list((home / "scores").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_in_the_middle_no_process_stays_and_the_next_one_goes_on(
    tmp_path: Path, number: int
) -> None:
    home = tmp_path / "home"
    make_tiny_weights(home / "models" / "meso4" / "one")
    clip = make_face_clip(tmp_path / "clip.mp4", seconds=4.0).path
    with serving(home, "--frames", "all") as served:
        batch = served.begin(clip)
        # The runner, its worker, and the worker's decoding child.
        assert wait_until(lambda: len(family_of(served.process.pid)) >= 3, 120)
        family = family_of(served.process.pid)
        assert served.end(number)[0] == (-number if number == signal.SIGKILL else INTERRUPTED)
        assert wait_until_gone(family) == set()
    with serving(home) as served:
        assert served.reached("done")
        assert [one["id"] for one in served.batches()] == [batch]


@pytest.mark.slow
def test_a_second_server_of_one_workspace_is_refused_and_strangers_see_nothing(tmp_path: Path) -> None:
    make_tiny_weights(tmp_path / "models" / "meso4" / "one")
    with serving(tmp_path) as served:
        command = [sys.executable, "-m", "ffpipe", "serve", "--workspace", str(tmp_path)]
        second = subprocess.run(command, capture_output=True, text=True)
        assert second.returncode == UsageError.exit_code
        assert "another run" in second.stderr
        assert served.client.get(f"{served.origin}/").status_code == 403
        served.client.cookies.clear()
        assert served.ask("GET", "api/batches").status_code == 403
        assert "server" not in served.ask("GET", "").headers
        # It listens on this address alone.
        with (
            pytest.raises(OSError),
            socket.create_connection(("127.0.0.2", int(served.origin.split(":")[-1])), 2),
        ):
            pass


@pytest.mark.slow
def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    make_tiny_weights(tmp_path / "models" / "meso4" / "one")
    with serving(tmp_path, "--max-bytes", "100000") as served:
        batch = served.ask("POST", "api/batches").json()["id"]
        path = f"{served.home[len(served.origin) :]}api/batches/{batch}/files?name=a"
        cookie = "; ".join(f"{name}={value}" for name, value in served.client.cookies.items())
        host = served.origin[7:]
        head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: {served.origin}\r\nCookie: {cookie}\r\n"
        uploads = tmp_path / "serve" / batch / "uploads"
        with socket.create_connection(("127.0.0.1", int(host.split(":")[1]))) as connection:
            connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + b"x" * 70000)
            assert wait_until(lambda: len(list(uploads.iterdir())) == 1, 30)
        assert wait_until(lambda: list(uploads.iterdir()) == [], 30)
        with socket.create_connection(("127.0.0.1", int(host.split(":")[1]))) as connection:
            connection.sendall(f"{head}Content-Length: 100001\r\n\r\n".encode())
            assert b" 413 " in connection.recv(4096).splitlines()[0]
        assert (
            served.ask("PUT", f"api/batches/{batch}/files?name=a", content=b"x" * 100000).status_code == 201
        )
