"""Archives of pictures, as they are listed before anything of them is decoded."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable

from ffpipe.manifests.pictures import list_tar
from fuzz.seeds import seed


def seeds() -> Iterable[bytes]:
    """An archive, plain and compressed."""
    return [seed("tar"), gzip.compress(seed("tar"), mtime=0)]


def fuzz_one(data: bytes) -> None:
    """Whatever the archive is, its members stay below it, and each is listed once."""
    descriptor = os.memfd_create("fuzz")
    try:
        os.write(descriptor, data)
        content = list_tar(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    for pictures in content.sequences.values():
        assert len(set(pictures.names)) == len(pictures.names)
        assert not any(name.startswith("/") or ".." in name.split("/") for name in pictures.names)
        assert pictures.bytes >= 0
    assert content.fault is None or "\n" not in content.fault
