"""What is noticed of a file between its hash and its last picture; whole runs are in tests/faults."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffpipe.manifests.content import file_facts, sha256_file
from ffpipe.manifests.errors import MediaError
from ffpipe.manifests.records import Pictures, Status
from ffpipe.pipeline.watched import Watch


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "x.mp4"
    made.write_bytes(b"content")
    return made


def rewrite(path: Path) -> None:
    facts = path.stat()
    time.sleep(0.02)  # file systems count time in ticks of some milliseconds
    path.write_bytes(b"content")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_file_at_rest_has_no_fault(path: Path) -> None:
    watch = Watch(str(path), sha256_file(path))
    watch.check_opened(file_facts(path.stat()))
    path.read_bytes()
    assert watch.fault() is None


@pytest.mark.parametrize(
    ("act", "status"),
    [
        (Path.unlink, Status.MISSING),
        (lambda p: p.write_bytes(b"c0ntent"), Status.CHANGED),
        (rewrite, Status.CHANGED),
    ],
)
def test_what_happened_to_it_is_told(path: Path, act: Callable[[Path], object], status: Status) -> None:
    watch = Watch(str(path), sha256_file(path))
    act(path)
    fault = watch.fault()
    assert fault is not None
    assert fault.status == status


def test_a_decoder_that_has_another_file_open_is_noticed(path: Path, tmp_path: Path) -> None:
    watch = Watch(str(path), sha256_file(path))
    with pytest.raises(MediaError, match="changed"):
        watch.check_opened(file_facts(tmp_path.stat()))


def test_a_hash_of_other_content_names_the_way_out(path: Path) -> None:
    fault = Watch(str(path), "0" * 64).fault()
    assert fault is not None
    assert (fault.status, "--rehash" in fault.reason) == (Status.CHANGED, True)


def test_sequences_are_not_watched() -> None:
    assert Watch(Pictures("nowhere", ()), "0" * 64).fault() is None
