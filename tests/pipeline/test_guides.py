"""Copies of a clip at several qualities: cut with the boxes of the best one, in whatever order they come."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from media import make_face_clip, move_header_first, recompress

from ffpipe.manifests.commits import Commit, Part
from ffpipe.manifests.records import Entry, MediaRecord, Probe, Status
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import driver
from ffpipe.pipeline.config import ExtractConfig
from ffpipe.pipeline.engine import Chunk, Crash, Engine, Job, Outcome, attempt_name, warm_worker
from ffpipe.pipeline.extract import ExtractResult, extract
from ffpipe.pipeline.guides import (
    Clips,
    Guide,
    OtherFrames,
    quality_rank,
    stale_chunks,
    stored_media,
    with_clips,
)
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.plan import MediumItem, chunks_for, items_from, plan
from ffpipe.pipeline.workspace import Workspace

REAL = "original_sequences/youtube/{}/videos/000.mp4"
FAKE = "manipulated_sequences/Deepfakes/{}/videos/000_001.mp4"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real and a fake clip at three qualities, as FaceForensics++ has them."""
    root = tmp_path_factory.mktemp("ff") / "FF"
    for seed, place in enumerate((REAL, FAKE)):
        clip = make_face_clip(root / place.format("raw"), seconds=0.4, seed=seed, faces=2, size=(480, 240))
        for crf in (23, 40):
            recompress(clip.path, root / place.format(f"c{crf}"), crf)
    return root


def some(tree: Path, root: Path, *qualities: str) -> Path:
    """The tree, or what is there of it already, with these qualities."""
    for place in (REAL, FAKE):
        for quality in qualities:
            target = root / place.format(quality)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(tree / place.format(quality), target)
    return root


def run(source: Path, home: Path, said: list[str] | None = None, **settings: Any) -> ExtractResult:
    given = {"engine": "local", "workers": 0, "frames": 3, "name": "set", **settings}
    return extract(
        source, ExtractConfig.build(given), Workspace(home), (said if said is not None else []).append
    )


def shards(home: Path) -> ShardGroup:
    return Workspace(home).dataset("set")


def tables(home: Path) -> list[pd.DataFrame]:
    found = []
    for name, key in (("media", "path"), ("faces", "face_id")):
        frame = shards(home).read(name).to_pandas().sort_values(key).reset_index(drop=True)
        found.append(frame)
    return found


def by_quality(home: Path) -> dict[str, pd.DataFrame]:
    """The faces of each quality, in order of clip, frame and track."""
    media, faces = tables(home)
    joined = faces.merge(media[["media_id", "quality", "pair_id"]], on="media_id")
    joined = joined.sort_values(["pair_id", "frame_index", "track_id"])
    return {quality: part.reset_index(drop=True) for quality, part in joined.groupby("quality")}


def assert_paired(home: Path, best: str = "c0", others: Sequence[str] = ("c23", "c40")) -> None:
    faces = by_quality(home)
    assert len(faces[best]) > 0
    assert set(faces[best]["detector"]) == {"mtcnn"}
    for quality in others:
        other = faces[quality]
        assert set(other["detector"]) == {"given"}
        for column in ("pair_id", "frame_index", "track_id", "crop_side"):
            assert other[column].tolist() == faces[best][column].tolist()
        for column in ("box", "crop_box", "landmarks"):
            np.testing.assert_array_equal(np.stack(other[column]), np.stack(faces[best][column]))
        assert all(a != b for a, b in zip(other["crop"], faces[best]["crop"], strict=True))


@pytest.fixture(scope="module")
def together(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, list[pd.DataFrame]]:
    """A copy of the tree that has been extracted at once: tree, workspace, tables."""
    folder = tmp_path_factory.mktemp("together")
    root = some(tree, folder / "FF", "raw", "c23", "c40")
    run(root, folder / "ws")
    return root, folder / "ws", tables(folder / "ws")


def assert_equal(home: Path, wanted: Sequence[pd.DataFrame]) -> None:
    for found, expected in zip(tables(home), wanted, strict=True):
        for frame in (found, expected):
            if "path" in frame:
                frame[["path", "path_bytes"]] = ""
        key = ["media_id"]
        pd.testing.assert_frame_equal(
            found.sort_values(key, kind="stable").reset_index(drop=True),
            expected.sort_values(key, kind="stable").reset_index(drop=True),
        )


def test_every_quality_is_cut_with_the_boxes_of_the_best(
    together: tuple[Path, Path, list[pd.DataFrame]],
) -> None:
    root, home, _ = together
    assert_paired(home)
    assert len(by_quality(home)["c0"]) == 2 * 3 * 2
    said: list[str] = []
    run(root, home, said)
    assert "4 media were cut with the boxes of a better quality of the same clip" in said
    assert any("6 done before; 0 to do" in line for line in said)


@pytest.mark.parametrize("order", [("raw", "c40", "c23"), ("c40", "c23", "raw"), ("c23", "raw", "c40")])
def test_the_order_in_which_qualities_come_makes_no_difference(
    tree: Path, tmp_path: Path, together: tuple[Path, Path, list[pd.DataFrame]], order: Sequence[str]
) -> None:
    for quality in order:
        run(some(tree, tmp_path / "FF", quality), tmp_path / "ws")
    assert_paired(tmp_path / "ws")
    assert_equal(tmp_path / "ws", together[2])


def test_what_is_read_again_is_said_and_nothing_is_read_a_third_time(tree: Path, tmp_path: Path) -> None:
    said: list[str] = []
    run(some(tree, tmp_path / "FF", "c40"), tmp_path / "ws", said)
    run(some(tree, tmp_path / "FF", "c23"), tmp_path / "ws", said)
    assert [line for line in said if "read again" in line] == [
        "2 media are read again: they, or others stored with them, were cut without the boxes of the best quality "
        "that is there now"
    ]
    before = {p: p.stat().st_mtime_ns for p in shards(tmp_path / "ws").root.rglob("part-*")}
    run(tmp_path / "FF", tmp_path / "ws", said)
    assert {p: p.stat().st_mtime_ns for p in shards(tmp_path / "ws").root.rglob("part-*")} == before


def test_a_limit_does_not_unmake_what_was_made_without_it(
    tmp_path: Path, together: tuple[Path, Path, list[pd.DataFrame]]
) -> None:
    root, home, wanted = together
    run(root, home, limit=1)
    assert_equal(home, wanted)
    run(root, tmp_path / "ws", limit=2)
    run(root, tmp_path / "ws")
    assert_equal(tmp_path / "ws", wanted)


@pytest.mark.parametrize("damage", ["unreadable", "partial"])
def test_the_next_best_guides_where_the_best_is_not_whole(tree: Path, tmp_path: Path, damage: str) -> None:
    root = some(tree, tmp_path / "FF", "raw", "c23", "c40")
    for place in (REAL, FAKE):
        path = root / place.format("raw")
        if damage == "partial":
            move_header_first(path)
        content = path.read_bytes()
        keep = len(content) * 2 // 3 if damage == "partial" else 0
        path.write_bytes(content[:keep] + bytes(0 if keep else len(content)))
    run(root, tmp_path / "ws")
    media, _ = tables(tmp_path / "ws")
    statuses = media.groupby("quality")["status"].unique()
    assert set(statuses["c0"]) <= ({"partial"} if damage == "partial" else {"unreadable", "unsupported"})
    assert_paired(tmp_path / "ws", "c23", ["c40"])


def test_a_repaired_best_takes_the_lead_when_it_is_tried_again(
    tree: Path, tmp_path: Path, together: tuple[Path, Path, list[pd.DataFrame]]
) -> None:
    root = some(tree, tmp_path / "FF", "raw", "c23", "c40")
    run(root, tmp_path / "ws", max_bytes=min(p.stat().st_size for p in root.rglob("raw/videos/*")) - 1)
    assert_paired(tmp_path / "ws", "c23", ["c40"])
    run(root, tmp_path / "ws", retry_failed=True)
    assert_equal(tmp_path / "ws", together[2])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"skip": 1}, "9 frames, the c0 copy 10"),
        ({"size": (240, 120)}, "240x120 pixels, the c0 copy 480x240"),
    ],
)
def test_other_frames_are_searched_themselves_and_say_so(
    tree: Path, tmp_path: Path, change: dict[str, Any], why: str
) -> None:
    root = some(tree, tmp_path / "FF", "raw", "c23")
    for place in (REAL, FAKE):
        recompress(root / place.format("raw"), root / place.format("c40"), 40, **change)
    said: list[str] = []
    run(root, tmp_path / "ws", said)
    media, _ = tables(tmp_path / "ws")
    odd = media[media["quality"] == "c40"]
    assert set(odd["reason"]) == {f"faces searched in this copy itself: {why}"}
    assert set(odd["status"]) == {"ok"}
    assert set(by_quality(tmp_path / "ws")["c40"]["detector"]) == {"mtcnn"}
    assert any(line.startswith("2 media have other frames") for line in said)
    assert "2 media were cut with the boxes of a better quality of the same clip" in said
    before = {p: p.stat().st_mtime_ns for p in shards(tmp_path / "ws").root.rglob("part-*")}
    run(root, tmp_path / "ws")
    assert {p: p.stat().st_mtime_ns for p in shards(tmp_path / "ws").root.rglob("part-*")} == before


class Fragile(Engine):
    """Every chunk of several items kills its worker; items alone do not."""

    name = "local"
    slots = 1

    def close(self) -> None:
        pass

    def _execute(self, job: Job, chunks: Sequence[Chunk]) -> Iterator[Outcome | Crash]:
        for chunk in chunks:
            if len(chunk.items) > 1:
                yield Crash(chunk, "test")
            else:
                yield Outcome(chunk, warm_worker(job)(chunk, attempt_name()))


def test_items_tried_alone_after_a_crash_are_cut_alike(
    tree: Path,
    tmp_path: Path,
    together: tuple[Path, Path, list[pd.DataFrame]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver, "create_engine", lambda *_: Fragile())
    run(some(tree, tmp_path / "FF", "raw", "c23", "c40"), tmp_path / "ws")
    assert len(shards(tmp_path / "ws").commits()) == 6
    assert_equal(tmp_path / "ws", together[2])


def test_crops_that_are_ready_made_are_not_paired(tree: Path, tmp_path: Path) -> None:
    run(some(tree, tmp_path / "FF", "raw", "c40"), tmp_path / "ws", cropped=True)
    assert set(tables(tmp_path / "ws")[1]["detector"]) == {"cropped"}


# ---------------------------------------------------------------- the rules, without media


def items(*copies: tuple[str, str], failed: Sequence[str] = ()) -> list[MediumItem]:
    """An item for each (clip, quality); its hash is made of both."""
    entries = [Entry(f"{clip}-{quality}", pair_id=clip, quality=quality) for clip, quality in copies]
    hashes = [
        Hashed(e.path, status=Status.MISSING, reason="gone")
        if e.path in failed
        else Hashed(e.path, (e.path.encode().hex() * 9)[:64], 10)
        for e in entries
    ]
    return items_from(entries, hashes)


def commit(chunk: str, *inputs: tuple[MediumItem, Status, MediumItem | None]) -> Commit:
    told = [
        {
            "media_id": item.media_id,
            "path": item.entries[0].path,
            "status": status.value,
            "faces": 1,
            "guide": guide.media_id if guide else None,
        }
        for item, status, guide in inputs
    ]
    return Commit(chunk, Part("f", 1, "0", 1), told)


def test_qualities_are_ordered_the_best_first() -> None:
    given = [None, "x", "c40", "a", "c23", "c0"]
    assert sorted(given, key=quality_rank) == ["c0", "c23", "c40", "a", "x", None]
    assert sorted(["c40", "c5", "c30", "c23"], key=quality_rank) == ["c5", "c23", "c30", "c40"]
    assert quality_rank("raw")[0] == quality_rank("c0")[0]


def test_items_of_a_clip_follow_one_another_the_best_first() -> None:
    made = items(("a", "c40"), ("b", "c40"), ("a", "c0"), ("c", "c0"), ("a", "c23"))
    found = with_clips(made, Clips.of(made, []), {})
    assert [i.entries[0].path for i in found] == ["a-c0", "a-c23", "a-c40", "b-c40", "c-c0"]
    assert [[b.quality for b in i.betters] for i in found] == [[], ["c0"], ["c0", "c23"], [], []]
    assert [i.clip is None for i in found] == [False] * 3 + [True] * 2


def test_one_content_under_two_clips_joins_them() -> None:
    made = items(("a", "c0"), ("a", "c40"), ("b", "c23"))
    twice = replace(made[0], entries=(*made[0].entries, Entry("copy", pair_id="b", quality="c40")))
    found = with_clips([twice, *made[1:]], Clips.of([twice, *made[1:]], []), {})
    assert [i.entries[0].path for i in found] == ["a-c0", "b-c23", "a-c40"]
    assert len({i.clip for i in found}) == 1


def test_an_input_that_cannot_be_read_guides_nothing() -> None:
    made = items(("a", "c0"), ("a", "c40"), failed=["a-c0"])
    assert all(not i.betters and i.clip is None for i in with_clips(made, Clips.of(made, []), {}))


@pytest.mark.parametrize("slots", [1, 4])
def test_chunks_do_not_tear_clips(slots: int) -> None:
    made = items(*((f"clip{n}", q) for q in ("c40", "c0", "c23") for n in range(40)))
    chunks = chunks_for(with_clips(made, Clips.of(made, []), {}), slots)
    assert sum(len(c.items) for c in chunks) == 120
    assert all(len({i.clip for i in c.items}) * 3 == len(c.items) for c in chunks)
    assert len(chunks) > slots


def test_an_interrupted_plan_is_not_kept_where_it_would_tear_a_clip(tmp_path: Path) -> None:
    group = ShardGroup(tmp_path, "media", ["faces"])
    group.create()
    first = items(("a", "c23"), ("a", "c40"), ("b", "c23"), ("b", "c40"))
    old = plan(group, with_clips(first, Clips.of(first, []), {}), 1)
    assert plan(group, with_clips(first, Clips.of(first, []), {}), 4) == old
    more = [*first, *items(("a", "c0"))]
    new = plan(group, with_clips(more, Clips.of(more, []), {}), 1)
    assert [[i.entries[0].path for i in c.items] for c in new] == [
        ["b-c23", "b-c40"],
        ["a-c0", "a-c23", "a-c40"],
    ]


def test_what_was_cut_without_the_best_is_stale() -> None:
    best, middle, worst = items(("a", "c0"), ("a", "c23"), ("a", "c40"))
    made = [best, middle, worst]
    clips = Clips.of(made, [])
    good = [commit("1", (best, Status.OK, None), (middle, Status.OK, best), (worst, Status.PARTIAL, best))]
    assert stale_chunks(made, clips, good) == set()
    alone = [
        commit("1", (best, Status.OK, None)),
        commit("2", (middle, Status.OK, None), (worst, Status.OK, middle)),
    ]
    assert stale_chunks(made, clips, alone) == {"2"}
    lost = [commit("1", (best, Status.CRASHED, None), (middle, Status.OK, None), (worst, Status.OK, middle))]
    assert stale_chunks(made, clips, lost) == set()
    unread = [commit("2", (middle, Status.OK, None), (worst, Status.OK, middle))]
    assert stale_chunks(made, clips, unread) == {"2"}, "the best is still to be read"
    failed = [commit("1", (best, Status.OK, None), (middle, Status.OK, best), (worst, Status.TIMEOUT, None))]
    assert stale_chunks(made, clips, failed) == set()


def test_what_older_versions_stored_is_stale_where_there_is_a_better_copy() -> None:
    best, worst = items(("a", "c0"), ("a", "c40"))
    stored = commit("1", (best, Status.OK, None), (worst, Status.OK, None))
    for told in stored.inputs:
        del told["guide"]
    assert stale_chunks([best, worst], Clips.of([best, worst], []), [stored]) == {"1"}


def test_taking_back_a_chunk_takes_back_what_it_guided() -> None:
    a0, a40, b0, b40 = items(("a", "c0"), ("a", "c40"), ("b", "c0"), ("b", "c40"))
    made = [a0, a40, b0, b40]
    commits = [
        commit("1", (a40, Status.OK, None), (b0, Status.OK, None)),
        commit("2", (b40, Status.OK, b0)),
    ]
    assert stale_chunks(made, Clips.of(made, []), commits) == {"1", "2"}


def test_what_later_paths_took_over_goes_with_its_content() -> None:
    best, worst = items(("a", "c0"), ("a", "c40"))
    twice = replace(worst, entries=(*worst.entries, Entry("copy")))
    copied = commit("2", (replace(worst, entries=(Entry("copy"),)), Status.OK, None))
    copied.inputs[0]["copy"] = True
    commits = [commit("1", (worst, Status.OK, None)), copied]
    assert stale_chunks([best, twice], Clips.of([best, twice], []), commits) == {"1", "2"}


def test_a_chunk_with_an_input_that_is_gone_is_kept() -> None:
    best, worst, gone = items(("a", "c0"), ("a", "c40"), ("z", "c40"))
    commits = [commit("1", (worst, Status.OK, None), (gone, Status.OK, None))]
    assert stale_chunks([best, worst], Clips.of([best, worst], []), commits) == set()


def test_a_stored_copy_that_left_the_tree_still_guides() -> None:
    best, worst = items(("a", "c0"), ("a", "c40"))
    row = MediaRecord(
        best.media_id, "a-c0", b"a-c0", best.sha256, 10, Status.OK, pair_id="a", quality="c0", faces=1
    )
    commits = [commit("1", (best, Status.OK, None))]
    (found,) = with_clips([worst], Clips.of([worst], [row]), stored_media(commits))
    assert [(b.media_id, b.chunk) for b in found.betters] == [(best.media_id, "1")]


GUIDE = Guide(
    MediaRecord("m", "p", b"p", "s", 1, Status.OK, width=64, height=48, frame_count=9, frames_decoded=3),
    "c0",
    {},
    {0: 0.0, 4: 0.16},
)


@pytest.mark.parametrize(
    ("times", "whole", "why"),
    [
        ({0: 0.0, 2: 0.08, 4: 0.16}, True, None),
        ({0: 1.0, 2: 1.08, 4: 1.1605}, True, None),
        ({0: 0.0}, False, None),
        ({0: 0.0, 4: 0.16}, True, "2 frames taken, of the c0 copy 3"),
        ({0: 0.0, 2: 0.08, 5: 0.2}, True, "other frames"),
        ({0: 0.0, 2: 0.08, 4: 0.2}, True, "at other times"),
        ({0: 0.0, 4: 0.2}, False, "at other times"),
    ],
)
def test_frames_are_the_same_by_number_and_time(
    times: dict[int, float], whole: bool, why: str | None
) -> None:
    if why is None:
        GUIDE.check_frames(times, whole)
    else:
        with pytest.raises(OtherFrames, match=why):
            GUIDE.check_frames(times, whole)


def test_headers_that_say_less_do_not_forbid_it() -> None:
    GUIDE.check_header(Probe(width=64, height=48))
    GUIDE.check_header(Probe(width=64, height=48, frame_count=9))
    with pytest.raises(OtherFrames, match="8 frames"):
        GUIDE.check_header(Probe(width=64, height=48, frame_count=8))
