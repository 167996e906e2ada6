"""The child that makes copies ends with a result or a reason, whatever it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from media import make_clip, make_cut

from ffpipe.manifests.errors import MediaError, StorageError
from ffpipe.stages import confined
from ffpipe.stages.decode import Limits, decode_in_process
from ffpipe.stages.decode.sandbox import active_protection
from ffpipe.stages.sampling import Sampling
from ffpipe.stages.transcode import transcode_confined

#: Another's work in place of the encoder's: it tries to write beside its outputs, into them, and to reach out.
_INTRUDER = """
import os, socket
from ffpipe.stages.transcode import child

def tried(act):
    try:
        act()
    except OSError as error:
        return type(error).__name__
    return "done"

def intrude(channel, path, outputs, limits):
    acts = [
        lambda: os.open(path + ".new", os.O_WRONLY | os.O_CREAT),
        lambda: os.open(path, os.O_WRONLY),
        lambda: socket.create_connection(("127.0.0.1", 9)),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.open(outputs[40], os.O_WRONLY | os.O_TRUNC),
    ]
    channel.send(kind="error", status="crashed", reason=" ".join(map(tried, acts)))

child._transcode = intrude
"""


def make(source: Path, target: Path, limits: Limits | None = None):
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        return transcode_confined(str(source), {40: descriptor}, limits or Limits())
    finally:
        os.close(descriptor)


def test_a_copy_is_written_into_the_given_file_whatever_the_names(tmp_path):
    clip = make_clip(tmp_path / "ffconcat version 1.0 %03d;$(x).mp4", frames=6)
    target = tmp_path / "http:\n-out"
    assert make(clip.path, target).frames == 6
    assert len(list(decode_in_process(target, Sampling.of_all()))) == 6


def test_a_damaged_video_is_a_reason(tmp_path):
    with pytest.raises(MediaError, match="not whole: decoded") as caught:
        make(make_cut(tmp_path / "cut.mp4").path, tmp_path / "out.mp4")
    assert caught.value.status == "unreadable"


def test_a_stalled_child_is_killed(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=6)
    with pytest.raises(MediaError) as caught:
        make(clip.path, tmp_path / "out.mp4", Limits(wall_seconds=0.001))
    assert caught.value.status == "timeout"


def test_a_picture_beyond_the_limit_is_refused(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=6)
    with pytest.raises(MediaError) as caught:
        make(clip.path, tmp_path / "out.mp4", Limits(max_pixels=1000))
    assert caught.value.status == "too_large"


def test_a_full_disk_ends_the_job(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=6)
    with pytest.raises(StorageError, match="No space left"):
        make(clip.path, Path("/dev/full"))


def test_the_child_can_write_its_copies_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(confined, "_BOOT", f"exec({_INTRUDER!r}); {confined._BOOT}")
    clip = make_clip(tmp_path / "clip.mp4", frames=6)
    with pytest.raises(MediaError) as caught:
        make(clip.path, tmp_path / "out.mp4")
    if not active_protection().landlock:
        pytest.skip("files are not guarded here: no Landlock")
    assert caught.value.reason == "PermissionError PermissionError PermissionError PermissionError done"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "out.mp4"]
