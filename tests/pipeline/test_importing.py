"""Imported weights: they fit exactly or are refused, say what they are, and support no verdict."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from provenance_keys import assert_complete
from small_detectors import small

import ffpipe
from ffpipe.manifests.errors import StorageError, UsageError, WeightsError
from ffpipe.models import checkpoint, create_detector
from ffpipe.pipeline import cli, importing
from ffpipe.pipeline.config import ImportConfig
from ffpipe.pipeline.importing import ImportResult, import_weights
from ffpipe.pipeline.weights import Weights
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.foreign.confined import Source
from ffpipe.stages.foreign.reading import read


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the child, whose tests are elsewhere: the files here are sound, and starting it takes seconds."""

    def convert(path: Path) -> Any:
        content = path.read_bytes()
        taken, tensors = read(path, len(content))
        return Source(str(path), len(content), hashlib.sha256(content).hexdigest()), taken, tensors

    monkeypatch.setattr(importing, "convert_confined", convert)


def meso(folder: Path, prefix: str = "", **changes: Any) -> Path:
    torch.manual_seed(3)
    state = {prefix + name: value for name, value in create_detector("meso4").state_dict().items()}
    torch.save({"epoch": 7, "state_dict": {**state, **changes}}, folder / "their net.pth")
    return folder / "their net.pth"


def take(path: Path, home: Path, said: list[str] | None = None, **settings: Any) -> ImportResult:
    place = {name: settings.pop(name) for name in ("out", "name") if name in settings}
    config = ImportConfig.build({"model": "meso4", **settings})
    return import_weights(
        path, config, Workspace(home), say=(said if said is not None else []).append, **place
    )


@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.model."])
def test_a_run_is_made_that_scoring_loads(tmp_path: Path, in_process: None, prefix: str) -> None:
    path, said = meso(tmp_path, prefix), []
    result = take(path, tmp_path / "ws", said)
    assert result.place == tmp_path / "ws/models/meso4/imported-001"
    weights = Weights.load(result.place)
    torch.manual_seed(3)
    expected = create_detector("meso4").state_dict()
    found = weights.loaded.model.state_dict()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    config, sha256 = weights.loaded.config, hashlib.sha256(path.read_bytes()).hexdigest()
    assert config["foreign"]["file"] == "their net.pth"
    assert config["foreign"]["sha256"] == config["provenance"]["foreign"]["sha256"] == sha256
    assert config["foreign"]["place"] == ["state_dict"]
    assert config["validated"] is False
    assert not weights.thresholds.usable
    card = (result.place / "MODEL_CARD.md").read_text()
    assert (
        sha256 in card and "foreign weights" in card and "no validation" in card and "`inconclusive`" in card
    )
    assert any(sha256 in line for line in said) and any("stay inconclusive" in line for line in said)
    assert assert_complete(result.place / "MODEL_CARD.md", weights=True) == config["provenance"]
    assert take(path, tmp_path / "ws").place.name == "imported-002"


def test_crops_that_nobody_knows_need_acceptance_and_then_mark_every_row(
    tmp_path: Path, in_process: None
) -> None:
    weights = Weights.load(take(meso(tmp_path), tmp_path).place)
    with pytest.raises(UsageError, match=r"nothing says how their faces were cut; --accept-crops"):
        weights.accepts("face", accept_crops=False)
    assert weights.accepts("face", accept_crops=True) is True
    known = Weights.load(take(meso(tmp_path), tmp_path, crops="face", margin=1.5).place)
    assert known.crop.margin == 1.5
    assert known.accepts("face", accept_crops=False) is False
    whole = Weights.load(take(meso(tmp_path), tmp_path, crops="whole").place)
    assert whole.crop.kind == "whole" and whole.accepts("whole", accept_crops=False) is False


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extra.weight": torch.zeros(2)}, "1 not in the model: extra.weight"),
        (
            {"blocks.0.0.bias": torch.zeros(3)},
            r"blocks\.0\.0\.bias is float32 \(3,\) instead of float32 \(8,\)",
        ),
        ({"blocks.0.0.bias": torch.zeros(8).half()}, r"is float16 \(8,\) instead of float32 \(8,\)"),
    ],
)
def test_what_does_not_fit_is_told_and_nothing_is_written(
    tmp_path: Path, in_process: None, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(WeightsError, match=says) as refused:
        take(meso(tmp_path, **changes), tmp_path / "ws")
    assert "their net.pth does not hold weights of meso4" in refused.value.message
    assert not (tmp_path / "ws").exists()


def test_weights_of_another_detector_and_options_are_told(tmp_path: Path, in_process: None) -> None:
    with pytest.raises(
        WeightsError, match=r"does not hold weights of sida-linear: 4 missing: .* 32 not in the model"
    ):
        take(meso(tmp_path), tmp_path / "ws", model="sida-linear")
    torch.save(small("sfcl-hcmf").state_dict(), tmp_path / "small.bin")
    with pytest.raises(WeightsError, match=r"weights of sfcl-hcmf: \d+ missing"):
        take(tmp_path / "small.bin", tmp_path / "ws", model="sfcl-hcmf")
    assert not (tmp_path / "ws").exists()


def test_a_backbone_becomes_a_file_that_training_starts_from(tmp_path: Path, in_process: None) -> None:
    torch.manual_seed(5)
    donor = create_detector("efficientnet-b0")
    backbone = {n.partition(".")[2]: v for n, v in donor.state_dict().items() if n.startswith("backbone.")}
    assert backbone
    torch.save(
        {"model": {f"module.backbone.{name}": value for name, value in backbone.items()}}, tmp_path / "b.pt"
    )
    out = tmp_path / "b.safetensors"
    result = take(tmp_path / "b.pt", tmp_path / "ws", model="efficientnet-b0", out=out)
    assert result.place == out and result.model_id == hashlib.sha256(out.read_bytes()).hexdigest()
    started = create_detector("efficientnet-b0", pretrained=out).state_dict()
    assert all(torch.equal(started[f"backbone.{name}"], value) for name, value in backbone.items())
    beside = json.loads((tmp_path / "b.safetensors.provenance.json").read_text())
    assert beside == result.provenance and beside["foreign"]["file"] == "b.pt"
    assert [p.name for p in (tmp_path / "ws").iterdir()] == ["log.jsonl"], "a file is no run"
    before = out.read_bytes()
    with pytest.raises(
        WeightsError, match=r"their net\.pth: it does not hold weights of efficientnet_b0: \d+ missing"
    ):
        take(meso(tmp_path), tmp_path / "ws", model="efficientnet-b0", out=out)
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": "unheard-of"}, "no detector called 'unheard-of'"),
        ({"options": {"depth": 1}}, "meso4 has no option depth"),
        ({"name": "../up"}, "name '../up': allowed are"),
        ({"name": "a", "out": Path("b.safetensors")}, "give one of the two"),
        ({"out": Path("b.pth")}, r"the file ends in \.safetensors"),
        ({"out": Path("nowhere/b.safetensors")}, "in a folder that exists"),
        ({"out": Path("b.safetensors")}, "meso4 has no backbone"),
        ({"crops": "unheard-of"}, "--crops 'unheard-of'"),
    ],
)
def test_what_was_asked_wrongly_is_said_before_the_file_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=says):
        take(Path("absent.pth"), tmp_path / "ws", **settings)
    assert list(tmp_path.iterdir()) == []


def test_a_run_of_the_name_is_left_alone(tmp_path: Path, in_process: None) -> None:
    path = meso(tmp_path)
    first = take(path, tmp_path, name="theirs")
    with pytest.raises(UsageError, match="is there already; choose another name"):
        take(path, tmp_path, name="theirs")
    assert checkpoint.load(first.place).model_id == first.model_id


def test_a_full_disk_leaves_no_half_run(
    tmp_path: Path, in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    path = meso(tmp_path)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        take(path, tmp_path / "ws")
    assert [p for p in (tmp_path / "ws").rglob("*") if p.is_file()] == []
    assert Workspace(tmp_path / "ws").finished_models() == []


def test_the_command_line_and_python_do_the_same(
    tmp_path: Path, in_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = meso(tmp_path)
    arguments = [
        "import-weights",
        str(path),
        "--model",
        "meso4",
        "--workspace",
        str(tmp_path / "ws"),
        "--json",
    ]
    assert cli.run([*arguments, "--name", "theirs", "--set", "model.input_size=256"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["place"] == str(tmp_path / "ws/models/meso4/theirs")
    result = ffpipe.import_weights(path, "meso4", name="again", workspace=tmp_path / "ws")
    assert result.model_id == told["model_id"]
