from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import Entry, MediaRecord, Pictures, Status
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup, chunk_id
from ffpipe.pipeline.engine import Chunk
from ffpipe.pipeline.hashing import Hashed
from ffpipe.pipeline.plan import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_ITEMS,
    UNREAD,
    MediumItem,
    chunks_for,
    exit_code,
    items_from,
    plan,
)


def items(count: int, size: int = 10) -> list[MediumItem]:
    entries = [Entry(f"v{n}.mp4") for n in range(count)]
    return items_from(entries, [Hashed(e.path, f"{n:064x}", size) for n, e in enumerate(entries)])


@pytest.fixture
def group(tmp_path: Path) -> ShardGroup:
    shards = ShardGroup(tmp_path, "media", ["faces"])
    shards.create()
    return shards


def do(group: ShardGroup, chunk: Chunk) -> None:
    rows = [
        MediaRecord(i.media_id, e.path, e.path.encode(), i.sha256, i.bytes, Status.OK)
        for i in chunk.items
        for e in i.entries
    ]
    inputs = [{"media_id": r.media_id, "path": r.path, "status": "ok"} for r in rows]
    tables = {"media": to_table("media", rows), "faces": to_table("faces", [])}
    assert group.commit(chunk.id, "a", tables, inputs)


def paths(chunks: list[Chunk]) -> list[str]:
    return [e.path for c in chunks for i in c.items for e in i.entries]


def test_copies_are_one_item_and_inputs_without_content_stand_alone() -> None:
    entries = [Entry("a"), Entry("gone"), Entry("copy"), Entry("lost")]
    hashed = [
        Hashed("a", "1" * 64, 5),
        Hashed("gone", status=Status.MISSING, reason="no such file"),
        Hashed("copy", "1" * 64, 5),
        Hashed("lost", status=Status.MISSING, reason="no such file"),
    ]
    first, gone, lost = items_from(entries, hashed)
    assert [e.path for e in first.entries] == ["a", "copy"]
    assert first.media_id == "1" * 32
    assert gone.media_id != lost.media_id
    assert gone.status is Status.MISSING


def test_a_flood_of_copies_is_gathered_in_order_and_its_item_made_twice_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once for the first path and once for the others: one by one they would cost their square."""
    made: list[int] = []

    def counting(item: MediumItem, **changes: Any) -> MediumItem:
        made.append(len(changes["entries"]))
        return replace(item, **changes)

    monkeypatch.setattr("ffpipe.pipeline.plan.replace", counting)
    entries = [Entry(f"{n}.mp4") for n in range(300)]
    (item,) = items_from(entries, [Hashed(e.path, "0" * 64, 0) for e in entries])
    assert item.entries == tuple(entries)
    assert made == [300]


def test_sequences_are_named_by_their_paths_alone_and_files_keep_their_chunks() -> None:
    entries = [
        Entry("a"),
        Entry("s", pictures=Pictures("in/x.tar", ("1.png",), packed=True, sha256="7" * 64)),
    ]
    file, sequence = items_from(entries, [Hashed("a", "1" * 64, 5), Hashed("s", "2" * 64, 6)])
    assert [file.identity, sequence.identity] == [f'{"1" * 32} "a"', f'{"2" * 32} "s"']
    assert [chunk.id for chunk in chunks_for([file], 1)] == [chunk_id([f'{"1" * 32} "a"'])]
    assert file.opened == str(Path("a").absolute())
    assert sequence.opened == Pictures(
        str(Path("in/x.tar").absolute()), ("1.png",), packed=True, sha256="2" * 64
    )


@given(st.integers(1, 200), st.integers(0, MAX_CHUNK_BYTES * 2), st.integers(1, 16))
def test_chunks_hold_every_item_once_and_keep_their_bounds(count: int, size: int, slots: int) -> None:
    made = items(count, size)
    chunks = chunks_for(made, slots)
    assert [i for c in chunks for i in c.items] == made
    assert len({c.id for c in chunks}) == len(chunks)
    assert all(len(c.items) <= MAX_CHUNK_ITEMS for c in chunks)
    assert all(c.cost <= MAX_CHUNK_BYTES or len(c.items) == 1 for c in chunks)


def test_a_finished_plan_has_nothing_left_and_more_inputs_add_chunks(group: ShardGroup) -> None:
    for chunk in plan(group, items(10), 1):
        do(group, chunk)
    assert plan(group, items(10), 1) == []
    assert paths(plan(group, items(12), 1)) == ["v10.mp4", "v11.mp4"]


def test_an_interrupted_plan_keeps_its_chunks_although_inputs_were_added(group: ShardGroup) -> None:
    chunks = plan(group, items(40), 1)
    do(group, chunks[0])
    again = plan(group, items(45), 4)
    assert [c.id for c in again[: len(chunks) - 1]] == [c.id for c in chunks[1:]]
    assert Counter(paths(again)) == Counter(set(paths(again)))
    assert set(paths(again)) == {f"v{n}.mp4" for n in range(45)} - set(paths(chunks[:1]))


def test_a_new_copy_of_a_finished_content_is_planned_alone(group: ShardGroup) -> None:
    for chunk in plan(group, items(2), 1):
        do(group, chunk)
    entries = [Entry("v0.mp4"), Entry("v1.mp4"), Entry("again.mp4")]
    hashed = [Hashed(e.path, f"{n % 2:064x}", 10) for n, e in enumerate(entries)]
    assert paths(plan(group, items_from(entries, hashed), 1)) == ["again.mp4"]


def test_inputs_without_content_are_planned_anew_each_time(group: ShardGroup) -> None:
    lost = items_from([Entry("x")], [Hashed("x", status=Status.MISSING, reason="no such file")])
    (chunk,) = plan(group, lost, 1)
    assert chunk.id.startswith(UNREAD)
    do(group, chunk)
    found = items_from([Entry("x")], [Hashed("x", "2" * 64, 1)])
    (chunk,) = plan(group, found, 1)
    do(group, chunk)
    assert group.read("media").num_rows == 1
    assert group.read("media")["sha256"].to_pylist() == ["2" * 64]


def test_a_damaged_plan_is_named(group: ShardGroup) -> None:
    (group.root / "plan.json").write_text(json.dumps({"chunks": 3}))
    with pytest.raises(StorageError, match="plan.json"):
        plan(group, items(1), 1)


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        ({"ok": 3}, 0),
        ({"no_face": 1, "partial": 2, "skipped": 1}, 0),
        ({"ok": 1, "crashed": 1}, 3),
        ({"missing": 1, "timeout": 1}, 4),
        ({}, 0),
    ],
)
def test_exit_codes(counts: dict[str, int], code: int) -> None:
    assert exit_code(Counter(counts)) == code
