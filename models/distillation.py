"""Knowledge distillation between detectors that expose the maps they fuse: taps on modules, and the losses.

Paper: the one of `sffb`, section 3.3; equation numbers are its own.

Noted: R of eq 9 and 10 is taken for all elements of a map, its channels included (in eq 4 it is the positions of one
    channel); the losses are means over the batch as well.
Noted: the soft loss of eq 11 is a cross-entropy, so that it ends at the teacher's entropy and not at zero; it has no
    factor T^2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.hooks import RemovableHandle

from ffpipe.models.detector import Detector
from ffpipe.models.losses import Losses
from ffpipe.models.registry import detector_info, list_detectors

#: What a teacher can pass on, table 4. Its last row alone names logits: the other three leave out the soft loss.
KNOWLEDGE = ("sum", "fused", "maps", "maps+logits")


class Taps:
    """What named submodules put out in the last forward pass within the `with` block; nothing is held after it.

    The tensors are those that the network goes on with, gradients included; a module that ran more than once shows
    its last output. AttributeError where a name is no module.
    """

    def __init__(self, network: nn.Module, names: Sequence[str]) -> None:
        self._modules = {name: network.get_submodule(name) for name in names}
        self._handles: list[RemovableHandle] = []
        self._outputs: dict[str, Tensor] = {}

    def __enter__(self) -> Taps:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._keeper(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._outputs.clear()

    def __getitem__(self, name: str) -> Tensor:
        """The output of a module; RuntimeError where it has not run."""
        if name not in self._outputs:
            raise RuntimeError(
                f"module {name} has not run within this block, or its hooks were compiled away"
            )
        return self._outputs[name]

    def _keeper(self, name: str) -> Any:
        def keep(_: nn.Module, __: tuple[object, ...], output: Tensor) -> None:
            self._outputs[name] = output

        return keep


@dataclass(frozen=True, slots=True)
class KnowledgeWeights:
    """lambda_1 to lambda_3 of eq 15 and T of eq 12 and 13, with the paper's values; ValueError where out of range."""

    features: float = 2.0
    soft: float = 100.0
    hard: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        for name in ("features", "soft", "hard"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"weight {name}={getattr(self, name)}: a number from 0 on is allowed")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature={self.temperature}: a number above 0 is allowed")


def map_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two maps (B,C,h,w), eq 9 and 10."""
    return functional.mse_loss(student, teacher)


def soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of two logits (B,N) softened by the temperature, eq 11-13; mean over the batch."""
    return functional.cross_entropy(student / temperature, (teacher / temperature).softmax(1))


class Distillation:
    """The losses of a student that sees one quality of a face, under a frozen teacher that sees a better one.

    The parts, by `knowledge` (table 4):
    sum: "sum", of M_m = M_f + M_s, and "hard"; fused: "fused", of M_m1, and "hard"; maps: "frequency" and "spatial"
    (eq 9, 10) and "hard"; maps+logits: "frequency", "spatial", "soft" (eq 11-13) and "hard" (eq 14), together eq 15.

    The teacher is put in eval mode and its parameters are frozen; it has to be on the student's device. ValueError
    where `knowledge` is unknown, or where one of the two does not expose the maps for it.
    """

    def __init__(
        self,
        teacher: Detector,
        student: Detector,
        knowledge: str,
        weights: KnowledgeWeights | None = None,
    ) -> None:
        if knowledge not in KNOWLEDGE:
            raise ValueError(f"knowledge={knowledge!r}: one of {', '.join(KNOWLEDGE)} is allowed")
        if teacher is student:
            raise ValueError(
                "teacher and student are one and the same network: freezing one would freeze both"
            )
        self.knowledge, self.weights = knowledge, weights or KnowledgeWeights()
        for role, detector in (("teacher", teacher), ("student", student)):
            _require_maps(role, detector, knowledge)
        self.teacher = teacher.eval().requires_grad_(False)

    def loss(
        self,
        student: nn.Module,
        image: Tensor,
        sida: Tensor | None,
        label: Tensor,
        teacher_image: Tensor,
        teacher_sida: Tensor | None,
    ) -> Losses:
        """Losses of one batch of pairs: the same faces in the same order, each in its detector's size.

        `student` is the student, or a wrapper of it (DDP); `label` is (B,), int64. Both run in the precision of the
        caller's autocast, the losses in float32. The parts are unweighted and detached: the total alone has
        gradients. ValueError where the two detectors' maps differ in shape.
        """
        self.teacher.eval()
        with torch.no_grad():
            taught, v = self._run(self.teacher, teacher_image, teacher_sida)
        learnt, z = self._run(student, image, sida)
        self._require_equal_shapes(taught, learnt)
        with torch.autocast(image.device.type, enabled=False):
            parts = {name: map_loss(learnt[name], taught[name]) for name in taught}
            total = self.weights.features * torch.stack(tuple(parts.values())).sum()
            if self.knowledge == "maps+logits":
                parts["soft"] = soft_loss(z, v, self.weights.temperature)
                total = total + self.weights.soft * parts["soft"]
            parts["hard"] = functional.cross_entropy(z, label)  # eq 14
            total = total + self.weights.hard * parts["hard"]  # eq 15
        return Losses(total, {name: part.detach() for name, part in parts.items()})

    def _run(
        self, network: nn.Module, image: Tensor, sida: Tensor | None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The maps that are compared, by the name of their loss, and the logits, in float32."""
        detector = _detector_in(network)
        names = _tapped(detector, self.knowledge)
        with Taps(detector, names) as taps:
            logits = network(image, sida)
            maps = [taps[name].float() for name in names]
        if self.knowledge == "fused":
            return {"fused": maps[0]}, logits.float()
        spatial, frequency = maps
        if self.knowledge == "sum":
            _require_addable(detector, spatial, frequency)
            return {"sum": frequency + spatial}, logits.float()  # eq 3
        return {"frequency": frequency, "spatial": spatial}, logits.float()

    def _require_equal_shapes(self, taught: dict[str, Tensor], learnt: dict[str, Tensor]) -> None:
        for name, theirs in taught.items():
            ours = learnt[name]
            if ours.shape != theirs.shape:
                raise ValueError(
                    f"the teacher's {name} map is {tuple(theirs.shape)}, the student's {tuple(ours.shape)}: teacher "
                    f"({self.teacher.spec.name}) and student need the same backbone, input size and batch"
                )


def _detector_in(network: nn.Module) -> Detector:
    """The detector that a wrapper holds, or the network itself."""
    for module in network.modules():
        if isinstance(module, Detector):
            return module
    raise ValueError(f"{type(network).__name__} holds no detector")


def _tapped(detector: Detector, knowledge: str) -> tuple[str, ...]:
    """Names of the modules whose outputs are compared: (spatial, frequency), or the fused one."""
    spec = detector.spec
    if knowledge == "fused":
        return () if spec.fused is None else (spec.fused,)
    return spec.prefusion or ()


def _require_maps(role: str, detector: Detector, knowledge: str) -> None:
    if _tapped(detector, knowledge):
        return
    missing = "fused map" if knowledge == "fused" else "maps before a fusion"
    specs = [detector_info(name) for name in list_detectors()]
    able = [spec.name for spec in specs if (spec.fused if knowledge == "fused" else spec.prefusion)]
    raise ValueError(
        f"{role} {detector.spec.name} exposes no {missing}, which knowledge={knowledge} compares; "
        f"detectors that do: {', '.join(able) or 'none'}"
    )


def _require_addable(detector: Detector, spatial: Tensor, frequency: Tensor) -> None:
    if spatial.shape != frequency.shape:
        raise ValueError(
            f"knowledge=sum adds the two maps of {detector.spec.name}, which differ in shape: "
            f"spatial {tuple(spatial.shape)}, frequency {tuple(frequency.shape)}"
        )
