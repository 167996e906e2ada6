"""The gate tells media from everything else by content, and opens nothing but regular files."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.errors import MediaError
from ffpipe.stages.decode.contract import Limits
from ffpipe.stages.decode.gate import HEAD_BYTES, open_source, recognise


def status_of(path: Path) -> str:
    with pytest.raises(MediaError) as caught:
        open_source(os.fsencode(path), Limits())
    return caught.value.status


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\x00\x00\x00\x20ftypisom", ("video", "mov")),
        (b"\x00\x00\x00\x08wide", ("video", "mov")),
        (b"\x1a\x45\xdf\xa3rest", ("video", "matroska")),
        (b"RIFF\x00\x00\x00\x00AVI LIST", ("video", "avi")),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", ("image", "WEBP")),
        (b"\x00\x00\x01\xba\x21", ("video", "mpeg")),
        (b"\x00\x00\x01\xb3\x14", ("video", "mpegvideo")),
        ((b"\x47" + b"\x00" * 187) * 4, ("video", "mpegts")),
        ((b"\x00" * 4 + b"\x47" + b"\x00" * 187) * 4, ("video", "mpegts")),
        (b"\x00\x00\x00\x01\x67\x42", ("video", "h264")),
        (b"\x00\x00\x01\x09\x10", ("video", "h264")),
        (b"\x00\x00\x00\x01\x40\x01", ("video", "hevc")),
        (b"FLV\x01\x05", ("video", "flv")),
        (b"OggS\x00", ("video", "ogg")),
        (b"GIF89a", ("video", "gif")),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", ("video", "asf")),
        (b"\xff\xd8\xff\xe0", ("image", "JPEG")),
        (b"\x89PNG\r\n\x1a\n", ("image", "PNG")),
        (b"II*\x00", ("image", "TIFF")),
        (b"BM\x00", ("image", "BMP")),
    ],
)
def test_formats_are_recognised(head: bytes, expected: tuple[str, str]) -> None:
    assert recognise(head) == expected


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"#EXTM3U\n", "HLS playlist"),
        (b"\xef\xbb\xbfffconcat version 1.0", "list of files to join"),
        (b"  v=0\r\no=-", "session description"),
        (b'<?xml version="1.0"?>\n<MPD xmlns', "DASH manifest"),
        (b"\x00\x00\x00\x20ftypheic", "HEIF or AVIF"),
        (b"just text", "no known video or image"),
        (b"\x00\x00\x01\x00\x01", "no known video or image"),
    ],
)
def test_what_is_no_medium_is_unsupported_with_a_reason(head: bytes, words: str) -> None:
    with pytest.raises(MediaError, match=words) as caught:
        recognise(head)
    assert caught.value.status == "unsupported"


@given(st.binary(max_size=HEAD_BYTES))
def test_any_bytes_are_recognised_or_refused(head: bytes) -> None:
    try:
        kind, name = recognise(head)
    except MediaError as error:
        assert error.status == "unsupported"
    else:
        assert kind in ("video", "image")
        assert name


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "socket.mp4"))
    (tmp_path / "link.mp4").symlink_to(tmp_path / "pipe.mp4")
    for name in ("pipe.mp4", "folder.mp4", "socket.mp4", "link.mp4"):
        assert status_of(tmp_path / name) == "unsupported"
    assert status_of(Path("/dev/zero")) == "unsupported"


def test_opening_a_pipe_never_waits(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    thread = threading.Thread(target=status_of, args=(tmp_path / "pipe",), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()


def test_loops_and_absent_files(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert status_of(tmp_path / "a") == "unreadable"
    assert status_of(tmp_path / "absent") == "missing"
    (tmp_path / "file").write_bytes(b"x")
    assert status_of(tmp_path / "file" / "below") == "missing"


def test_refusing_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert status_of(tmp_path / "text") == "unsupported"
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_source_is_read_through_its_descriptor(tmp_path: Path) -> None:
    path = tmp_path / "x.gif"
    path.write_bytes(b"GIF89a" + b"\x00" * 20)
    with open_source(os.fsencode(path), Limits()) as source:
        path.rename(tmp_path / "moved.gif")
        assert Path(source.url).read_bytes().startswith(b"GIF89a")
        assert (source.size, source.kind, source.format) == (26, "video", "gif")
