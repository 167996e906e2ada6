"""The check-up of a machine: versions, codecs, detectors, GPU, memory, disk and ports, each problem with its fix."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import ffpipe
from ffpipe.pipeline import floors
from ffpipe.pipeline.engine import available_cores
from ffpipe.pipeline.listeners import DASHBOARD_PORT, Listener, ray_listeners, serves
from ffpipe.pipeline.memory_limit import machine_memory
from ffpipe.pipeline.provenance import ffmpeg_versions, library_versions

_GIB = 1 << 30
#: Below these, jobs of ordinary size fail: a worker holds torch, a detector and a few frames.
_LEAST_MEMORY = 4 * _GIB
_LEAST_DISK = 5 * _GIB
#: Below this Ray puts its object store on disk; containers have 64 MiB unless told otherwise.
_LEAST_SHARED_MEMORY = 256 << 20

_NO_NETWORK_FIX = (
    "allow user namespaces (sysctl user.max_user_namespaces above 0) or system-call filters (a container with its"
    " default seccomp profile does), or run without any network: docker run --network none"
)
_NO_GUARD_FIX = (
    "use a kernel with Landlock (5.13 or later, lsm= names landlock), or run as a user who can write to the workspace"
    " alone, inputs mounted read-only"
)

_DECODED = ("h264", "hevc", "av1", "vp9", "vp8", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "prores")
_FIX_LISTENER = (
    "ray stop; on one machine let ffpipe start Ray, or RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 ray start --head "
    "--node-ip-address 127.0.0.1; in a cluster close the port to all but its nodes"
)
_OPTIONAL = frozenset({"decord", "dlib-bin"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the check-up; `fix` says what to do where it is a problem."""

    topic: str
    text: str
    fix: str | None = None


def examine(workspace: Path) -> list[Finding]:
    """Check this machine; never raises for what it finds wrong."""
    return [finding for check in CHECKS for finding in check(workspace)]


def _versions(_: Path) -> Iterator[Finding]:
    yield Finding("ffpipe", f"{ffpipe.__version__} on Python {platform.python_version()}, {sys.platform}")
    for name, found in library_versions().items():
        if found is None:
            need = "optional; " if name in _OPTIONAL else ""
            yield Finding("library", f"{name} is not installed", f"{need}pip install {name}")
        else:
            yield Finding("library", f"{name} {found}")


def _floors(_: Path) -> Iterator[Finding]:
    problems = [*floors.below(), *floors.ffmpeg_below()]
    for text, fix in problems:
        yield Finding("floor", text, fix)
    if not problems:
        yield Finding("floor", "no library is older than ffpipe is safe with")


def _codecs(_: Path) -> Iterator[Finding]:
    import av

    yield Finding("FFmpeg", ", ".join(f"{name} {number}" for name, number in ffmpeg_versions().items()))
    missing = [name for name in _DECODED if name not in av.codecs_available]
    fix = "install PyAV from its wheel, which carries a full FFmpeg: pip install --only-binary :all: av"
    found = [name for name in _DECODED if name not in missing]
    yield Finding("codecs", "decodes " + ", ".join(found))
    if missing:
        yield Finding("codecs", "cannot decode " + ", ".join(missing), fix)
    if "libx264" not in av.codecs_available:
        yield Finding("codecs", "no libx264 encoder: the demo cannot make its clips", fix)


def _face_detectors(_: Path) -> Iterator[Finding]:
    import numpy as np

    from ffpipe.stages.detect import create_detector, list_face_detectors

    grey = np.full((64, 64, 3), 128, np.uint8)
    for name in list_face_detectors():
        try:
            create_detector(name).detect([grey])
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            yield Finding(
                "faces",
                f"detector {name} does not run: {error}",
                f"reinstall it, or do without --detector {name}",
            )
        else:
            yield Finding("faces", f"detector {name} runs")


def _isolation(_: Path) -> Iterator[Finding]:
    from ffpipe.stages.decode.sandbox import active_protection

    protection = active_protection()
    yield Finding("isolation", f"decoding child: {protection.describe()}")
    if not protection.network_cut:
        yield Finding(
            "isolation", "a decoder that a hostile file takes over could reach the network", _NO_NETWORK_FIX
        )
    if not protection.files_guarded:
        yield Finding(
            "isolation", "a decoder that a hostile file takes over could change your files", _NO_GUARD_FIX
        )


def _gpu(_: Path) -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        built = torch.version.cuda or "no CUDA"
        yield Finding("GPU", f"none usable (torch built for {built}); training and scoring run on the CPU")
        return
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        yield Finding("GPU", f"{facts.name}, {facts.total_memory / _GIB:.0f} GiB")


def _memory(_: Path) -> Iterator[Finding]:
    memory = machine_memory()
    text = f"{available_cores()} cores, {memory / _GIB:.1f} GiB memory"
    yield Finding("machine", text, None if memory >= _LEAST_MEMORY else "use --workers 1; 4 GiB is the least")
    shared = Path("/dev/shm")
    if shared.exists() and (free := shutil.disk_usage(shared).total) < _LEAST_SHARED_MEMORY:
        yield Finding(
            "machine",
            f"/dev/shm holds only {free >> 20} MiB, so Ray would work on disk",
            "start the container with --shm-size=1g",
        )


def _disk(workspace: Path) -> Iterator[Finding]:
    place = next(p for p in (workspace, *workspace.parents) if p.exists())
    if not os.access(place, os.W_OK):
        yield Finding("disk", f"{place} is not writable", "choose another folder with --workspace")
        return
    free = shutil.disk_usage(place).free
    text = f"{free / _GIB:.0f} GiB free for {workspace}"
    yield Finding(
        "disk", text, None if free >= _LEAST_DISK else "free some space, or choose another --workspace"
    )


def examine_ray(_: Path) -> Iterator[Finding]:
    """What the environment says of Ray."""
    yield Finding("Ray", "starts a cluster of this machine alone, on loopback, where it is needed")
    if address := os.environ.get("RAY_ADDRESS"):
        yield Finding(
            "Ray",
            f"RAY_ADDRESS is {address}: --address auto, and any program that uses Ray, sends its work there",
            "unset RAY_ADDRESS, and name a cluster with --address where one is wanted",
        )
    mode = os.environ.get("RAY_AUTH_MODE")
    if mode is not None and mode.lower() != "token":
        yield Finding(
            "Ray",
            f"RAY_AUTH_MODE is {mode}: clusters that are started from here obey any user of the machine",
            "unset RAY_AUTH_MODE; ffpipe then gives each cluster that it starts a token of its own",
        )


def examine_ports(_: Path | None = None) -> Iterator[Finding]:
    """Ray's processes that other machines can reach, and heads that obey anybody."""
    found = ray_listeners()
    public = [one for one in found if one.place.is_public]
    for one in public:
        where = "on every address of this machine" if one.place.is_wildcard else "to the network"
        yield Finding(
            "ports", f"Ray's {one.role} (process {one.pid}) listens {where}: {one.place}", _FIX_LISTENER
        )
    known = {one.place for one in found}
    for place in serves(DASHBOARD_PORT):
        if place.is_public and place not in known:
            yield Finding(
                "ports",
                f"something listens on {place}, the port of Ray's dashboard",
                "if it is Ray's: ray stop, then ray start --head --dashboard-host 127.0.0.1",
            )
    yield from _heads_without_token([one for one in found if one.role.startswith("head")])
    if not public:
        text = f"{len({one.pid for one in found})} Ray processes listen, all on loopback"
        yield Finding("ports", text if found else "no Ray process listens")


def _heads_without_token(heads: list[Listener]) -> Iterator[Finding]:
    if not heads:
        return
    from ffpipe.pipeline.ray_access import Access, ask

    for head in heads:
        if ask(head.place.dialled) is Access.GRANTED:
            yield Finding(
                "ports",
                f"Ray's head (process {head.pid}) at {head.place} asks for no token: whoever reaches it runs code here",
                "ray stop, then start every node with RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH=FILE",
            )


def examine_page(_: Path | None = None) -> Iterator[Finding]:
    """Whether `ffpipe serve` can open its page."""
    missing = [name for name in ("fastapi", "uvicorn") if find_spec(name) is None]
    if missing:
        yield Finding(
            "page", f"ffpipe serve lacks {', '.join(missing)}", "optional; pip install 'ffpipe[serve]'"
        )
    try:
        with socket.create_server(("127.0.0.1", 0)):
            yield Finding("page", "a port of 127.0.0.1 is free for ffpipe serve")
    except OSError as error:
        fix = "bring the loopback interface up (ip link set lo up), or free some ports"
        yield Finding("page", f"nothing can listen on 127.0.0.1: {error.strerror or error}", fix)


CHECKS: tuple[Callable[[Path], Iterator[Finding]], ...] = (
    _versions, _floors, _codecs, _face_detectors, _isolation, _gpu, _memory, _disk, examine_ray, examine_ports,
    examine_page,
)  # fmt: skip
