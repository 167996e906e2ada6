from __future__ import annotations

from pathlib import Path

import pytest
from names import NAMES

from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.serving.batches import State, Store, Upload, new_id
from ffpipe.pipeline.serving.refusal import Refused


def make_store(home: Path, said: list[str] | None = None, keep: bool = False) -> Store:
    store = Store(home / "serve")
    store.prepare()
    store.load((said if said is not None else []).append, keep)
    return store


def fill(store: Store, state: State, names: tuple[str, ...] = ("a.mp4",)) -> str:
    batch = store.create()
    with store.changing(batch):
        batch.state = state
        for name in names:
            batch.uploads.append(Upload(new_id(), name, 4))
            (store.uploads(batch) / batch.uploads[-1].id).write_bytes(b"data")
    return batch.id


def test_a_restart_finds_batches_as_they_were_and_lets_the_interrupted_one_wait_again(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    before = {fill(store, state): state for state in State if state is not State.OPEN}
    found = {batch.id: batch.state for batch in make_store(tmp_path).all()}
    assert found == {name: State.QUEUED if s is State.RUNNING else s for name, s in before.items()}


def test_what_a_killed_server_had_not_deleted_yet_is_deleted_at_a_restart(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    fill(store, State.DONE)
    (kept,) = make_store(tmp_path, keep=True).all()
    assert kept.kept and store.uploads(kept).exists()
    for _ in range(2):
        (gone,) = make_store(tmp_path).all()
        assert not gone.kept and not store.uploads(gone).exists() and gone.state is State.DONE


def test_what_was_never_sent_whole_is_deleted_at_a_restart(tmp_path: Path) -> None:
    name = fill(make_store(tmp_path), State.OPEN)
    said: list[str] = []
    assert make_store(tmp_path, said).all() == []
    assert not (tmp_path / "serve" / name).exists()
    assert len(said) == 1


def test_names_are_data_whatever_they_are(tmp_path: Path) -> None:
    names = tuple(name.decode("utf-8", "surrogateescape") for name in NAMES)
    store = make_store(tmp_path)
    fill(store, State.DONE, names)
    (batch,) = make_store(tmp_path, keep=True).all()
    assert tuple(upload.name for upload in batch.uploads) == names
    assert all(one["name"].isprintable() for one in batch.shown()["uploads"])
    stored = {path.name for path in store.uploads(batch).iterdir()}
    assert stored == {upload.id for upload in batch.uploads}


@pytest.mark.parametrize("change", [b"{}", b"", b"[1]", b'{"id": "../../x"}'])
def test_a_damaged_batch_is_left_alone_and_named(tmp_path: Path, change: bytes) -> None:
    name = fill(make_store(tmp_path), State.DONE)
    (tmp_path / "serve" / name / "batch.json").write_bytes(change)
    said: list[str] = []
    assert make_store(tmp_path, said).all() == []
    assert len(said) == 1
    assert name in said[0]
    assert (tmp_path / "serve" / name).is_dir()


def test_a_batch_that_names_files_outside_is_left_alone(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    batch = store.get(fill(store, State.DONE))
    with store.changing(batch):
        batch.uploads.append(Upload("../../../etc/passwd", "a.mp4", 1))
    said: list[str] = []
    assert make_store(tmp_path, said).all() == []
    assert "not its own" in said[0]


def test_others_cannot_look_into_the_folder(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    batch = store.create()
    assert store.root.stat().st_mode & 0o777 == 0o700
    assert store.uploads(batch).stat().st_mode & 0o777 == 0o700


def test_removing_leaves_nothing_and_nobody_finds_it(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    batch = store.get(fill(store, State.DONE))
    store.remove(batch)
    store.save(batch)
    assert list(store.root.iterdir()) == []
    with pytest.raises(Refused, match="no such batch"):
        store.get(batch.id)


def test_abandoned_batches_go_when_another_begins(tmp_path: Path) -> None:
    store = make_store(tmp_path)
    old, done = fill(store, State.OPEN), fill(store, State.DONE)
    store.get(old).touched -= 4000
    new = store.create().id
    assert {batch.id for batch in store.all()} == {done, new}


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "serve").write_text("a file")
    with pytest.raises(StorageError, match="serve"):
        make_store(tmp_path)
