"""Bodies of runner processes for tests of the queue: each does in a moment, or never, what the real one does."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing.connection import Connection

from ffpipe.pipeline.serving.runner import Order, Told


def finish(connection: Connection, parent: int, order: Order) -> None:
    names = list(order.names.values())
    connection.send(Told("line", "at work"))
    connection.send(Told("progress", (1, len(names), "scoring")))
    rows = [{"name": name} for name in names]
    with (order.folder.parent / "order").open("a") as file:
        file.write(f"{order.batch} {os.getpid()} {parent}\n")
    connection.send(Told("finished", {"rows": rows, "summary": f"{len(rows)} inputs", "run": "r"}))


def fail(connection: Connection, _: int, order: Order) -> None:
    connection.send(Told("failed", "the disk\nis full"))


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stay(connection: Connection, parent: int, order: Order) -> None:
    """Goes on until it is told to end."""
    (order.folder / "pid").write_text(str(os.getpid()))
    connection.send(Told("progress", (0, len(order.names), "scoring")))
    time.sleep(600)


def stay_stubbornly(connection: Connection, parent: int, order: Order) -> None:
    """Goes on also when it is told to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stay(connection, parent, order)
