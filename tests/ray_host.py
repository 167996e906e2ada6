"""A Ray cluster of several nodes on this machine, in a process of its own that obeys lines on its standard input.

`add NAME` starts a node of one core, `kill NAME` ends a node at once, `kill-raylet` and `kill-head` end the raylet and
the head process of the first node. Each is answered by a line.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

STORE_BYTES = 100 << 20
#: Tries to start a node.
STARTS = 4


class RayHost:
    """A cluster whose first node has so many cores; `environment` holds its token, so that drivers may join."""

    def __init__(self, cores: int, token: str | None = "t" * 64) -> None:
        access = (
            {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
        )
        clean = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
        self.environment = {**clean, "RAY_USAGE_STATS_ENABLED": "0", **access}
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), str(cores)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=self.environment,
        )
        self.address = self._answer()

    def order(self, line: str) -> str:
        """Give an order and wait until it is carried out; the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer "):
                return line.removeprefix("answer ").strip()
        raise AssertionError("the host of the cluster ended")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate("end\n", timeout=60)


def _serve(cores: int) -> None:
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": cores, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    cluster = _patiently(lambda: Cluster(initialize_head=True, head_node_args=arguments))
    nodes: dict[str, Any] = {}
    print(f"answer {cluster.address}", flush=True)
    for line in sys.stdin:
        order, _, name = line.strip().partition(" ")
        if order == "end":
            break
        print(f"answer {_obey(cluster, nodes, order, name)}", flush=True)
    cluster.shutdown()


def _patiently(start: Callable[[], Any]) -> Any:
    """Start again what did not come up: Ray gives a raylet 30 seconds, which a busy machine does not keep to."""
    for _ in range(STARTS - 1):
        try:
            return start()
        except Exception as error:  # noqa: BLE001 - Ray raises no class of its own here
            print(error, file=sys.stderr)
    return start()


def _obey(cluster: Any, nodes: dict[str, Any], order: str, name: str) -> int:
    """Returns the id of the raylet that an order is about, or of the process that it ended."""
    if order == "add":
        nodes[name] = _patiently(lambda: cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES))
        return _pid(nodes[name], "raylet")
    if order == "kill":
        node = nodes.pop(name)
        pid = _pid(node, "raylet")
        cluster.remove_node(node, allow_graceful=False)
        return pid
    pid = _pid(cluster.head_node, {"kill-raylet": "raylet", "kill-head": "gcs_server"}[order])
    os.kill(pid, signal.SIGKILL)
    return pid


def _pid(node: Any, process: str) -> int:
    return int(node.all_processes[process][0].process.pid)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
