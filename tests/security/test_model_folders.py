"""A model's folder is loaded whole and as it was saved, or refused with one line that names the file."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ffpipe.manifests.errors import IntegrityError, WeightsError
from ffpipe.models import checkpoint, create_detector
from ffpipe.models.checkpoint import CARD, CONFIG, HASHES, METRICS, WEIGHTS
from ffpipe.pipeline import training_state
from ffpipe.pipeline.config import EvaluateConfig, ExportConfig, ScoreConfig, TrainConfig
from ffpipe.pipeline.evaluation.subject import prepare
from ffpipe.pipeline.export import export
from ffpipe.pipeline.score import score
from ffpipe.pipeline.train import train
from ffpipe.pipeline.training_state import Position
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.crop import CropSettings

FILES = (WEIGHTS, CONFIG, METRICS, CARD, HASHES)
#: Flipped bits a file, at seeded places.
FLIPS = 16


def save(folder: Path, seed: int = 0) -> Path:
    torch.manual_seed(seed)
    crop = CropSettings()
    facts = {
        "crop": {"margin": 1.3},
        "crop_fingerprint": crop.fingerprint(),
        "thresholds": None,
        "train_media": [],
    }
    model = create_detector("meso4")
    checkpoint.save(
        folder, model, name="meso4", options={}, extra=facts, metrics={"auc": 0.75}, card="# A test.\n"
    )
    return folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("models") / "run")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


def refusal(folder: Path) -> str:
    with pytest.raises(WeightsError) as refused:
        Weights.load(folder)
    message = refused.value.message
    assert refused.value.exit_code == 2
    assert message.isprintable() and str(folder) in message
    return message


def rehash(folder: Path) -> None:
    """Make the hashes fit whatever the files now hold, as a forger would."""
    hashes = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES[:-1]}
    (folder / HASHES).write_text(json.dumps(hashes))


def reconfigure(folder: Path, **changes: Any) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps({**config, **changes}))
    rehash(folder)


def retensor(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    rehash(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_refused(folder: Path, name: str) -> None:
    whole, places = (folder / name).read_bytes(), random.Random(name)
    Weights.load(folder)
    for _ in range(FLIPS):
        flipped = bytearray(whole)
        flipped[places.randrange(len(whole))] ^= 1 << places.randrange(8)
        (folder / name).write_bytes(flipped)
        assert name in refusal(folder)
    (folder / name).write_bytes(whole)
    Weights.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_lacks_is_cut_or_is_another_models_is_refused(
    folder: Path, name: str, tmp_path: Path
) -> None:
    other = save(tmp_path / "other", seed=1)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    assert name in refusal(folder)
    (folder / name).unlink()
    assert f"{name} is missing" in refusal(folder)
    if (other / name).read_bytes() != whole:  # of two untrained models these two files differ, and the hashes
        (folder / name).write_bytes((other / name).read_bytes())
        assert name in refusal(folder) or "damaged" in refusal(folder)


SHAPES: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "shape": (
        lambda t: t.update({"blocks.0.0.bias": torch.zeros(3)}),
        r"blocks.0.0.bias is float32 (3,) instead of",
    ),
    "dtype": (
        lambda t: t.update({"blocks.0.0.bias": torch.zeros(8).half()}),
        "is float16 (8,) instead of float32",
    ),
    "missing": (lambda t: t.pop("blocks.0.0.bias"), "1 missing: blocks.0.0.bias"),
    "extra": (lambda t: t.update({"extra\x1b[2J": torch.zeros(3)}), r"1 not in the model: extra\x1b[2J"),
    "nan": (lambda t: t["blocks.0.0.bias"].fill_(float("nan")), "holds NaN or infinity in blocks.0.0.bias"),
    "infinity": (
        lambda t: t["blocks.0.0.bias"].fill_(-float("inf")),
        "holds NaN or infinity in blocks.0.0.bias",
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_hashes_that_fit_do_not_make_weights_fit(folder: Path, kind: str) -> None:
    change, says = SHAPES[kind]
    retensor(folder, change)
    message = refusal(folder)
    assert WEIGHTS in message and says in message


CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "another detector": ({"detector": "sida-linear", "options": {}}, "are not those of sida-linear"),
    "no detector": ({"detector": "unheard-of"}, "no detector called"),
    "a list for a detector": ({"detector": ["meso4"]}, "does not describe a known detector"),
    "weights to be fetched": (
        {"detector": "resnet50", "options": {"pretrained": "imagenet"}},
        "multiple values for argument 'pretrained'",
    ),
    "unknown option": ({"options": {"depth": 1}}, "meso4 has no option depth"),
    "size of a planet": ({"options": {"input_size": 10**9}}, "input_size=1000000000: an integer from"),
    "size beyond integers": ({"options": {"input_size": "9" * 5000}}, "an integer from"),
    "negative size": ({"options": {"input_size": -1}}, "input_size=-1: an integer from"),
    "options in a list": ({"options": [1]}, "does not describe a known detector"),
    "another format": ({"format_version": 2}, "has format 2"),
    "no format": ({"format_version": None}, "has format None"),
    "labels swapped": ({"labels": ["fake", "real"]}, "labels ['fake', 'real'] are not those of meso4"),
    "another input": ({"input": {"size": 64}}, "its input {'size': 64} are not those"),
    "no crop": ({"crop": None}, "nothing valid of how faces are cut"),
    "absurd margin": ({"crop": {"margin": 1e9}}, "margin is between 1 and 4"),
    "another crop": ({"crop": {"margin": 2.0}}, "do not have its crop_fingerprint"),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_configuration_that_does_not_hold_together_is_refused(folder: Path, kind: str) -> None:
    changes, says = CONFIGS[kind]
    reconfigure(folder, **changes)
    assert says in refusal(folder)


def test_keys_that_nobody_knows_change_nothing(folder: Path) -> None:
    reconfigure(folder, unheard_of={"a": 1}, __class__="os.system")
    assert Weights.load(folder).loaded.config["unheard_of"] == {"a": 1}


def test_thresholds_that_were_made_up_badly_are_refused(folder: Path) -> None:
    reconfigure(folder, thresholds={"n_real": "many"})
    with pytest.raises(WeightsError, match="thresholds stored with the weights are damaged"):
        Weights.load(folder)


@pytest.mark.parametrize("name", [CONFIG, METRICS, HASHES])
@pytest.mark.parametrize("content", [b"[" * 200_000, b"\xff\xfe", b"", b"[]", b"null", b'{"a": NaN'])
def test_json_that_is_none_is_refused_by_name(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    if name != HASHES:
        rehash(folder)
    assert name in refusal(folder)


def test_hashes_of_files_elsewhere_are_refused(folder: Path) -> None:
    hashes = json.loads((folder / HASHES).read_text())
    (folder / HASHES).write_text(json.dumps({**hashes, "../../secret": "0" * 64}))
    assert "names files that no model has: ../../secret" in refusal(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["fifo", "folder", "device", "loop"])
def test_what_is_no_regular_file_is_not_waited_for(folder: Path, name: str, kind: str) -> None:
    path = folder / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero" if kind == "device" else name)
    assert name in refusal(folder)


@pytest.mark.parametrize(("name", "size"), [(WEIGHTS, 9 << 30), (CONFIG, 1 << 30)])
def test_a_file_beyond_its_limit_is_not_read(folder: Path, name: str, size: int) -> None:
    os.truncate(folder / name, size)  # sparse: it costs nothing on disk
    assert f"{name} has {size} bytes; the limit is" in refusal(folder)


def test_a_header_that_lies_is_refused(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    for content in (
        struct.pack("<Q", 2**62) + whole[8:],
        whole[:8] + b"[" * (len(whole) - 8),
        b"PK\x03\x04" + whole,
    ):
        (folder / WEIGHTS).write_bytes(content)
        rehash(folder)
        assert f"{WEIGHTS} is not a safetensors file" in refusal(folder)


def _score(folder: Path, home: Workspace) -> object:
    config = ScoreConfig.build({"weights": folder, "engine": "local", "workers": 0})
    return score([str(folder / WEIGHTS)], config, home, say=[].append)


COMMANDS: dict[str, Callable[[Path, Workspace], object]] = {
    "score": _score,
    "evaluate": lambda folder, home: prepare(folder, EvaluateConfig(data="any"), home, [].append),
    "export": lambda folder, home: export(folder, ExportConfig(), home, None, [].append),
    "teach": lambda folder, home: train(TrainConfig(model="sffb-kd", teacher=folder), home, [].append),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_refuses_a_damaged_model_before_it_does_anything(
    folder: Path, tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{WEIGHTS} is damaged"):
        COMMANDS[command](folder, Workspace(tmp_path / "ws"))
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_interrupted_training_is_not_gone_on_with_from_damaged_files(tmp_path: Path) -> None:
    best = tmp_path / "best.safetensors"
    sha256 = training_state.write_tensors(best, {"model.w": torch.ones(4)})
    position = Position(
        epoch=1, step=2, losses=[0.5], best={"epoch": 1}, best_file=best.name, best_sha256=sha256
    )
    training_state.save(tmp_path, position, {"model.w": torch.zeros(4)}, {"seed": 1})
    files = sorted(tmp_path.iterdir())
    assert len(files) == 3
    for path in files:
        whole, places = path.read_bytes(), random.Random(path.name)
        for _ in range(FLIPS):
            flipped = bytearray(whole)
            flipped[places.randrange(len(whole))] ^= 1 << places.randrange(8)
            path.write_bytes(flipped)
            with pytest.raises(IntegrityError, match=path.name):
                training_state.load(tmp_path)
        path.write_bytes(whole)
        restored = training_state.load(tmp_path)
        assert restored is not None and restored[0].losses == [0.5]
