"""The model directory: what is stored, what is refused, and that nothing is lost when a write fails."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from ffpipe.models import checkpoint
from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo, OptionValue
from ffpipe.models.errors import CheckpointError
from ffpipe.models.registry import _DETECTORS, register

FILES = ["MODEL_CARD.md", "config.json", "hashes.json", "metrics.json", "model.safetensors"]


class Tiny(Detector):
    spec = DetectorSpec(
        name="tiny",
        summary="one linear layer",
        paper="",
        input_size=8,
        options={
            "input_size": OptionInfo(8, range(8, 65), "side"),
            "width": OptionInfo(4, range(1, 9), "width"),
        },
    )

    def __init__(self, pretrained: object = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = self.spec.resolve(options)
        self.layer = nn.Linear(3, int(self.options["width"]))
        self.same = self.layer  # shared tensors
        self.norm = nn.BatchNorm1d(int(self.options["width"]))
        self.head = nn.Linear(int(self.options["width"]), 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        return self.head(self.norm(self.same(image.mean((2, 3)))))


@pytest.fixture(autouse=True)
def registered():
    register("tiny")(Tiny)
    yield
    del _DETECTORS["tiny"]


def save(directory: Path, model: Detector | None = None, **changes: object) -> str:
    values = {"extra": {"crop": {"margin": 1.3}}, "metrics": {"auc": 0.75}, "card": "# Tiny\n", **changes}
    model = model or Tiny()
    return checkpoint.save(directory, model, name="tiny", options=model.options, **values)


def rehash(directory: Path) -> None:
    """Make the hashes fit whatever the files now hold."""
    files = [name for name in FILES if name != "hashes.json"]
    hashes = {name: hashlib.sha256((directory / name).read_bytes()).hexdigest() for name in files}
    (directory / "hashes.json").write_text(json.dumps(hashes))


def test_a_directory_holds_five_files_under_their_hashes(tmp_path):
    model_id = save(tmp_path / "run" / "best")
    directory = tmp_path / "run" / "best"
    assert sorted(path.name for path in directory.iterdir()) == FILES
    hashes = json.loads((directory / "hashes.json").read_text())
    assert set(hashes) == set(FILES) - {"hashes.json"}
    for name, digest in hashes.items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest
    assert hashes["model.safetensors"] == model_id


def test_loading_gives_back_everything(tmp_path):
    torch.manual_seed(1)
    model = Tiny(width=6)
    model(torch.rand(4, 3, 8, 8))  # moves the running statistics
    model_id = save(tmp_path, model)
    loaded = checkpoint.load(tmp_path)
    assert loaded.model_id == model_id
    assert loaded.directory == tmp_path
    assert loaded.metrics == {"auc": 0.75}
    assert loaded.config["detector"] == "tiny"
    assert loaded.config["options"] == {"input_size": 8, "width": 6}
    assert loaded.config["labels"] == ["real", "fake"]
    assert loaded.config["crop"] == {"margin": 1.3}
    assert loaded.config["input"]["size"] == 8
    assert not loaded.model.training
    assert loaded.model.layer is loaded.model.same
    for (name, a), (_, b) in zip(model.state_dict().items(), loaded.model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_the_same_model_has_the_same_id(tmp_path):
    torch.manual_seed(2)
    model = Tiny()
    assert save(tmp_path / "a", model) == save(tmp_path / "b", model)
    assert save(tmp_path / "c", Tiny()) != save(tmp_path / "a", model)


def test_numbers_that_json_lacks_become_null(tmp_path):
    save(tmp_path, metrics={"auc": float("nan"), "curve": [1.0, float("inf")]})
    assert checkpoint.load(tmp_path).metrics == {"auc": None, "curve": [1.0, None]}


def test_extra_may_not_redefine_the_contract(tmp_path):
    with pytest.raises(ValueError, match="extra may not redefine detector, labels"):
        save(tmp_path, extra={"labels": ["fake", "real"], "detector": "x"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [name for name in FILES if name != "hashes.json"])
def test_a_flipped_bit_is_refused_by_name(tmp_path, name):
    save(tmp_path)
    data = bytearray((tmp_path / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=f"{name} is damaged"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_by_name(tmp_path, name):
    save(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name} is missing.*not a finished model directory"):
        checkpoint.load(tmp_path)


def test_a_truncated_hash_file_is_refused(tmp_path):
    save(tmp_path)
    (tmp_path / "hashes.json").write_text('{"model.safetensors": "0')
    with pytest.raises(CheckpointError, match=r"hashes\.json is not JSON"):
        checkpoint.load(tmp_path)
    (tmp_path / "hashes.json").write_text("[]")
    with pytest.raises(CheckpointError, match="holds no JSON object"):
        checkpoint.load(tmp_path)


def test_weights_that_do_not_fit_are_listed(tmp_path):
    save(tmp_path)
    weights = safetensors.torch.load_file(tmp_path / "model.safetensors")
    del weights["head.bias"]
    weights["head.offset"] = torch.zeros(2)
    weights["norm.weight"] = torch.ones(5)
    weights["layer.bias"] = weights["layer.bias"].half()
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    rehash(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(tmp_path)
    text = str(caught.value)
    assert "1 missing: head.bias" in text
    assert "1 not in the model: head.offset" in text
    assert "norm.weight is float32 (5,) instead of float32 (4,)" in text
    assert "layer.bias is float16 (4,) instead of float32 (4,)" in text


def test_weights_in_another_format_are_refused(tmp_path):
    save(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps({"weights": 1}))
    rehash(tmp_path)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"detector": "unheard-of"}, "no detector called 'unheard-of'"),
        ({"options": {"width": 99}}, "width=99: an integer from 1 to 8"),
        ({"options": {"depth": 1}}, "tiny has no option depth"),
        ({"format_version": 2}, "has format 2"),
    ],
)
def test_a_configuration_from_elsewhere_is_refused(tmp_path, change, text):
    save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    rehash(tmp_path)
    with pytest.raises(CheckpointError, match=text):
        checkpoint.load(tmp_path)


def test_a_full_disk_leaves_the_older_model_intact(tmp_path, monkeypatch):
    old = save(tmp_path)
    calls = iter(range(100))

    def fail_on_third(descriptor: int) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail_on_third)
    with pytest.raises(OSError, match="No space left"):
        save(tmp_path, Tiny(width=8))
    assert sorted(path.name for path in tmp_path.iterdir()) == FILES
    assert checkpoint.load(tmp_path).model_id == old


@pytest.mark.parametrize("done", range(5))
def test_a_kill_between_two_files_is_never_taken_for_a_model(tmp_path, monkeypatch, done):
    save(tmp_path)
    calls = iter(range(100))
    replace = Path.replace

    def die_after(path: Path, target: Path) -> Path:
        if next(calls) == done:
            raise KeyboardInterrupt
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", die_after)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, Tiny(width=8), metrics={"auc": 0.5}, card="# Other\n")
    monkeypatch.undo()
    if done == 0:
        assert checkpoint.load(tmp_path).metrics == {"auc": 0.75}
    else:
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoint.load(tmp_path)


def test_other_files_in_the_directory_stay(tmp_path):
    (tmp_path / "events").write_text("kept")
    save(tmp_path)
    save(tmp_path, Tiny(width=5))
    assert (tmp_path / "events").read_text() == "kept"
    assert checkpoint.load(tmp_path).config["options"]["width"] == 5
