"""A real `ffpipe serve` in a process of its own, and what a browser that opened its address may ask of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from processes import wait_until

#: Few frames and one worker: the shortest scoring that goes all the way.
QUICK = ("--workers", "1", "--frames", "4", "--min-free", "0")


@dataclass
class Served:
    """A running server: its process, the address that it printed, and a client with the cookie of a first visit."""

    process: subprocess.Popen[str]
    address: str
    client: httpx.Client

    @property
    def origin(self) -> str:
        return "/".join(self.address.split("/")[:3])

    @property
    def home(self) -> str:
        return self.address.partition("open/")[0]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self.client.request(method, f"{self.home}{path}", headers={"origin": self.origin}, **more)

    def batches(self) -> list[dict[str, Any]]:
        return list(self.ask("GET", "api/batches").json()["batches"])

    def begin(self, *files: Path) -> str:
        """Send files as the page does, and have them scored; the batch's id."""
        batch = str(self.ask("POST", "api/batches").json()["id"])
        for file in files:
            path = f"api/batches/{batch}/files"
            assert (
                self.ask("PUT", path, params={"name": file.name}, content=file.read_bytes()).status_code
                == 201
            )
        assert self.ask("POST", f"api/batches/{batch}/start").status_code == 200
        return batch

    def reached(self, *states: str) -> bool:
        return wait_until(lambda: all(batch["state"] in states for batch in self.batches()), 300)

    def end(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Exit code and what it said."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def serving(home: Path, *options: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "ffpipe", "serve", "--workspace", str(home), *QUICK, *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/open/[\w-]{43}", address), address
            with httpx.Client(follow_redirects=True) as client:
                assert client.get(address).status_code == 200
                yield Served(process, address, client)
        finally:
            process.kill()
