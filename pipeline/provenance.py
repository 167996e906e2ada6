"""Who made an output, with what: versions, command line, configuration, device, seeds and times.

Every output of every command carries what `collect` gives, with the keys of KEYS: a Parquet table in its metadata, JSON
as `provenance`, a picture in its text fields, CSV and JSON lines in a file beside, a folder of shards in its job.json.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ffpipe
from ffpipe.pipeline.config import JobConfig

_LIBRARIES = (
    "torch", "torchvision", "timm", "numpy", "scipy", "pandas", "pyarrow", "ray", "av",
    "opencv-python", "decord", "facenet-pytorch", "dlib-bin", "safetensors", "matplotlib",
)  # fmt: skip
#: Written by the build of a wheel or source archive, which have no repository to be asked.
_BUILT_FROM = "COMMIT"

#: What changes from run to run, or with the place, and is therefore not in the id.
UNHASHED = ("id", "command", "directory", "started", "finished", "run", "weights", "content")
#: What every provenance says. Without weights, seed or calibration their values are empty or null.
KEYS = (
    "id", "ffpipe", "commit", "configuration", "configuration_hash", "weights_sha256", "calibration", "seed",
    "device", "libraries", "ffmpeg", "python", "machine", "processor", "command", "directory", "started", "finished",
)  # fmt: skip


def library_versions() -> dict[str, str | None]:
    """Installed versions of the libraries that results depend on; None where one is absent."""
    return {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def ffmpeg_versions() -> dict[str, str]:
    """Versions of the FFmpeg libraries inside PyAV."""
    import av

    return {name: ".".join(map(str, number)) for name, number in av.library_versions.items()}


def source_commit() -> str | None:
    """Commit of the source tree that ffpipe runs from, with '+' when it was changed.

    Of an installed package the commit that it was built from; None where that is not known either.
    """
    package = Path(ffpipe.__file__).resolve().parent
    root = package.parents[1]
    if not (root / ".git").exists():
        with suppress(OSError):
            return (package / _BUILT_FROM).read_text().strip() or None
        return None
    try:
        head = _git(root, "rev-parse", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
    ).stdout.strip()


def processor() -> tuple[str, list[str]]:
    """The processor's name and flags; elsewhere than on Linux the architecture, which has to do."""
    name, flags = platform.machine(), ""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            name = value.strip() if key.strip() == "model name" else name
            flags = value if key.strip() == "flags" else flags
    return name, flags.split()


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line() -> list[str]:
    """The words of the command, undecodable bytes as escapes."""
    return [os.fsencode(word).decode("utf-8", "backslashreplace") for word in sys.argv]


def collect(
    config: JobConfig,
    configuration: Mapping[str, Any] | None = None,
    *,
    weights: Sequence[str] = (),
    calibration: str | None = None,
    seed: int | None = None,
    device: str = "cpu",
    started: str | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """The provenance of a run, with the keys of KEYS and those of `facts`.

    `configuration` are the resolved settings where there is more to say of them, or less, than `config` does.
    `weights` are the SHA-256 of the weights that were used, `calibration` is the id of theirs; `started` is when the
    job began, by default now. `id` is a hash of everything that is no time, place or command line; `finished` is null
    until `finish`.
    """
    stable = {
        "ffpipe": ffpipe.__version__,
        "commit": source_commit(),
        "configuration": dict(config.resolved() if configuration is None else configuration),
        "configuration_hash": config.digest(),
        "weights_sha256": list(weights),
        "calibration": calibration,
        "seed": seed,
        "device": device,
        "libraries": library_versions(),
        "ffmpeg": ffmpeg_versions(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor()[0],
        **facts,
    }
    return {
        "id": identity(stable),
        **stable,
        "command": command_line(),
        "directory": os.fsencode(Path.cwd()).decode("utf-8", "backslashreplace"),
        "started": started or now(),
        "finished": None,
    }


def identity(provenance: Mapping[str, Any]) -> str:
    """The id that belongs to what a provenance says, 16 hexadecimal digits."""
    stable = {name: value for name, value in provenance.items() if name not in UNHASHED}
    return hashlib.sha256(json.dumps(stable, sort_keys=True, default=str).encode()).hexdigest()[:16]


def finish(provenance: Mapping[str, Any], at: str | None = None) -> dict[str, Any]:
    """The provenance with the time at which its outputs were complete, by default now."""
    return {**provenance, "finished": at or now()}
