"""A loopback server that hears whoever comes to it, over TCP or UDP, and hands out a clip as any web server would."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class Listener:
    """Listens on one port of 127.0.0.1 over both TCP and UDP; `heard` lists what came, as text.

    A TCP connection is answered with the bytes of `serves` as HTTP, whatever was asked for.
    """

    def __init__(self, serves: Path) -> None:
        self.heard: list[str] = []
        self._content = serves.read_bytes()
        self._tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._receive)]

    @property
    def url(self) -> str:
        """The clip's address."""
        return f"http://127.0.0.1:{self.port}/canary.mp4"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            with connection:
                self.heard.append("tcp")
                try:
                    connection.settimeout(2)
                    asked = connection.recv(4096)
                    self.heard[-1] = f"tcp {asked[:60]!r}"
                    head = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: %d\r\n\r\n"
                    connection.sendall(head % len(self._content) + self._content)
                except OSError as error:
                    self.heard[-1] += f" ({error})"

    def _receive(self) -> None:
        while True:
            try:
                datagram, _ = self._udp.recvfrom(4096)
            except OSError:
                return
            if datagram == b"the end":
                return
            self.heard.append(f"udp {datagram[:60]!r}")

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tcp.shutdown(socket.SHUT_RDWR)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"the end", ("127.0.0.1", self.port))
        for thread in self._threads:
            thread.join()
        self._tcp.close()
        self._udp.close()
