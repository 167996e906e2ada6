"""Truncated and bit-flipped files of ours: refused by name, with what mends them, and mended exactly."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny_jobs import judge, learn, look

from ffpipe.manifests.commits import read_commit
from ffpipe.manifests.content import sha256_file
from ffpipe.manifests.errors import FfpipeError, IntegrityError
from ffpipe.manifests.shards import ShardGroup
from ffpipe.pipeline import cli
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.workspace import Workspace, bind_job, read_job

#: Places in a file that are damaged besides its ends, drawn with a seed.
PLACES = 40


def places(size: int, seed: int = 0) -> list[int]:
    """The first and last bytes, the middle, and others."""
    rng = random.Random(seed)
    return sorted(
        {0, 1, size // 2, size - 9, size - 5, size - 1, *(rng.randrange(size) for _ in range(PLACES))}
    )


def damages(content: bytes, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """The content with one bit flipped, in many places, and cut in some."""
    rng = random.Random(seed)
    for place in places(len(content), seed):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        yield f"bit flipped in byte {place}", bytes(flipped)
    for length in (0, 1, len(content) // 2, len(content) - 1):
        yield f"cut to {length} bytes", content[:length]


@pytest.fixture
def data(made: Path, tmp_path: Path) -> ShardGroup:
    shutil.copytree(made, tmp_path / "ws")
    return group(tmp_path)


def group(home: Path) -> ShardGroup:
    """A new object each time: each checks a part once."""
    return Workspace(home / "ws").dataset("made")


def test_any_damage_to_a_shard_is_refused_by_its_hash(data: ShardGroup, tmp_path: Path) -> None:
    for table in data.tables:
        path = data.shards(table)[0][0]
        sound = path.read_bytes()
        for what, content in damages(sound):
            path.write_bytes(content)
            with pytest.raises(IntegrityError) as told:
                group(tmp_path).read(table, ["media_id"])
            assert str(path) in told.value.message, what
            assert "media/_commits/00000000000000000000.json" in told.value.message, "what mends it"
        path.write_bytes(sound)


def test_any_damage_to_a_commit_is_refused_by_its_own_hash(data: ShardGroup) -> None:
    path = data.root / "media/_commits" / "00000000000000000000.json"
    sound = path.read_bytes()
    for what, content in damages(sound):
        path.write_bytes(content)
        with pytest.raises(IntegrityError, match="damaged commit") as told:
            data.commits()
        assert str(path) in told.value.message, what
    path.write_bytes(sound)
    assert read_commit(path).to_json() == sound


def test_a_damaged_commit_of_a_companion_is_written_anew(data: ShardGroup) -> None:
    path = data.root / "faces/_commits" / "00000000000000000000.json"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1])
    data.sweep()
    assert path.read_bytes() == sound


def test_any_damage_to_a_job_file_is_refused(tmp_path: Path) -> None:
    facts = {"bound": {"frames": 4, "sizes": (1, 2)}, "split_source": "official", "provenance": {"id": "x"}}
    bind_job(tmp_path, "digest", facts, "")
    path = tmp_path / "job.json"
    sound, sound_facts = path.read_bytes(), read_job(tmp_path)
    for what, content in damages(sound):
        path.write_bytes(content)
        try:
            found = read_job(tmp_path)
        except IntegrityError as told:
            assert f"{path}: damaged" in told.message, what
        else:
            # A flip in the name of the check itself makes it look like an older file: all else is as it was.
            assert sound_facts.items() <= found.items(), what
    path.write_bytes(sound)
    assert bind_job(tmp_path, "digest", {}, "")["split_source"] == "official"


def test_a_damaged_hash_cache_is_begun_anew_and_never_believed_in_the_wrong_shape(tmp_path: Path) -> None:
    inputs = [tmp_path / f"{number}.bin" for number in range(60)]
    for path in inputs:
        path.write_bytes(path.name.encode())
    hashes = {str(path): sha256_file(path) for path in inputs}
    base = tmp_path / "hashes.sqlite"
    list(hash_inputs(map(str, inputs), HashCache(base)))
    sound = base.read_bytes()
    for what, content in damages(sound, seed=3):
        base.write_bytes(content)
        found = list(hash_inputs(map(str, inputs), HashCache(base)))
        wrong = [hashed for hashed in found if hashed.sha256 != hashes[hashed.path]]
        # One flip can turn one digit of one hash into another: that file is `changed` where it is decoded.
        assert len(wrong) <= 1, what
        assert all(len(hashed.sha256) == 64 for hashed in found), what


CONSUMERS: dict[str, Callable[[Path], Any]] = {"train": learn, "evaluate": judge, "preview": look}


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("damage", ["flipped pixel", "flipped footer", "cut"])
def test_every_reader_of_faces_refuses_a_damaged_shard_by_name(
    data: ShardGroup, tmp_path: Path, consumer: str, damage: str
) -> None:
    for path, _ in data.shards("faces"):
        content = bytearray(path.read_bytes())
        place = {
            "flipped pixel": content.index(b"\x89PNG") + 60,
            "flipped footer": len(content) - 30,
            "cut": 0,
        }
        content[place[damage]] ^= 1
        path.write_bytes(content[:-1] if damage == "cut" else content)
    with pytest.raises(FfpipeError) as told:
        CONSUMERS[consumer](tmp_path)
    assert "/ws/datasets/made/faces/part-" in told.value.message
    assert told.value.exit_code == 74


def tables_of(shards: ShardGroup) -> list[pd.DataFrame]:
    found = [shards.read(table).to_pandas() for table in shards.tables]
    keys = {"media": "path", "report": "path", "faces": "face_id", "scores": "face_id", "tracks": "media_id"}
    return [
        frame.drop(columns="provenance_id", errors="ignore").sort_values(keys[table]).reset_index(drop=True)
        for table, frame in zip(shards.tables, found, strict=True)
    ]


@pytest.mark.parametrize(
    ("job", "table"),
    [("extract", "media"), ("score", "report"), pytest.param("score", "scores", marks=pytest.mark.slow)],
)
def test_deleting_the_commit_that_is_named_mends_it_exactly(
    clip: Path,
    other: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    job: str,
    table: str,
) -> None:
    tree, home = tmp_path / "set", tmp_path / "ws"
    tree.mkdir()
    shutil.copy(clip, tree)
    shutil.copy(other, tree)
    more = ["--weights", str(weights), "--out", str(tmp_path / "r.csv")] if job == "score" else []
    command = [
        job,
        str(tree),
        "--workspace",
        str(home),
        "--engine",
        "local",
        "--workers",
        "0",
        "--frames",
        "2",
        *more,
    ]
    assert cli.run(command) == 0
    (root,) = (home / ("scores" if job == "score" else "datasets")).iterdir()
    shards = Workspace(home).scores(root.name) if job == "score" else Workspace(home).dataset(root.name)
    sound, report = tables_of(shards), (tmp_path / "r.csv").read_text() if more else ""
    path, _ = shards.shards(table)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    capsys.readouterr()
    assert cli.run(command) == 74
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"ffpipe: error: {path}: content differs from its commit")
    if more:
        assert (tmp_path / "r.csv").read_text() == report, "the old report is intact"
    commit = Path(said.partition("delete ")[2].partition(" and run")[0])
    assert commit.parent == shards.root / shards.lead / "_commits"
    commit.unlink()
    assert cli.run(command) == 0
    again = Workspace(home).scores(root.name) if job == "score" else Workspace(home).dataset(root.name)
    for found, expected in zip(tables_of(again), sound, strict=True):
        pd.testing.assert_frame_equal(found, expected)
