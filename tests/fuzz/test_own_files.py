"""Mutants of the product's own files: each is refused with one line that names the file, or is read as it was written.

A failing mutant is told by the file's name and its number; `of_file` makes it again from a file that is written anew.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from ffpipe.manifests.errors import FfpipeError
from ffpipe.manifests.records import Label, MediaRecord, Split, Status
from ffpipe.manifests.schemas import to_table
from ffpipe.manifests.sealed import sealed
from ffpipe.manifests.shards import ShardGroup
from ffpipe.manifests.split_files import read_split_file
from ffpipe.models import checkpoint, create_detector
from ffpipe.pipeline import tables, training_state
from ffpipe.pipeline.evaluation.finished import load_finished
from ffpipe.pipeline.evaluation.parts import RESULT
from ffpipe.pipeline.hashing import HashCache, hash_inputs
from ffpipe.pipeline.stored_media import stored_job
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import bind_job
from ffpipe.stages.crop import CropSettings
from fuzz.mutations import mutated

QUICK, THOROUGH = 20, 200
REPORT = pa.table({"path": [f"{k}.mp4" for k in range(40)], "score": [k / 40 for k in range(40)]})
ORIGIN = {"id": "p1", "tool": "ffpipe", "seeds": {"seed": 7}}


@dataclass(frozen=True, slots=True)
class Kind:
    """A file of ours in a folder, and what reading it gives that a caller goes on with."""

    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    #: Whether damage to it may give other facts: a user's text carries no hash of itself.
    open: bool = False


def _record(number: int) -> MediaRecord:
    name = f"{number:032x}"
    return MediaRecord(
        name, f"{number}.mp4", b"x.mp4", name * 2, 9, Status.OK, label=Label.REAL, split=Split.TRAIN
    )


def _group(folder: Path) -> ShardGroup:
    return ShardGroup(folder, "media", [])


def _make_shards(folder: Path) -> None:
    group = _group(folder)
    group.create()
    for chunk in ("c0", "c1"):
        rows = to_table("media", [_record(k + 10 * int(chunk[1])) for k in range(8)])
        assert group.commit(chunk, "a", {"media": rows}, [{"path": "x", "media_id": "m", "status": "ok"}])


def _read_shards(folder: Path) -> Any:
    group = _group(folder)
    group.sweep()
    return group.read("media").to_pylist(), [commit.inputs for commit in group.commits()]


def _bind(folder: Path) -> dict[str, Any]:
    return bind_job(
        folder, "d1", {"bound": {"frames": 4}, "crop": "c1", "source": "/data/ü"}, "use --overwrite"
    )


def _read_job(folder: Path) -> Any:
    return _bind(folder), stored_job(_group(folder))


def _make_cache(folder: Path) -> None:
    for number in range(30):
        (folder / f"{number}.bin").write_bytes(b"content %d" % number)
    _hashes(folder)


def _hashes(folder: Path) -> Any:
    """Hashed twice: what the first reading repairs, the second one reads."""
    paths = sorted(str(path) for path in folder.glob("*.bin"))
    cache = HashCache(folder / "hashes.sqlite")
    return [list(hash_inputs(paths, cache)) for _ in range(2)]


def _make_model(folder: Path) -> None:
    torch.manual_seed(0)
    crop = CropSettings()
    facts = {"crop": asdict(crop), "crop_fingerprint": crop.fingerprint(), "thresholds": None}
    model = create_detector("sida-linear")
    checkpoint.save(
        folder, model, name="sida-linear", options={}, extra=facts, metrics={"auc": 0.9}, card="A card."
    )


def _read_model(folder: Path) -> Any:
    loaded = Weights.load(folder)
    state = {name: tensor.tolist() for name, tensor in loaded.loaded.model.state_dict().items()}
    return loaded.model_id, loaded.loaded.config, loaded.loaded.metrics, state


def _splits(suffix: str) -> Callable[[Path], object]:
    table = pa.table({"path": [f"{k}.mp4" for k in range(40)], "split": ["train", "val", "test", ""] * 10})
    return lambda folder: tables.write_table(folder / f"splits{suffix}", table)


def _report(suffix: str) -> Callable[[Path], object]:
    return lambda folder: tables.write_table(
        folder / f"report{suffix}", tables.with_provenance(REPORT, ORIGIN)
    )


def _make_state(folder: Path) -> None:
    position = training_state.Position(epoch=1, step=7, history=[{"auc": 0.5}], losses=[0.7, 0.6])
    training_state.save(folder, position, {"weight": torch.arange(6.0)}, {"rate": 0.1})


def _read_state(folder: Path) -> Any:
    found = training_state.load(folder)
    assert found is not None
    position, tensors, scalars = found
    return asdict(position), {name: tensor.tolist() for name, tensor in tensors.items()}, scalars


def _make_evaluation(folder: Path) -> None:
    facts = {"run": "models/m/r", "data_digest": "x", "rows": [{"level": "video", "auc": 0.75, "n": 40}]}
    (folder / RESULT).write_bytes(sealed({**facts, "provenance": {"configuration": {}}}, indent=1))


_MODEL = (_make_model, _read_model)
KINDS = {
    "shard": Kind("media/part-c0.a.parquet", _make_shards, _read_shards),
    "commit": Kind("media/_commits/c0.json", _make_shards, _read_shards),
    "job.json": Kind("job.json", _bind, _read_job),
    "hashes.sqlite": Kind("hashes.sqlite", _make_cache, _hashes),
    "weights": Kind(checkpoint.WEIGHTS, *_MODEL),
    "config.json": Kind(checkpoint.CONFIG, *_MODEL),
    "metrics.json": Kind(checkpoint.METRICS, *_MODEL),
    "hashes.json": Kind(checkpoint.HASHES, *_MODEL),
    "state.json": Kind("state.json", _make_state, _read_state),
    "state": Kind("state-0001-00000007.safetensors", _make_state, _read_state),
    "evaluation.json": Kind(RESULT, _make_evaluation, lambda folder: dict(load_finished(folder).facts)),
    "splits.csv": Kind(
        "splits.csv", _splits(".csv"), lambda f: read_split_file(f / "splits.csv").rows, open=True
    ),
    "splits.parquet": Kind(
        "splits.parquet", _splits(".parquet"), lambda f: read_split_file(f / "splits.parquet").rows
    ),
    "report.parquet": Kind(
        "report.parquet",
        _report(".parquet"),
        lambda f: tables.read_provenance(f / "report.parquet"),
        open=True,
    ),
    "report.json": Kind(
        "report.json", _report(".json"), lambda f: tables.read_provenance(f / "report.json"), open=True
    ),
    "report.csv": Kind(
        "report.csv.provenance.json",
        _report(".csv"),
        lambda f: tables.read_provenance(f / "report.csv"),
        open=True,
    ),
}


def of_file(content: bytes, name: str, number: int) -> bytes:
    """A mutant of a file: every second one has a single flipped bit, as a failing disk makes them."""
    if number % 2 == 0:
        rng = random.Random(f"{name} {number}")
        changed = bytearray(content)
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        return bytes(changed)
    return mutated(content, f"{name} {number}", lambda rng: content[rng.randrange(len(content)) :] or content)


def check(name: str, folder: Path, count: int) -> int:
    """Read so many mutants of a file; how many were refused."""
    kind = KINDS[name]
    folder.mkdir()
    kind.make(folder)
    wanted = kind.read(folder)
    whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    path, refused = folder / kind.file, 0
    for number in range(count):
        path.write_bytes(of_file(whole[path], name, number))
        try:
            found = kind.read(folder)
        except FfpipeError as error:
            refused += 1
            assert "\n" not in error.message, (name, number)
            assert path.name in error.message or path.parent.name in error.message, (
                name,
                number,
                error.message,
            )
        else:
            assert kind.open or found == wanted, (
                f"mutant {number} of {name} was read as something else: {found}"
            )
        for other, content in whole.items():
            other.write_bytes(content)
    return refused


@pytest.mark.parametrize("name", KINDS)
def test_quick_share_of_mutants(tmp_path: Path, name: str) -> None:
    refused = check(name, tmp_path / "w", QUICK)
    assert refused == 0 if name == "hashes.sqlite" else refused > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_thorough_share_of_mutants(tmp_path: Path, name: str) -> None:
    assert check(name, tmp_path / "w", THOROUGH) >= 0


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"7", b"null", b'"text"', b"\xff\xfe", b"{" * 100_000, b'{"digest":' * 50_000, b"{}"],
)
@pytest.mark.parametrize(
    "name",
    ["commit", "job.json", "config.json", "hashes.json", "state.json", "evaluation.json", "report.json"],
)
def test_json_that_is_no_object_of_ours_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    kind = KINDS[name]
    kind.make(tmp_path)
    (tmp_path / kind.file).write_bytes(content)
    with pytest.raises(FfpipeError) as caught:
        kind.read(tmp_path)
    assert "\n" not in caught.value.message
    assert Path(kind.file).name in caught.value.message or tmp_path.name in caught.value.message


def test_a_commit_that_says_fewer_rows_is_refused(tmp_path: Path) -> None:
    """With its hash made anew, or in a file of an earlier version that had none."""
    _make_shards(tmp_path)
    path = tmp_path / KINDS["commit"].file
    facts = json.loads(path.read_bytes())
    for changes, words in (({"rows": 7}, "has 8 rows, 7 are committed"), ({"rows": -8}, "damaged commit")):
        path.write_text(json.dumps({k: v for k, v in {**facts, **changes}.items() if k != "content_sha256"}))
        with pytest.raises(FfpipeError, match=words):
            _group(tmp_path).read("media")
    path.write_text(json.dumps({**facts, "file": "../../elsewhere/part-c0.a.parquet"}))
    with pytest.raises(FfpipeError, match="damaged commit"):
        _group(tmp_path).read("media")
