"""An mp4's own boxes tell what cannot be: more pictures than the file has bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fuzz.seeds import PICTURES, seed

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.boxes import has_encrypted_video, listed_pictures
from ffpipe.stages.decode.gate import open_source
from ffpipe.stages.decode.video import open_video


def listing(content: bytes, name: bytes, offset: int, number: int) -> bytes:
    """The file with another number of samples in the last table or run of this name."""
    at = content.rindex(name) + 4 + offset
    return content[:at] + number.to_bytes(4, "big") + content[at + 4 :]


def listed(folder: Path, content: bytes) -> int:
    path = folder / "clip.mp4"
    path.write_bytes(content)
    with open_source(os.fsencode(path), Limits()) as source:
        return listed_pictures(source.descriptor, source.size)


@pytest.mark.parametrize(("name", "box", "offset"), [("mp4", b"stsz", 8), ("mp4_fragmented", b"trun", 4)])
def test_more_pictures_than_bytes_are_refused_before_ffmpeg_lists_them(
    tmp_path: Path, name: str, box: bytes, offset: int
) -> None:
    content = seed(name)
    assert listed(tmp_path, content) == PICTURES
    many = listing(content, box, offset, 1 << 25)
    assert listed(tmp_path, many) >= 1 << 25
    with (
        open_source(os.fsencode(tmp_path / "clip.mp4"), Limits()) as source,
        pytest.raises(MediaError, match=r"lists 3355\d+ pictures in a file of \d+ bytes") as caught,
    ):
        open_video(source, None, Limits())
    assert caught.value.status == "unreadable"


def test_other_tracks_and_no_boxes_at_all_list_no_pictures(tmp_path: Path) -> None:
    sound = seed("mp4").replace(b"vide\0", b"soun\0", 1)
    assert listed(tmp_path, listing(sound, b"stsz", 8, 1 << 30)) == 0
    assert listed(tmp_path, b"\0\0\0\x08ftyp") == 0


@pytest.mark.parametrize("length", [(1 << 64) - 1, 1 << 63, (1 << 63) - 16])
def test_a_box_that_ends_beyond_any_file_is_the_last_one(tmp_path: Path, length: int) -> None:
    """Found by the fuzzer: such an offset is more than the system call takes."""
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x01free" + length.to_bytes(8, "big") + seed("mp4"))
    with open_source(os.fsencode(path), Limits()) as source:
        assert has_encrypted_video(source.descriptor, source.size) is False
        assert listed_pictures(source.descriptor, source.size) == 0
