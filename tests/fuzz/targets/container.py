"""The container gate: any bytes are a known kind of medium, or unsupported, and what opens them leaves nothing open."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import FAILED_STATUSES
from ffpipe.stages.decode import Limits
from ffpipe.stages.decode.boxes import has_encrypted_video, listed_pictures
from ffpipe.stages.decode.gate import HEAD_BYTES, open_source, recognise
from fuzz.seeds import SEEDS, seed

_LIMITS = Limits()
#: Kinds of media that the gate may name.
_VIDEOS = set(
    ["matroska", "flv", "ogg", "gif", "asf", "mpeg", "mpegvideo", "mov", "avi", "mpegts", "h264", "hevc"]
)
_IMAGES = {"JPEG", "PNG", "BMP", "TIFF", "WEBP"}


def seeds() -> Iterable[bytes]:
    """Sound files of every kind."""
    return [seed(name) for name in SEEDS]


def fuzz_one(data: bytes) -> None:
    """The gate's answer is the same for the first bytes and for the file, and its facts are the file's."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        try:
            with open_source(f"/proc/self/fd/{descriptor}".encode(), _LIMITS) as source:
                assert (source.kind, source.format) == recognise(data[:HEAD_BYTES])
                assert source.format in (_VIDEOS if source.kind == "video" else _IMAGES)
                assert source.size == len(data)
                if source.format == "mov":
                    has_encrypted_video(source.descriptor, source.size)
                    assert listed_pictures(source.descriptor, source.size) >= 0
        except MediaError as error:
            assert error.status in FAILED_STATUSES
            assert error.reason
            assert "\n" not in error.reason
    finally:
        os.close(descriptor)
