"""Equations 9-15 against NumPy, taps that leave nothing behind, and a teacher that nothing moves."""

from __future__ import annotations

import copy
import dataclasses
import gc
import weakref

import numpy as np
import pytest
import scipy.special
import torch
import torch.distributed as dist
from torch import Tensor, nn

from ffpipe.models import create_detector
from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.models.distillation import KNOWLEDGE, Distillation, KnowledgeWeights, Taps

SMALL = {"input_size": 64, "backbone": "xception-small"}
LABEL = torch.tensor([0, 1, 1, 0])
SPEC = DetectorSpec(
    name="toy",
    summary="two convolutions whose maps are multiplied",
    paper="none",
    input_size=16,
    prefusion=("streams.rgb", "streams.blue"),
)


class Toy(Detector):
    """Exposes two maps in its own way, wants D, and names no fused map."""

    spec = SPEC

    def __init__(self, width: int = 4, blue: int | None = None, spec: DetectorSpec = SPEC) -> None:
        super().__init__()
        self.spec, self.options = spec, {}
        self.streams = nn.ModuleDict(
            {"rgb": nn.Conv2d(3, width, 3), "blue": nn.Sequential(nn.Conv2d(1, blue or width, 3))}
        )
        self.norm = nn.BatchNorm1d(width)
        self.classifier = nn.Linear(width + 1, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        assert sida is not None
        rgb, blue = self.streams["rgb"](image), self.streams["blue"](image[:, 2:])
        pooled = self.norm((rgb * blue.mean(1, keepdim=True)).mean((2, 3)))
        return torch.as_tensor(self.classifier(torch.cat((pooled, sida[:, :1]), 1)))


@dataclasses.dataclass
class Pair:
    """A teacher and a student of different weights, and faces in two qualities."""

    teacher: Detector
    student: Detector
    raw: Tensor
    compressed: Tensor


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(0)
    teacher, student = create_detector("sffb", **SMALL), create_detector("sffb-kd", **SMALL)
    raw = torch.rand(4, 3, 64, 64)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = (
                None  # statistics of faces alone, or its maps in eval mode would be next to nothing
            )
    with torch.no_grad():
        teacher.train()(raw)
    return Pair(teacher, student, raw, (raw + 0.1 * torch.randn(raw.shape)).clamp(0, 1))


def losses(
    pair: Pair, knowledge: str, weights: KnowledgeWeights | None = None, student: nn.Module | None = None
):
    distillation = Distillation(pair.teacher, pair.student, knowledge, weights)
    return distillation.loss(student or pair.student, pair.compressed, None, LABEL, pair.raw, None)


def n(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()


def what_they_say(model: Detector, image: Tensor) -> dict[str, np.ndarray]:
    """Maps, fused map and logits of a copy in the same mode, so that no statistics move."""
    model, seen = copy.deepcopy(model), {}
    for name in ("spatial", "frequency", "fusion"):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.__setitem__(name, n(out))
        )
    with torch.no_grad():
        seen["logits"] = n(model(image))
    return seen


def expected_parts(pair: Pair, knowledge: str, temperature: float) -> dict[str, float]:
    """From the paper, one face and one class at a time."""
    t, s = what_they_say(pair.teacher.eval(), pair.raw), what_they_say(pair.student.train(), pair.compressed)

    def mse(ours: np.ndarray, theirs: np.ndarray) -> float:
        return float(((ours - theirs) ** 2).sum() / ours.size)

    v, z = t["logits"], s["logits"]
    x, y = (
        np.exp(u / temperature) / np.exp(u / temperature).sum(1, keepdims=True) for u in (v, z)
    )  # eq 12, 13
    soft = -sum(x[b, i] * np.log(y[b, i]) for b in range(4) for i in range(2)) / 4  # eq 11
    hard = -sum(scipy.special.log_softmax(z[b])[LABEL[b]] for b in range(4)) / 4  # eq 14
    frequency, spatial = mse(s["frequency"], t["frequency"]), mse(s["spatial"], t["spatial"])  # eq 9, 10
    total_map = mse(s["frequency"] + s["spatial"], t["frequency"] + t["spatial"])
    return {
        "sum": {"sum": total_map, "hard": hard},
        "fused": {"fused": mse(s["fusion"], t["fusion"]), "hard": hard},
        "maps": {"frequency": frequency, "spatial": spatial, "hard": hard},
        "maps+logits": {"frequency": frequency, "spatial": spatial, "soft": soft, "hard": hard},
    }[knowledge]


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_the_losses_by_knowledge_eq_9_to_15(pair, knowledge):
    expected = expected_parts(pair, knowledge, 1)
    found = losses(pair, knowledge)
    assert {name: float(part) for name, part in found.parts.items()} == pytest.approx(expected, rel=1e-4)
    factors = {"soft": 100, "hard": 1}
    total = sum(factors.get(name, 2) * value for name, value in expected.items())
    assert found.total.item() == pytest.approx(total, rel=1e-4)
    assert min(expected.values()) > 1e-3, "each part counts"


def test_other_weights_and_temperature(pair):
    expected = expected_parts(pair, "maps+logits", 4)
    found = losses(pair, "maps+logits", KnowledgeWeights(features=0.5, soft=3, hard=7, temperature=4))
    total = 0.5 * (expected["frequency"] + expected["spatial"]) + 3 * expected["soft"] + 7 * expected["hard"]
    assert found.parts["soft"].item() == pytest.approx(expected["soft"], rel=1e-4)
    assert found.total.item() == pytest.approx(total, rel=1e-4)


def test_the_paper_s_weights_are_the_defaults():
    assert dataclasses.astuple(KnowledgeWeights()) == (2, 100, 1, 1)


@pytest.mark.parametrize("knowledge", KNOWLEDGE)
def test_every_parameter_of_the_student_learns_and_none_of_the_teacher(pair, knowledge):
    pair.teacher.train()
    before = copy.deepcopy(pair.teacher.state_dict())
    losses(pair, knowledge).total.backward()
    for name, parameter in pair.student.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, f"{name} gets no gradient"
    assert all(not p.requires_grad and p.grad is None for p in pair.teacher.parameters())
    after = pair.teacher.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_the_teacher_stays_in_eval_when_its_owner_trains(pair):
    pair.student.professor = pair.teacher
    distillation = Distillation(pair.teacher, pair.student, "maps")
    before = copy.deepcopy(pair.teacher.state_dict())
    pair.student.train()
    assert pair.teacher.training, "the student's train() reached it"
    distillation.loss(pair.student, pair.compressed, None, LABEL, pair.raw, None)
    assert not any(module.training for module in pair.teacher.modules())
    assert all(torch.equal(pair.teacher.state_dict()[name], value) for name, value in before.items())


def test_the_student_approaches_its_teacher(pair):
    distillation = Distillation(pair.teacher, pair.student.train(), "maps+logits")
    maps = what_they_say(pair.teacher, pair.raw)
    of_silence = sum((maps[name] ** 2).mean() for name in ("frequency", "spatial"))
    optimiser = torch.optim.Adam(pair.student.parameters(), 1e-2)
    for _ in range(20):
        found = distillation.loss(pair.student, pair.compressed, None, LABEL, pair.raw, None)
        optimiser.zero_grad()
        found.total.backward()
        optimiser.step()
    assert found.parts["frequency"] + found.parts["spatial"] < 0.8 * of_silence


def test_equal_networks_and_pictures_differ_by_nothing(pair):
    pair.student.load_state_dict(pair.teacher.state_dict())
    pair.student.eval()
    pair.compressed = pair.raw
    parts = losses(pair, "maps+logits").parts
    assert parts["frequency"] == parts["spatial"] == 0
    assert parts["soft"] > 0, "the entropy of the teacher"


def test_losses_are_float32_under_autocast(pair):
    exact = losses(pair, "maps+logits")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses(pair, "maps+logits")
    assert {tensor.dtype for tensor in (found.total, *found.parts.values())} == {torch.float32}
    for name, part in found.parts.items():
        assert part.item() == pytest.approx(exact.parts[name].item(), rel=0.05)
    found.total.backward()


def test_a_wrapped_or_copied_student_is_tapped_in_its_own_place(pair):
    distillation = Distillation(pair.teacher, pair.student, "fused")
    batch = (pair.compressed, None, LABEL, pair.raw, None)
    expected = distillation.loss(pair.student, *batch).total
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    try:
        wrapped = nn.parallel.DistributedDataParallel(copy.deepcopy(pair.student))
        found = distillation.loss(wrapped, *batch).total
        found.backward()
    finally:
        dist.destroy_process_group()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(p.grad is not None for p in wrapped.module.parameters())
    assert all(p.grad is None for p in pair.student.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_taps_see_outputs_and_hold_nothing_afterwards(training):
    torch.manual_seed(0)
    model = Toy().train(training)
    image, d = torch.rand(2, 3, 16, 16), torch.rand(2, 2304)
    taps = Taps(model, model.spec.prefusion)
    with taps:
        model(image, d)
        seen = taps["streams.rgb"]
        assert torch.equal(seen, model.streams["rgb"](image)) and seen.requires_grad
        assert taps["streams.blue"].shape == (2, 4, 14, 14)
    assert not any(module._forward_hooks for module in model.modules())
    watched = weakref.ref(seen)
    del seen
    gc.collect()
    assert watched() is None
    with pytest.raises(RuntimeError, match=r"streams\.rgb has not run"):
        taps["streams.rgb"]


def test_taps_let_go_when_the_network_fails():
    model = Toy()
    with pytest.raises(AssertionError), Taps(model, model.spec.prefusion):
        model(torch.rand(2, 3, 16, 16))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("knowledge", ["sum", "maps", "maps+logits"])
def test_any_detector_with_maps_can_be_distilled(knowledge):
    torch.manual_seed(0)
    teacher, student = Toy(), Toy()
    raw, compressed, d = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16), torch.rand(4, 2304)
    found = Distillation(teacher, student, knowledge).loss(student, compressed, d, LABEL, raw, d * 2)
    rgb = n(student.streams["rgb"](compressed)) - n(teacher.streams["rgb"](raw))
    blue = n(student.streams["blue"](compressed[:, 2:])) - n(teacher.streams["blue"](raw[:, 2:]))
    if knowledge == "sum":
        assert found.parts["sum"].item() == pytest.approx(((rgb + blue) ** 2).mean(), rel=1e-5)
    else:
        assert found.parts["spatial"].item() == pytest.approx((rgb**2).mean(), rel=1e-5)
        assert found.parts["frequency"].item() == pytest.approx((blue**2).mean(), rel=1e-5)


def test_what_cannot_be_distilled_says_why():
    mapless = Toy(spec=dataclasses.replace(SPEC, prefusion=None))
    with pytest.raises(ValueError, match="teacher toy exposes no maps before a fusion, .*sffb, sffb-kd"):
        Distillation(mapless, Toy(), "maps")
    with pytest.raises(ValueError, match="student toy exposes no maps before a fusion, which knowledge=sum"):
        Distillation(Toy(), mapless, "sum")
    with pytest.raises(ValueError, match="teacher toy exposes no fused map, which knowledge=fused .*sffb"):
        Distillation(Toy(), Toy(), "fused")
    with pytest.raises(
        ValueError, match=r"knowledge='all': one of sum, fused, maps, maps\+logits is allowed"
    ):
        Distillation(Toy(), Toy(), "all")
    model = Toy()
    with pytest.raises(ValueError, match="one and the same"):
        Distillation(model, model, "maps")
    assert all(p.requires_grad for p in model.parameters())


def test_maps_of_other_shapes_are_refused_naming_both():
    faces, d = torch.rand(4, 3, 16, 16), torch.rand(4, 2304)
    with pytest.raises(
        ValueError, match=r"frequency map is \(4, 4, 14, 14\), the student's \(4, 6, 14, 14\)"
    ):
        Distillation(Toy(), Toy(6), "maps").loss(Toy(6), faces, d, LABEL, faces, d)
    with pytest.raises(ValueError, match=r"\(2, 4, 14, 14\), the student's \(4, 4, 14, 14\).*and batch"):
        Distillation(Toy(), Toy(), "maps").loss(Toy(), faces, d, LABEL, faces[:2], d[:2])
    with pytest.raises(ValueError, match=r"spatial \(4, 4, 14, 14\), frequency \(4, 1, 14, 14\)"):
        Distillation(Toy(blue=1), Toy(), "sum").loss(Toy(), faces, d, LABEL, faces, d)


@pytest.mark.parametrize("field", ["features", "soft", "hard"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_weights_are_checked(field, value):
    with pytest.raises(ValueError, match=f"weight {field}=.* a number from 0 on is allowed"):
        KnowledgeWeights(**{field: value})


def test_the_temperature_is_positive():
    with pytest.raises(ValueError, match="temperature=0: a number above 0 is allowed"):
        KnowledgeWeights(temperature=0)
