from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffpipe.manifests import shards as shards_module
from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import IntegrityError, LockedError, StorageError
from ffpipe.manifests.records import MediaRecord, Status
from ffpipe.manifests.schemas import from_table, to_table
from ffpipe.manifests.shards import ShardGroup, chunk_id, write_atomic


def tables(name: str) -> dict[str, pa.Table]:
    media = MediaRecord(name, name, name.encode(), "0" * 64, 1, Status.OK)
    return {"media": to_table("media", [media]), "faces": to_table("faces", [])}


@pytest.fixture
def group(tmp_path: Path) -> ShardGroup:
    shards = ShardGroup(tmp_path / "d", "media", ["faces"])
    shards.create()
    return shards


def names(group: ShardGroup) -> list[str]:
    return group.read("media", ["media_id"])["media_id"].to_pylist()


def files(group: ShardGroup) -> set[str]:
    return {str(p.relative_to(group.root)) for p in group.root.rglob("*") if p.is_file()}


def test_a_committed_chunk_is_read_and_its_commit_has_the_documented_keys(group: ShardGroup) -> None:
    assert group.commit("c1", "a", tables("m1"), [{"path": "m1", "media_id": "m1", "status": "ok"}])
    assert names(group) == ["m1"]
    stored = json.loads((group.root / "media/_commits/c1.json").read_text())
    assert {"file", "bytes", "sha256", "rows", "inputs"} <= stored.keys()
    assert stored["sha256"] == sha256_file(group.root / "media" / stored["file"])
    assert (group.root / "faces/_commits/c1.json").exists()
    assert list((group.root / "media/_tmp").iterdir()) == []


def test_shards_from_before_a_column_was_added_are_read_beside_new_ones(group: ShardGroup) -> None:
    old, new = tables("m1"), tables("m2")
    old["media"] = old["media"].drop_columns("subset")
    new["media"] = to_table(
        "media", [MediaRecord("m2", "m2", b"m2", "0" * 64, 1, Status.OK, subset="biggan")]
    )
    assert group.commit("c1", "a", old, [])
    assert group.commit("c2", "a", new, [])
    assert [m.subset for m in from_table(group.read("media"), MediaRecord)] == [None, "biggan"]
    assert group.read("media", ["subset", "media_id"]).to_pydict() == {
        "subset": [None, "biggan"],
        "media_id": ["m1", "m2"],
    }
    without = tables("m3")
    without["media"] = without["media"].drop_columns("label")
    assert group.commit("c3", "a", without, [])
    with pytest.raises(IntegrityError, match="missing .*label"):
        group.read("media")


def test_large_rows_are_read_a_few_at_a_time(group: ShardGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    media = [MediaRecord(f"m{k}", "x" * 1000, b"", "0" * 64, 1, Status.OK) for k in range(20)]
    whole = to_table("media", media)
    monkeypatch.setattr(shards_module, "_ROW_GROUP_BYTES", whole.nbytes // 4 + 1)
    assert group.commit("c", "a", {"media": whole, "faces": to_table("faces", [])}, [])
    (path, _), *_ = group.shards("media")
    assert [pq.ParquetFile(path).metadata.row_group(k).num_rows for k in range(4)] == [5, 5, 5, 5]
    assert group.read("media").num_rows == 20


def test_the_first_commit_wins_and_the_loser_leaves_nothing(group: ShardGroup) -> None:
    assert group.commit("c1", "a", tables("m1"), [])
    before = files(group)
    assert not group.commit("c1", "b", tables("m2"), [])
    assert files(group) == before
    assert names(group) == ["m1"]


def test_many_attempts_at_once_commit_exactly_once(group: ShardGroup) -> None:
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: won.append(group.commit("c", f"a{n}", tables(f"m{n}"), [])))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(won) == 1
    assert len(names(group)) == 1
    assert len(list((group.root / "faces").glob("part-*"))) == 1


def test_parts_without_a_commit_are_never_read_and_are_swept(group: ShardGroup) -> None:
    group.commit("c1", "a", tables("m1"), [])
    before = files(group)
    for stray in ("media/part-c2.x.parquet", "media/_tmp/c3.y.parquet", "faces/part-c2.x.parquet"):
        (group.root / stray).write_bytes(b"torn")
    assert names(group) == ["m1"]
    assert group.sweep() == 3
    assert files(group) == before


def test_a_kill_between_the_lead_and_its_companions_is_mended(group: ShardGroup) -> None:
    group.commit("c1", "a", tables("m1"), [])
    companion = group.root / "faces/_commits/c1.json"
    content = companion.read_text()
    companion.unlink()
    assert [part.name for part in (group.root / "faces").glob("part-*")]
    group.sweep()
    assert companion.read_text() == content


def test_a_revoked_chunk_is_gone_after_the_sweep(group: ShardGroup) -> None:
    group.commit("c1", "a", tables("m1"), [])
    group.revoke("c1")
    group.sweep()
    assert names(group) == []
    assert not [f for f in files(group) if "c1" in f]


def test_one_chunk_is_read_alone_and_a_damaged_page_is_noticed(group: ShardGroup) -> None:
    group.commit("c1", "a", tables("m1"), [])
    group.commit("c2", "a", tables("m2"), [])
    assert group.read_chunk("c2", "media", ["media_id"]).to_pydict() == {"media_id": ["m2"]}
    assert group.read_chunk("c2", "faces").num_rows == 0
    path = group.root / "media" / "part-c2.a.parquet"
    content = bytearray(path.read_bytes())
    # The first column's first page, behind the file's mark and the page's header.
    content[40:60] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"part-c2\.a\.parquet"):
        group.read_chunk("c2", "media", ["media_id"])


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_a_damaged_shard_is_refused_by_name(group: ShardGroup, damage: str) -> None:
    group.commit("c1", "a", tables("m1"), [])
    (path,) = (group.root / "media").glob("part-*")
    content = bytearray(path.read_bytes())
    if damage == "delete":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "flip" else content[:-20])
    with pytest.raises(IntegrityError, match="part-c1.a.parquet"):
        names(ShardGroup(group.root, "media", ["faces"]))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"file": 1}'])
def test_a_damaged_commit_is_refused_by_name(group: ShardGroup, content: str) -> None:
    (group.root / "media/_commits/c9.json").write_text(content)
    with pytest.raises(IntegrityError, match="c9.json"):
        group.commits()


def test_a_commit_that_cannot_be_written_counts_for_nothing(
    group: ShardGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    group.commit("c1", "a", tables("m1"), [])
    before = files(group)
    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match="No space left"):
        group.commit("c2", "a", tables("m2"), [])
    assert files(group) == before


def test_a_second_run_is_refused_and_the_lock_dies_with_its_process(group: ShardGroup) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ffpipe.manifests.run_lock import RunLock\n"
        "with RunLock(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    path = group.root / "_lock"
    holder = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match="another run"), group.lock():
        pass
    holder.kill()
    holder.wait()
    holder.stdout.close()
    with group.lock():
        pass


def test_chunk_ids_depend_on_every_input_and_take_any_name() -> None:
    assert chunk_id(["a", "b"]) != chunk_id(["b", "a"])
    assert len(chunk_id(["\udcff"])) == 20


def test_write_atomic_keeps_the_old_file_where_the_new_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_atomic(path, b"old")
    with pytest.raises(StorageError, match="no/f"):
        write_atomic(tmp_path / "no" / "f", b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["f"]
