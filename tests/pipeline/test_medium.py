"""One bad medium costs itself alone, whatever it does to its decoder; the user's own limits hold exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from media import make_face_clip

import ffpipe
from ffpipe.manifests.records import Entry, MediaRecord
from ffpipe.manifests.schemas import from_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.medium import MediumReader
from ffpipe.pipeline.plan import items_from
from ffpipe.stages import confined
from ffpipe.stages.crop import CropSettings

#: What stands in for a decoder that a medium of such a name brings down. Hanging holds Python's lock, as decord does.
_FAULTS = """
import ctypes, os
from ffpipe.stages.decode import child

decode = child.Decoding
libc = ctypes.PyDLL(None)
faults = {
    "segfault": lambda: ctypes.string_at(0),
    "abort": libc.abort,
    "hang": libc.pause,
    "exit": lambda: os._exit(3),
    "bug": lambda: {}["bug"],
}

def decoding(medium, *rest):
    faults.get(os.path.basename(medium).decode().partition(".")[0], int)()
    return decode(medium, *rest)

child.Decoding = decoding
"""
#: What each fault is reported as.
FAULTS = {
    "segfault": ("crashed", "the decoder died (signal SIGSEGV)"),
    "abort": ("crashed", "the decoder died (signal SIGABRT)"),
    "exit": ("crashed", "the decoder died (exit code 3)"),
    "bug": ("crashed", "the decoder died (exit code 1): KeyError: 'bug'"),
    "hang": ("timeout", "no answer from the decoder in 6 s"),
}


def media_of(folder: Path) -> dict[str, MediaRecord]:
    """The media table by name without suffix."""
    rows = from_table(ShardGroup(folder, "media", ["faces"]).read("media"), MediaRecord)
    return {Path(row.path).stem: row for row in rows}


def test_hangs_and_crashes_cost_one_medium_each_and_the_job_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every bad medium stands between good ones; all are read by one worker, one after another."""
    monkeypatch.setattr(confined, "_BOOT", f"exec({_FAULTS!r}); {confined._BOOT}")
    source = tmp_path / "set"
    for number, name in enumerate(FAULTS):
        make_face_clip(source / f"{name}.mp4", seconds=0.2, seed=2 * number)
        make_face_clip(source / f"good_{name}.mp4", seconds=0.2, seed=2 * number + 1)
    result = ffpipe.extract(
        source, workspace=tmp_path / "home", workers=0, engine="local", frames=2, timeout=6.0
    )
    found = media_of(result.root)
    assert {name: (found[name].status, found[name].reason) for name in FAULTS} == FAULTS
    good = [found[f"good_{name}"] for name in FAULTS]
    assert [(media.status, media.faces, media.frames_decoded) for media in good] == [("ok", 2, 2)] * len(
        FAULTS
    )
    assert len(found) == 2 * len(FAULTS)


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_face_clip(tmp_path_factory.mktemp("face") / "face.mp4", seconds=0.2).path


def read(path: Path, home: Path, settings: Sequence[str]) -> MediaRecord:
    """As extract reads with these settings, given as on the command line."""
    config = ExtractConfig.build({"frames": 2}, overrides=settings)
    hashes = hash_inputs([str(path)], HashCache(home / "hashes"), max_bytes=config.max_bytes)
    (item,) = items_from([Entry(str(path))], hashes)
    reader = MediumReader(config, CropSettings(), None)
    try:
        return reader.read(item).media
    finally:
        reader.close()


def test_the_user_s_limits_hold_at_the_limit_and_one_past(face: Path, tmp_path: Path) -> None:
    size = face.stat().st_size
    assert read(face, tmp_path / "at", [f"max-pixels={320 * 240}", f"max-bytes={size}"]).status == "ok"
    many = read(face, tmp_path / "pixels", [f"max-pixels={320 * 240 - 1}"])
    assert (many.status, many.reason) == ("too_large", "320x240 pixels; the limit is 76799 a picture")
    large = read(face, tmp_path / "bytes", [f"max-bytes={size - 1}"])
    assert (large.status, large.reason) == ("too_large", f"{size} bytes, not read; the limit is {size - 1}")
    slow = read(face, tmp_path / "time", ["timeout=0.000001"])
    assert slow.status == "timeout"
