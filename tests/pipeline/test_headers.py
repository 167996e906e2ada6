"""Headers opened by several children: every file once, in order, and an interrupt ends it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from media import make_clip, make_cut
from PIL import Image

from ffpipe.manifests.records import Entry, Pictures, Status
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.headers import open_headers


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Forty files, of which the third is empty, the fourth cut short and the last one absent."""
    folder = tmp_path_factory.mktemp("many")
    clip = make_clip(folder / "clip.mp4", frames=5).path.read_bytes()
    names = [folder / f"{number:02}.mp4" for number in range(40)]
    for name in names[:-1]:
        name.write_bytes(clip)
    names[2].write_bytes(b"")
    make_cut(names[3])
    return [str(name) for name in names]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_each_file_is_opened_once_whatever_the_number_of_children(paths: list[str], workers: int) -> None:
    seen: list[tuple[int, int, str]] = []
    found = open_headers(
        [Entry(path) for path in paths], ExtractConfig(workers=workers), lambda *now: seen.append(now)
    )
    assert [(finding.path, finding.status) for finding in found] == [
        (paths[2], Status.UNREADABLE),
        (paths[3], Status.PARTIAL),
        (paths[39], Status.MISSING),
    ]
    assert [done for done, _, _ in seen] == list(range(1, 41))
    assert Path(found[0].path).name in found[0].line


def test_an_error_in_one_share_ends_the_others(paths: list[str]) -> None:
    calls: list[int] = []

    def interrupt(done: int, total: int, note: str) -> None:
        calls.append(done)
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_headers([Entry(path) for path in paths], ExtractConfig(workers=2), interrupt)
    assert len(calls) < len(paths)


def test_sequences_of_pictures_are_opened_too(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    whole = Pictures(str(tmp_path), ("1.png", "2.png"))
    told = [
        whole,
        replace(whole, fault="3.png is not there"),
        replace(whole, names=(), fault="nothing is left"),
    ]
    entries = [Entry(f"sequence {number}", pictures=pictures) for number, pictures in enumerate(told)]
    found = open_headers(entries, ExtractConfig())
    assert [(f.path, f.status, f.reason) for f in found] == [
        ("sequence 1", Status.PARTIAL, "3.png is not there"),
        ("sequence 2", Status.MISSING, "nothing is left"),
    ]


def test_nothing_to_open_is_nothing_wrong() -> None:
    assert open_headers([], ExtractConfig()) == []
