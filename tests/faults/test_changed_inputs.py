"""Inputs that change under a run: nothing is said of them, and the next run reads them as if nothing had been."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ffpipe.pipeline import medium
from ffpipe.pipeline.config import ExtractConfig, ScoreConfig
from ffpipe.pipeline.extract import extract
from ffpipe.pipeline.score import ScoreResult, score
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.decode.sandbox import DecodeSandbox

INLINE: dict[str, Any] = {"engine": "local", "workers": 0, "frames": 2}


def nothing(_path: Path) -> None:
    return None


@dataclass(frozen=True)
class Injection:
    """What happens to a file in front of its opening, once it is open, and after its faces were found."""

    status: str
    words: str
    before: Callable[[Path], None] = nothing
    opened: Callable[[Path], None] = nothing
    after: Callable[[Path], None] = nothing
    back: bool = field(default=False)
    """Whether the file ends as it began."""


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def with_last_byte(clip: Path, last: int) -> bytes:
    """The clip's content with a box behind it that no decoder looks into."""
    return clip.read_bytes() + bytes([0, 0, 0, 9]) + b"free" + bytes([last])


def spare(path: Path) -> Path:
    return path.with_name(f".{path.name}.spare")


def exchange(path: Path) -> None:
    """Another file of this name; the own one waits under another."""
    path.rename(spare(path))
    shutil.copy2(path.parent.parent / "other.mp4", path)


def exchange_back(path: Path) -> None:
    spare(path).replace(path)


def overwrite(path: Path) -> None:
    """Other content of the same size in the same file, with its old time."""
    facts = path.stat()
    shutil.copy2(path, spare(path))
    content = bytearray(path.read_bytes())
    content[-1] ^= 128
    path.write_bytes(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def write_back(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(spare(path).read_bytes())
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    spare(path).unlink()


def point_elsewhere(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "other.mp4")


def point_back(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.parent.parent / "own" / path.name)


CHANGED, PUT_BACK = "changed while it was processed", "exchanged or written to while it was processed"
INJECTIONS = {
    "deleted": Injection("missing", "gone since", before=Path.unlink),
    "deleted while open": Injection("missing", "gone since", opened=Path.unlink),
    "truncated": Injection("changed", CHANGED, before=cut),
    "truncated while open": Injection("changed", CHANGED, after=cut),
    "appended to": Injection("changed", CHANGED, opened=append),
    "replaced": Injection("changed", CHANGED, before=exchange),
    "rewritten with its old time": Injection("changed", CHANGED, opened=overwrite),
    "replaced and put back": Injection("changed", PUT_BACK, before=exchange, opened=exchange_back, back=True),
    "rewritten and put back": Injection("changed", PUT_BACK, opened=overwrite, after=write_back, back=True),
    "link turned and turned back": Injection(
        "changed", CHANGED, before=point_elsewhere, opened=point_back, back=True
    ),
    "left alone": Injection("ok", "", back=True),
}


def file_name(name: str) -> str:
    return f"{name.replace(' ', '-')}.mp4"


@pytest.fixture
def tree(clip: Path, other: Path, tmp_path: Path) -> Path:
    """A file an injection, each of a content of its own, since copies are decoded once."""
    root = tmp_path / "set"
    root.mkdir()
    (tmp_path / "own").mkdir()
    shutil.copy(other, tmp_path / "other.mp4")
    for number, name in enumerate(INJECTIONS):
        path = root / file_name(name)
        path.write_bytes(with_last_byte(clip, number))
        if name.startswith("link"):
            shutil.move(path, tmp_path / "own" / path.name)
            path.symlink_to(tmp_path / "own" / path.name)
    return root


@contextmanager
def injected(tree: Path) -> Iterator[None]:
    """Each file's injection happens while the driver has it processed in this process."""
    by_path = {str(tree / file_name(name)): injection for name, injection in INJECTIONS.items()}
    opening, finding = DecodeSandbox.open, medium.find_faces
    at_work: list[str] = []

    def open_one(self: DecodeSandbox, path: Any, *arguments: Any, **more: Any) -> Any:
        at_work[:] = [path]
        by_path[path].before(Path(path))
        try:
            return opening(self, path, *arguments, **more)
        finally:
            by_path[path].opened(Path(path))

    def find(*arguments: Any, **more: Any) -> Any:
        found = finding(*arguments, **more)
        by_path[at_work[0]].after(Path(at_work[0]))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecodeSandbox, "open", open_one)
        patch.setattr(medium, "find_faces", find)
        yield


def restore(tree: Path, clip: Path) -> None:
    """Put every file back as it was."""
    for number, (name, injection) in enumerate(INJECTIONS.items()):
        path = tree / file_name(name)
        if not injection.back:
            path.unlink(missing_ok=True)
            path.write_bytes(with_last_byte(clip, number))
    for left in tree.glob(".*"):
        left.unlink()


def by_name(table: Any) -> pd.DataFrame:
    frame = table.to_pandas()
    frame.index = [Path(path).stem.replace("-", " ") for path in frame["path"]]
    return frame.sort_index()


def assert_told(rows: pd.DataFrame) -> None:
    assert sorted(rows.index) == sorted(INJECTIONS), "one row an input"
    for name, injection in INJECTIONS.items():
        row = rows.loc[name]
        assert row["status"] == injection.status, name
        assert injection.words in str(row["reason"]), name


def test_extract_keeps_no_face_of_them_and_reads_them_again(tree: Path, clip: Path, tmp_path: Path) -> None:
    config = ExtractConfig.build(INLINE)

    def run(home: Path, said: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
        result = extract(tree, config, Workspace(home), said.append)
        group = Workspace(home).dataset(result.name)
        faces = group.read("faces").to_pandas().sort_values("face_id").reset_index(drop=True)
        return by_name(group.read("media")), faces

    with injected(tree):
        media, faces = run(tmp_path / "ws", [])
    assert_told(media)
    assert set(faces["media_id"]) == {media.loc["left alone", "media_id"]}
    assert (media.drop(index="left alone")["faces"] == 0).all()
    restore(tree, clip)
    said: list[str] = []
    again = run(tmp_path / "ws", said)
    assert any("10 inputs that changed while an earlier run processed them" in line for line in said)
    whole = run(tmp_path / "whole", [])
    for found, expected in zip(again, whole, strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert set(again[0]["status"]) == {"ok"}


@pytest.mark.slow
def test_score_gives_no_verdict_and_scores_them_again(
    tree: Path, clip: Path, weights: Path, tmp_path: Path
) -> None:
    config = ScoreConfig.build({**INLINE, "weights": weights, "keep_faces": "all"})

    def run(home: Path) -> ScoreResult:
        return score([tree], config, Workspace(home), out=tmp_path / "r.parquet", say=[].append)

    with injected(tree):
        first = run(tmp_path / "ws")
    rows = by_name(first.report)
    assert_told(rows)
    assert first.exit_code == 3
    voided = rows.drop(index="left alone")
    assert set(voided["verdict"]) == {"not_assessable"}
    assert voided[["score", "worst_track"]].isna().all(axis=None)
    sound = rows.loc["left alone", "media_id"]
    kept = Workspace(tmp_path / "ws").scores(first.root.name)
    for table in ("tracks", "scores", "faces"):
        assert set(kept.read(table)["media_id"].to_pylist()) == {sound}, table
    restore(tree, clip)
    again, whole = run(tmp_path / "ws"), run(tmp_path / "whole")
    assert again.exit_code == 0
    assert again.report.drop_columns("provenance_id").equals(whole.report.drop_columns("provenance_id"))
    assert again.scores.equals(whole.scores)
    assert again.tracks.equals(whole.tracks)


def test_a_stale_hash_is_noticed_when_the_file_is_decoded(clip: Path, weights: Path, tmp_path: Path) -> None:
    """Same size, time and inode, other content: the cache cannot know."""
    path = tmp_path / "stale.mp4"
    path.write_bytes(with_last_byte(clip, 0))

    def run(**settings: Any) -> dict[str, Any]:
        config = ScoreConfig.build({**INLINE, "weights": weights, **settings})
        (row,) = score([path], config, Workspace(tmp_path / "ws"), say=[].append).report.to_pylist()
        return dict(row)

    before = run(frames=1)
    overwrite(path)
    stale = run()
    assert (stale["status"], stale["verdict"], stale["score"]) == ("changed", "not_assessable", None)
    assert stale["sha256"] == before["sha256"]
    assert "--rehash" in stale["reason"]
    mended = run(rehash=True)
    assert (mended["status"], mended["sha256"] == before["sha256"]) == ("ok", False)
    assert run() == mended, "the cache is mended too"
