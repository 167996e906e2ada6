"""The oldest versions that ffpipe is safe with: what pyproject.toml asks for, held against what is installed here.

A package manager keeps to them at installation; later another program's needs may have brought an older library back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

#: What an older one lacks; others are only as old as what ffpipe was tested with.
REASONS = {
    "ray": "before 2.55 forged tensor types, too, run code in whatever reads Parquet without ffpipe's gate",
    "torch": "older ones load checkpoints with weights_only less safely",
    "pyarrow": "older ones do not verify page checksums when they read",
    "av": "older ones carry an older FFmpeg, and do not write rotation tags",
}
#: FFmpeg release from which decoders have the fixes that hostile files call for, and libavcodec's version in it.
FFMPEG, _LIBAVCODEC = (8, 1), (62, 28)
_FFMPEG_FIX = "pip install --upgrade --only-binary :all: av"


def floors(requirements: Sequence[str] | None = None) -> dict[str, Requirement]:
    """What ffpipe needs here, by name of the package; by default as its own metadata say.

    Raises PackageNotFoundError where ffpipe runs from a tree that was never installed.
    """
    given = requires("ffpipe") if requirements is None else requirements
    parsed = [Requirement(text) for text in given or ()]
    return {r.name: r for r in parsed if r.marker is None or r.marker.evaluate({"extra": ""})}


def below(requirements: Sequence[str] | None = None) -> Iterator[tuple[str, str]]:
    """Each library that is too old, with the reason, and what to do. What is not installed is not too old."""
    try:
        needed = floors(requirements)
    except PackageNotFoundError:
        yield "ffpipe is not installed, so that no floors of its libraries are known", "pip install -e ."
        return
    for name, requirement in needed.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        if not _meets(requirement, found):
            reason = REASONS.get(name, "ffpipe was not tested with older ones")
            yield f"{name} {found} is not {requirement.specifier}: {reason}", f"pip install '{requirement}'"


def ffmpeg_below() -> Iterator[tuple[str, str]]:
    """Whether PyAV's FFmpeg is too old, as `below` says it."""
    import av

    release = re.search(r"(\d+)\.(\d+)", getattr(av, "ffmpeg_version_info", ""))
    found = tuple(int(number) for number in release.groups()) if release else None
    codec = av.library_versions["libavcodec"]
    if found >= FFMPEG if found else codec[:2] >= _LIBAVCODEC:
        return
    told = ".".join(map(str, found)) if found else f"with libavcodec {'.'.join(map(str, codec))}"
    wanted = ".".join(map(str, FFMPEG))
    yield f"PyAV carries FFmpeg {told}; decoders before {wanted} have known holes", _FFMPEG_FIX


def _meets(requirement: Requirement, found: str) -> bool:
    try:
        return requirement.specifier.contains(Version(found), prereleases=True)
    except InvalidVersion:
        return False
