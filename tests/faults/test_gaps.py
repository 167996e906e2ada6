"""A kill and a full disk in front of every single step of what is written: nothing is half, and a resume is exact."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from file_steps import full_at, killed_at, read_only_from, steps_of
from names import report_row

from ffpipe.manifests.errors import StorageError
from ffpipe.manifests.records import MediaRecord, Status
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import plan, tables
from ffpipe.pipeline.evaluation.openings import log_opening, read_openings
from ffpipe.pipeline.workspace import bind_job, read_job

Refusal = Callable[[int, Callable[[], object]], None]

PROVENANCE = {"id": "p", "tool": "ffpipe"}


def made(name: str) -> dict[str, pa.Table]:
    media = MediaRecord(name, name, name.encode(), "0" * 64, 1, Status.OK)
    return {"media": to_table("media", [media]), "faces": to_table("faces", [])}


def group(root: Path) -> ShardGroup:
    return ShardGroup(root / "d", "media", ["faces"])


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def work(root: Path) -> None:
    """What a driver and its worker do: sweep, take a chunk back, plan, commit one that is not there yet, sweep."""
    shards = group(root)
    shards.sweep()
    plan.plan(shards, [], slots=1)
    if not shards.has("c2"):
        shards.commit("c2", "a", made("m2"), [{"media_id": "m2", "path": "m2", "status": "ok"}])
    shards.sweep()


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a committed chunk, one whose companion's commit is not linked yet, and a stray part."""
    root = tmp_path_factory.mktemp("begun")
    shards = group(root)
    shards.create()
    bind_job(shards.root, "digest", {"bound": {"a": 1}}, "")
    shards.commit("c1", "a", made("m1"), [{"media_id": "m1", "path": "m1", "status": "ok"}])
    shards.commit("c0", "a", made("m0"), [{"media_id": "m0", "path": "m0", "status": "ok"}])
    (shards.root / "faces/_commits/c0.json").unlink()
    (shards.root / "media/part-c2.z.parquet").write_bytes(b"torn")
    (shards.root / "faces/_tmp/c2.z.parquet").write_bytes(b"torn")
    return root


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


@pytest.fixture(scope="module")
def whole(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = copied(begun, tmp_path_factory.mktemp("whole") / "w")
    work(root)
    return files(root)


def test_a_kill_in_front_of_every_step_of_a_commit_loses_and_doubles_nothing(
    begun: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    steps = steps_of(lambda: work(copied(begun, tmp_path / "counted")))
    assert steps > 20
    for step in range(steps):
        root = copied(begun, tmp_path / str(step))
        assert killed_at(step, lambda root=root: work(root))
        assert set(group(root).read("media")["media_id"].to_pylist()) in ({"m0", "m1"}, {"m0", "m1", "m2"})
        work(root)
        assert files(root) == whole, f"killed in front of step {step}"


@pytest.mark.parametrize(
    ("at", "words"), [(full_at, "No space left on device"), (read_only_from, "Read-only file system")]
)
def test_a_disk_that_refuses_any_step_of_a_commit_is_told_and_nothing_of_it_counts(
    begun: Path, whole: dict[str, bytes], tmp_path: Path, at: Refusal, words: str
) -> None:
    for step in range(steps_of(lambda: work(copied(begun, tmp_path / "counted")))):
        root = copied(begun, tmp_path / str(step))
        # To delete a temporary file is the one step whose failure harms nothing: the next run sweeps.
        try:
            at(step, lambda root=root: work(root))
        except StorageError as error:
            assert str(root) in error.message
            assert words in error.message
        assert set(group(root).read("media")["media_id"].to_pylist()) >= {"m0", "m1"}
        work(root)
        assert files(root) == whole, f"refused at step {step}"


def report(status: Status) -> dict[str, pa.Table]:
    row = to_table("report", [replace(report_row(), status=status)])
    carrying = tables.with_provenance(row, PROVENANCE)
    return {"report": carrying, "tracks": to_table("tracks", []), "scores": to_table("scores", [])}


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_report_and_what_stands_beside_it_are_old_or_new_at_every_step(tmp_path: Path, suffix: str) -> None:
    def write(root: Path, status: Status) -> None:
        tables.write_report(root / f"r{suffix}", report(status))

    for status in (Status.OK, Status.PARTIAL):
        (tmp_path / status).mkdir()
        write(tmp_path / status, status)
    old, new = files(tmp_path / Status.OK), files(tmp_path / Status.PARTIAL)
    assert old[f"r{suffix}"] != new[f"r{suffix}"]
    for step in range(steps_of(lambda: write(copied(tmp_path / Status.OK, tmp_path / "n"), Status.PARTIAL))):
        killed = copied(tmp_path / Status.OK, tmp_path / f"killed-{step}")
        killed_at(step, lambda killed=killed: write(killed, Status.PARTIAL))
        found = files(killed)
        assert all(found[name] in (old[name], new[name]) for name in old), "each file is whole"
        write(killed, Status.PARTIAL)
        assert files(killed) == new, "no leftover stays"
        full = copied(tmp_path / Status.OK, tmp_path / f"full-{step}")
        try:
            full_at(step, lambda full=full: write(full, Status.PARTIAL))
        except StorageError as error:
            assert f"cannot write {full}/r" in error.message
            found = files(full)
            assert all(found[name] in (old[name], new[name]) for name in old)
        write(full, Status.PARTIAL)
        assert files(full) == new


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".json", ".jsonl"])
def test_no_file_of_a_report_is_touched_where_there_is_no_room_for_all(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"r{suffix}"
    tables.write_report(out, report(Status.OK))
    old = files(tmp_path)
    for step in range(len(old)):  # the first steps wait for each new file to be on the disk
        with pytest.raises(StorageError, match=r"cannot write .*No space left on device"):
            full_at(step, lambda: tables.write_report(out, report(Status.PARTIAL)))
        assert files(tmp_path) == old


def test_an_interrupt_in_the_middle_of_a_report_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "r.csv"
    tables.write_report(out, report(Status.OK))
    old = files(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ffpipe.manifests.durable.sync_folder", interrupted)
        with pytest.raises(KeyboardInterrupt):
            tables.write_report(out, report(Status.PARTIAL))
    assert files(tmp_path).keys() == old.keys()


def small_steps(root: Path) -> dict[str, Callable[[], object]]:
    """Other files that are written once, by what writes them."""
    return {
        "job.json": lambda: bind_job(root, "digest", {"bound": {"a": 1}}, ""),
        "openings.jsonl": lambda: log_opening(root, "data", {"split": "test"}),
        "table.csv": lambda: tables.write_table(root / "table.csv", report(Status.OK)["report"]),
    }


@pytest.mark.parametrize("name", ["job.json", "openings.jsonl", "table.csv"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    write = small_steps(tmp_path)[name]
    if name != "job.json":
        write()
    old = files(tmp_path)
    for step in range(1 if name == "openings.jsonl" else 2):
        with pytest.raises(StorageError, match=f"cannot write {tmp_path}/.*{name}.*No space left on device"):
            full_at(step, write)
        kept = files(tmp_path)
        assert {file: kept[file] for file in old} == old
    write()
    if name == "openings.jsonl":
        assert [opening["opening"] for opening in read_openings(tmp_path)] == [1, 2]
    if name == "job.json":
        assert read_job(tmp_path)["digest"] == "digest"
