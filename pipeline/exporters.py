"""Formats of an exported network: from a traced graph to a file's bytes, and from those to something that runs."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from ffpipe.manifests.errors import UsageError
from ffpipe.models.detector import Detector

#: What the pip extra of the same purpose installs.
EXTRA = "ffpipe[export]"
OUTPUT = "logits"

Inputs = Mapping[str, Tensor]
#: Of each input, the dimensions that vary.
Shapes = Mapping[str, dict[int, Dim] | None]
Runner = Callable[[Inputs], Tensor]


@dataclass(frozen=True, slots=True)
class Exporter:
    """One format: its file suffix, the packages it needs, and the ways there and back."""

    suffix: str
    packages: tuple[str, ...]
    encode: Callable[[ExportedProgram, Shapes], bytes]
    decode: Callable[[bytes], Runner]

    def require(self) -> None:
        """UsageError, naming the pip extra, where a package is absent."""
        for package in self.packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                raise UsageError(
                    f"export to {self.suffix} needs {package} ({error}); install it with: pip install '{EXTRA}'"
                ) from None


def graph(exporter: Exporter, model: Detector, inputs: Inputs, dynamic: bool) -> bytes:
    """A file with the graph from the inputs to the logits, for any number of faces or, not `dynamic`, for this one.

    The model has run with such inputs before, so that constants enter the graph as values. Raises UsageError, with
    the exporter's reason, for a network that cannot be traced or that the format cannot hold.
    """
    shapes: Shapes = {name: {0: Dim("batch", min=1)} if dynamic else None for name in inputs}
    with torch.no_grad(), _reasons(model):
        program = torch.export.export(model, tuple(inputs.values()), dynamic_shapes=shapes)
        return exporter.encode(program, shapes)


@contextlib.contextmanager
def _reasons(model: Detector) -> Iterator[None]:
    """Turns what an exporter raises into one line, without the graphs and the advice to developers that it prints."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
            yield
    except Exception as error:  # noqa: BLE001 - exporters raise whatever their many parts raise
        raise UsageError(f"{model.spec.name} cannot be exported: {_first_cause(error)}") from error


def _first_cause(error: BaseException) -> str:
    """The first line of the error at the bottom of the chain: those above it wrap it in advice to developers."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _to_onnx(program: ExportedProgram, shapes: Shapes) -> bytes:
    translated = torch.onnx.export(
        program,
        dynamo=True,
        input_names=list(shapes),
        output_names=[OUTPUT],
        dynamic_shapes=dict(shapes),
        verbose=False,
    )
    if translated is None:
        raise TypeError("torch.onnx.export gave no program")
    return bytes(translated.model_proto.SerializeToString())


def _from_onnx(content: bytes) -> Runner:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> Tensor:
        (logits,) = session.run([OUTPUT], {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(logits)

    return run


def _to_torch(program: ExportedProgram, _: Shapes) -> bytes:
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()


def _from_torch(content: bytes) -> Runner:
    module = torch.export.load(io.BytesIO(content)).module()

    def run(inputs: Inputs) -> Tensor:
        with torch.no_grad():
            return torch.as_tensor(module(*inputs.values()))

    return run


EXPORTERS = {
    "onnx": Exporter(".onnx", ("onnx", "onnxscript", "onnxruntime"), _to_onnx, _from_onnx),
    "torch-export": Exporter(".pt2", (), _to_torch, _from_torch),
}
