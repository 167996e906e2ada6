"""Who made an output, with what: versions, command line, configuration, device, seeds and times."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import ffpipe

_LIBRARIES = (
    "torch", "torchvision", "timm", "numpy", "scipy", "pandas", "pyarrow", "ray", "av",
    "opencv-python", "decord", "facenet-pytorch", "dlib-bin", "safetensors", "matplotlib",
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
    """Commit of the source tree that ffpipe runs from, with '+' when it was changed; None when installed."""
    root = Path(ffpipe.__file__).resolve().parents[2]
    if not (root / ".git").exists():
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


def collect(configuration: dict[str, Any], **facts: Any) -> dict[str, Any]:
    """The provenance of a run. `id` is a hash of everything that is not a time, place or command line."""
    stable = {
        "ffpipe": ffpipe.__version__,
        "commit": source_commit(),
        "configuration": configuration,
        "libraries": library_versions(),
        "ffmpeg": ffmpeg_versions(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        **facts,
    }
    digest = hashlib.sha256(json.dumps(stable, sort_keys=True, default=str).encode()).hexdigest()[:16]
    return {
        "id": digest,
        **stable,
        "command": [os.fsencode(a).decode("utf-8", "backslashreplace") for a in sys.argv],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }
