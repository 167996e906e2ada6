"""Exported files give our scores in their own runtimes, or are not written and say why."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from detector_cases import CASES
from small_detectors import faces, settled, small
from torch import Tensor, nn

import ffpipe
from ffpipe.manifests.errors import UsageError
from ffpipe.models import checkpoint, registry
from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.pipeline import cli
from ffpipe.pipeline import export as job
from ffpipe.pipeline.config import ExportConfig
from ffpipe.pipeline.exporters import EXPORTERS, Exporter
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.infer import to_input
from ffpipe.stages.statistics import face_sida

SIZE = 16
#: Detectors that are exported by default; the others are slow in sum.
QUICK = {"meso4", "sida-linear"}
EXPORTS = [
    pytest.param(name, format_, marks=[] if name in QUICK else pytest.mark.slow, id=f"{name}-{format_}")
    for name in CASES
    for format_ in EXPORTERS
]


class Plain(Detector):
    """A convolution, for what has nothing to do with the network."""

    spec = DetectorSpec(name="plain", summary="", paper="", input_size=SIZE)

    def __init__(self, pretrained: str | None = None) -> None:
        super().__init__()
        self.options = {}
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        self.check_input(image, sida)
        return self.head(self.last(self.conv(image).relu().mean((2, 3))))

    def last(self, pooled: Tensor) -> Tensor:
        return pooled


class Bessel(Plain):
    """Has an operator that ONNX does not know."""

    def last(self, pooled: Tensor) -> Tensor:
        return torch.special.bessel_j0(pooled)


class Counting(Plain):
    """Lets a value decide on a shape."""

    def last(self, pooled: Tensor) -> Tensor:
        return pooled + torch.ones(int(pooled.sum() * 100)).sum()


def saved(folder: Path, model: Detector, name: str, crop: CropSettings = CropSettings()) -> Path:  # noqa: B008
    """A model folder as training leaves it."""
    facts = {
        "crop": asdict(crop),
        "crop_fingerprint": crop.fingerprint(),
        "thresholds": Thresholds(reason="none").to_json(),
    }
    checkpoint.save(folder, model, name=name, options=model.options, extra=facts, metrics={}, card="")
    return folder


def shown(model: Detector) -> tuple[Tensor, Tensor]:
    """The faces that the check shows, and others."""
    crops = [job._made_up(seed) for seed in range(4)]
    own = torch.stack([to_input(crop, model.spec.input_size) for crop in crops])
    images, sida = faces(model, 8)
    return torch.cat((images, own)), torch.cat((sida, torch.from_numpy(face_sida(crops))))


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a run of the plain network; the working folder is another one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return registered(Plain, tmp_path / "ws" / "models" / "plain" / "run", monkeypatch)


def registered(kind: type[Plain], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(registry._DETECTORS, "plain", kind)
    torch.manual_seed(1)
    return saved(folder, kind(), "plain")


def run(
    folder: Path | str | None, tmp_path: Path, out: Path | None = None, say: Say = [].append, **settings: Any
) -> job.ExportResult:
    return job.export(folder, ExportConfig.build(settings), Workspace(tmp_path / "ws"), out, say)


class Exported:
    """An exported file in its runtime, by nothing of ours."""

    def __init__(self, file: Path) -> None:
        self.session = onnxruntime.InferenceSession(file) if file.suffix == ".onnx" else None
        self.module = None if self.session else torch.export.load(file).module()

    def scores(self, **inputs: Tensor) -> Tensor:
        if self.session:
            given = {name: value.numpy() for name, value in inputs.items()}
            logits = torch.from_numpy(self.session.run(["logits"], given)[0])
        else:
            with torch.no_grad():
                logits = self.module(*inputs.values())
        assert logits.shape == (len(inputs["image"]), 2)
        return logits.softmax(1)[:, 1]


@pytest.mark.parametrize(("name", "format_"), EXPORTS)
def test_an_exported_detector_gives_our_scores_for_any_number_of_faces(name, format_, tmp_path):
    model = small(name)
    folder = saved(tmp_path / "run", settled(model, shown(model)), name)
    out = tmp_path / f"net{EXPORTERS[format_].suffix}"
    contract = run(folder, tmp_path, format=format_, out=out).contract
    model = checkpoint.load(folder).model
    images, sida = faces(model, 8)
    given = {"image": images, "sida": sida} if model.spec.needs_sida else {"image": images}
    assert list(contract["inputs"]) == list(given)
    with torch.no_grad():
        expected = model(images, sida).softmax(1)[:, 1]
    assert expected.max() - expected.min() > 1e-3, "scores that say something"
    exported = Exported(out)
    for part in (slice(0, 1), slice(1, 3), slice(0, 8)):
        found = exported.scores(**{key: value[part] for key, value in given.items()})
        torch.testing.assert_close(found, expected[part], atol=1e-4, rtol=0)
    assert contract["verified"]["max_score_difference"] <= 1e-4


def test_the_contract_says_how_to_use_the_file(plain, tmp_path):
    result = run(plain, tmp_path)
    contract = json.loads(result.contract_file.read_bytes())
    assert contract == result.contract
    weights = checkpoint.load(plain)
    assert result.file == Path(f"plain-{weights.model_id[:12]}.onnx")
    assert result.contract_file == Path(f"{result.file}.json")
    assert contract["sha256"] == hashlib.sha256(result.file.read_bytes()).hexdigest()
    assert contract["model_id"] == weights.model_id
    assert contract["labels"] == ["real", "fake"]
    assert contract["crop"] == asdict(CropSettings())
    assert contract["crop_fingerprint"] == CropSettings().fingerprint()
    assert contract["thresholds"]["reason"] == "none"
    image = contract["inputs"]["image"]
    assert (image["shape"], image["channels"], image["range"]) == (["batch", 3, SIZE, SIZE], "RGB", [0, 1])
    assert image["fit"].startswith("the whole crop resized")
    assert contract["verified"]["batches"] == [1, 3]
    assert set(contract["exporter"]) == {"onnx", "onnxscript", "onnxruntime"}
    assert contract["provenance"]["libraries"]["torch"]
    session = onnxruntime.InferenceSession(result.file)
    assert [(i.name, i.shape) for i in session.get_inputs()] == [("image", ["batch", 3, SIZE, SIZE])]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [("logits", ["batch", 2])]


def test_weights_of_whole_images_are_checked_on_windows(plain, tmp_path):
    whole = saved(tmp_path / "whole", checkpoint.load(plain).model, "plain", CropSettings(kind="whole"))
    contract = run(whole, tmp_path).contract
    assert contract["inputs"]["image"]["fit"].startswith("the middle of the picture")
    assert contract["crop"]["kind"] == "whole"


@pytest.mark.parametrize("format_", list(EXPORTERS))
def test_a_batch_size_makes_the_graph_take_that_many_faces(plain, format_, tmp_path):
    result = run(plain, tmp_path, format=format_, batch_size=5)
    assert result.contract["inputs"]["image"]["shape"] == [5, 3, SIZE, SIZE]
    assert result.contract["verified"]["batches"] == [5]
    exported = Exported(result.file)
    assert exported.scores(image=torch.rand(5, 3, SIZE, SIZE)).isfinite().all()
    with pytest.raises(Exception, match=r"[Gg]ot:? ?4|4 != 5|== 5|to be equal to 5"):
        exported.scores(image=torch.rand(4, 3, SIZE, SIZE))


@pytest.mark.parametrize(("logit", "shift"), [(0, 0.01), (30, 1)])
@pytest.mark.parametrize("format_", list(EXPORTERS))
def test_a_graph_with_other_scores_is_not_written(plain, format_, logit, shift, tmp_path, monkeypatch):
    model = checkpoint.load(plain).model
    model.head.bias.data += torch.tensor([0.0, logit])
    graph = job.graph

    def shifted(exporter: Exporter, model: Plain, *arguments: Any, **options: Any) -> bytes:
        model.head.bias.data += torch.tensor([0.0, shift])
        return graph(exporter, model, *arguments, **options)

    monkeypatch.setattr(job, "graph", shifted)
    with pytest.raises(UsageError, match=r"scores differ from ours by up to .* nothing was written"):
        run(saved(tmp_path / "sure", model, "plain"), tmp_path, format=format_)
    assert list(Path().iterdir()) == []


def test_a_difference_that_is_no_number_is_too_large(plain, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "_logits", lambda *_: torch.full((4, 2), np.nan))
    with pytest.raises(UsageError, match="differ from ours by up to nan"):
        run(plain, tmp_path)


@pytest.mark.parametrize(
    ("kind", "format_", "reason"),
    [
        (Bessel, "onnx", r"No ONNX function found for <OpOverload\(op='prims.bessel_j0'"),
        (Counting, "onnx", "data-dependent expression"),
        (Counting, "torch-export", "data-dependent expression"),
    ],
)
def test_what_cannot_be_exported_says_why_in_a_line(
    plain, kind, format_, reason, tmp_path, monkeypatch, capsys
):
    folder = registered(kind, tmp_path / kind.__name__, monkeypatch)
    assert cli.run(["export", str(folder), "--format", format_]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    with pytest.raises(UsageError, match=f"plain cannot be exported: .*{reason}"):
        run(folder, tmp_path, format=format_)
    assert list(Path().iterdir()) == []


def test_what_onnx_cannot_hold_torch_may(plain, tmp_path, monkeypatch):
    assert run(registered(Bessel, tmp_path / "b", monkeypatch), tmp_path, format="torch-export").file.exists()


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_an_absent_package_is_named_with_the_extra_that_has_it(plain, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs {package}.*pip install 'ffpipe\[export\]'"):
        run(plain, tmp_path)
    assert run(plain, tmp_path, format="torch-export").file.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "tflite"}, "--format 'tflite': Input should be 'onnx' or 'torch-export'"),
        ({"batch_size": 0}, "--batch-size 0: Input should be greater than or equal to 1"),
        ({"out": Path("net.pt2")}, "--out net.pt2: files of this format end in .onnx"),
        ({"out": Path("folder.onnx")}, "is a folder"),
        ({"out": Path("nowhere/net.onnx")}, "does not exist"),
    ],
)
def test_what_cannot_be_written_is_refused_before_any_work(plain, options, words, tmp_path):
    Path("folder.onnx").mkdir()
    with pytest.raises(UsageError, match=words):
        run(tmp_path / "no weights are looked for", tmp_path, **options)


def test_a_run_is_found_as_score_finds_it(plain, tmp_path):
    said: list[str] = []
    newest = run(None, tmp_path, format="torch-export", say=said.append)
    assert said[0] == f"weights: {plain}, the newest in the workspace"
    for given in (plain / "model.safetensors", "plain/run"):
        assert run(given, tmp_path, format="torch-export").contract["model_id"] == newest.contract["model_id"]
    with pytest.raises(UsageError, match="RUN .*nothing: no such folder or run; .* one of plain/run in"):
        run(tmp_path / "nothing", tmp_path)


def test_python_exports_as_the_command_does(plain, tmp_path):
    result = ffpipe.export(plain, out=tmp_path / "net.pt2", workspace=tmp_path / "ws", format="torch-export")
    assert json.loads((tmp_path / "net.pt2.json").read_bytes()) == result.contract


def test_the_command_prints_the_contract_as_json(plain, tmp_path, capsys):
    code = cli.run(["export", str(plain), "--out", "net.pt2", "--format", "torch-export", "--json"])
    said = capsys.readouterr()
    assert code == 0
    assert json.loads(said.out) == json.loads(Path("net.pt2.json").read_bytes())
    assert "net.pt2: " in said.err
