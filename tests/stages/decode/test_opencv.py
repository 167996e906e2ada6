"""What only OpenCV's way of opening needs: it probes a file anew, so it is held to the format that was recognised."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from media import make_clip

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import Limits, opencv


def opens_as(path: Path, name: str) -> bool:
    """Whether OpenCV opens a file that is held to this demuxer."""
    size = SimpleNamespace(width=192, height=128)
    video = SimpleNamespace(
        limits=Limits(),
        source=SimpleNamespace(url=str(path), format=name),
        stream=SimpleNamespace(codec_context=size),
    )
    try:
        with opencv._capture(video):  # type: ignore[arg-type]
            return True
    except MediaError as error:
        assert "OpenCV cannot open it" in error.reason
        return False


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_opens_as_what_its_first_bytes_say_and_as_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = make_clip(tmp_path / f"a.{suffix}", frames=2).path
    assert [opens_as(path, name) for name in ("mov", "matroska", "avi")] == [
        suffix == "mp4",
        suffix == "mkv",
        False,
    ]


def test_a_list_of_files_does_not_open(tmp_path: Path) -> None:
    """Even if the gate were passed: the demuxer that would follow the list is not allowed."""
    make_clip(tmp_path / "canary.mp4", frames=2)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile canary.mp4\n")
    assert not opens_as(tmp_path / "list.mp4", "mov")
