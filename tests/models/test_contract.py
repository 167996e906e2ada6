"""One contract for every registered detector; what is registered without a case here fails."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from fnmatch import fnmatch

import pytest
import torch
from detector_cases import CASES
from small_detectors import faces, settled, small
from torch import Tensor, nn

from ffpipe.models import checkpoint, create_detector, detector_info, list_detectors
from ffpipe.models.detector import Detector
from ffpipe.models.distillation import Distillation, KnowledgeWeights


def title(ablation: Mapping[str, object]) -> str:
    return ",".join(f"{key}={value}" for key, value in ablation.items())


ABLATIONS = [
    pytest.param(name, ablation, id=f"{name}-{title(ablation)}")
    for name, case in CASES.items()
    for ablation in case.ablations
]

every_detector = pytest.mark.parametrize("name", list_detectors())


def labels(count: int) -> Tensor:
    return torch.arange(count) % 2


def loss_of(model: Detector, images: Tensor, sida: Tensor) -> Tensor:
    return nn.functional.cross_entropy(model(images, sida), labels(len(images)))


def graph(model: Detector) -> Counter[str]:
    """How often each autograd function takes part in a loss."""
    seen, todo = set(), [loss_of(model.train(), *faces(model, 4)).grad_fn]
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo.extend(parent for parent, _ in node.next_functions)
    return Counter(node.name() for node in seen)


def differs(one: Detector, other: Detector) -> bool:
    """Whether two networks have other parameters or operations, or else put out other logits of the same weights."""
    shapes = [{name: p.shape for name, p in model.state_dict().items()} for model in (one, other)]
    if shapes[0] != shapes[1] or graph(one) != graph(other):
        return True
    other.load_state_dict(one.state_dict())
    images, sida = faces(one, 4)
    with torch.no_grad():
        return not torch.equal(one.eval()(images, sida), other.eval()(images, sida))


def assert_gradients(model: Detector, frozen: tuple[str, ...] = ()) -> float:
    """Of the loss of six faces, which is returned; the model keeps them."""
    loss = loss_of(model.train(), *faces(model, 6))
    loss.backward()
    unused = set(frozen)
    for name, parameter in model.named_parameters():
        matching = {pattern for pattern in frozen if fnmatch(name, pattern)}
        if matching:
            unused -= matching
            assert not parameter.requires_grad and parameter.grad is None, f"{name} should be frozen"
        else:
            assert parameter.grad is not None and parameter.grad.abs().max() > 0, f"{name} gets no gradient"
            assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"
    assert not unused, f"no parameter is called {unused}"
    return loss.item()


def test_every_registered_detector_has_a_case():
    assert list_detectors() == sorted(CASES)


@every_detector
def test_paper_size(name):
    model = create_detector(name).eval()
    count = sum(parameter.numel() for parameter in model.parameters())
    assert count == pytest.approx(CASES[name].parameters, rel=0.02)
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(module: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _, __, output: shapes.__setitem__(module, tuple(output.shape[1:]))

    for module in CASES[name].maps:
        model.get_submodule(module).register_forward_hook(keep(module))
    assert model.spec == detector_info(name), "default options build what the registry describes"
    with torch.no_grad():
        assert model(*faces(model, 1)).shape == (1, 2)
    assert shapes == dict(CASES[name].maps)


@every_detector
def test_spec_names_modules_that_exist(name):
    model = small(name)
    for layer in model.spec.gradcam_layers:
        model.get_submodule(layer)
    if model.spec.gradcam_layers:
        assert model.gradcam_layer() is model.get_submodule(model.spec.gradcam_layers[0])
    else:
        with pytest.raises(ValueError, match=f"{name} has no map"):
            model.gradcam_layer()


@every_detector
def test_every_parameter_trains(name):
    assert_gradients(small(name), CASES[name].frozen.get("", ()))


def assert_learns(model: Detector, rate: float, before: float) -> None:
    """Steps along the gradients that the model has lower the loss of the faces that they are from by a quarter."""
    shown = faces(model, 6)
    optimiser = torch.optim.Adam(model.parameters(), rate)
    for _ in range(4):
        optimiser.step()
        loss = loss_of(model, *shown)
        if loss < 0.75 * before:
            return
        optimiser.zero_grad()
        loss.backward()
    pytest.fail(f"the loss was {before} and is {loss.item()}")


@pytest.mark.parametrize(("name", "ablation"), ABLATIONS)
def test_ablation_changes_the_graph_and_still_trains(name, ablation):
    model = small(name, **ablation)
    assert differs(small(name), model)
    frozen = CASES[name].frozen
    fresh = small(name, **ablation)
    before = assert_gradients(fresh, frozen.get(title(ablation), frozen.get("", ())))
    assert_learns(fresh, CASES[name].rate, before)


@pytest.mark.parametrize("name", [n for n in list_detectors() if detector_info(n).prefusion])
def test_two_maps_can_be_taught_by_a_teacher_of_the_same_kind(name):
    student = small(name).train()
    images, sida = faces(student, 6)
    torch.manual_seed(1)
    teacher = settled(create_detector(name, **CASES[name].small), (images, sida))
    lessons = Distillation(teacher, student, "maps+logits", KnowledgeWeights(features=1, soft=0, hard=0))
    optimiser = torch.optim.Adam(student.parameters(), CASES[name].rate)
    totals = []
    for _ in range(4):
        losses = lessons.loss(student, images, sida, labels(6), images, sida)
        assert set(losses.parts) == {"frequency", "spatial", "soft", "hard"}
        totals.append(losses.total.item())
        optimiser.zero_grad()
        losses.total.backward()
        optimiser.step()
    assert 0 < totals[-1] < 0.95 * totals[0]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.slow if name in ("faclue", "resnet50", "efficientnet-b4") else ()
        )
        for name in list_detectors()
    ],
)
def test_overfits_sixteen_faces(name):
    model = small(name).train()
    images, sida = faces(model, 16)
    optimiser = torch.optim.Adam(model.parameters(), CASES[name].rate)
    for _ in range(CASES[name].steps):
        loss = loss_of(model, images, sida)
        if loss < 0.05:
            break
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.05


@every_detector
def test_save_and_load_give_the_same_logits(name, tmp_path):
    model = settled(small(name))
    checkpoint.save(tmp_path, model, name=name, options=model.options, extra={}, metrics={}, card="")
    loaded = checkpoint.load(tmp_path).model
    images, sida = faces(model, 3)
    with torch.no_grad():
        assert torch.equal(loaded(images, sida), model(images, sida))


@every_detector
def test_eval_is_deterministic(name):
    model = settled(small(name))
    images, sida = faces(model, 4)
    with torch.no_grad():
        assert torch.equal(model(images, sida), model(images, sida))


@every_detector
def test_a_face_scores_the_same_alone_and_in_a_batch(name):
    model = settled(small(name))
    images, sida = faces(model, 8)
    with torch.no_grad():
        together = model(images, sida)
        alone = torch.cat([model(images[i : i + 1], sida[i : i + 1]) for i in range(8)])
    torch.testing.assert_close(alone, together, atol=1e-4, rtol=0)
    assert (together - together[0]).abs().max() > 1e-3, "the logits depend on the face"


@pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name, case in CASES.items() for size in case.sizes]
)
def test_other_input_sizes(name, size):
    model = settled(small(name, input_size=size))
    assert model.spec.input_size == size
    with torch.no_grad():
        assert model(*faces(model, 2)).isfinite().all()


@every_detector
def test_bfloat16_autocast_gives_finite_logits_near_float32(name):
    model = settled(small(name))
    images, sida = faces(model, 8)
    with torch.no_grad():
        exact = model(images, sida).softmax(1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hurried = model(images, sida).float().softmax(1)
    torch.testing.assert_close(hurried, exact, atol=CASES[name].bfloat16, rtol=0)


@every_detector
def test_wrong_input_is_refused(name):
    model = small(name).eval()
    images, sida = faces(model, 2)
    with pytest.raises(ValueError, match="takes float images"):
        model(images[:, :, :-8], sida)
    with pytest.raises(ValueError, match="takes float images"):
        model((images * 255).to(torch.uint8), sida)
    if model.spec.needs_sida:
        with pytest.raises(ValueError, match="needs the SIDA statistics"):
            model(images)
        with pytest.raises(ValueError, match=r"must be \(2,2304\)"):
            model(images, sida[:1])


@every_detector
def test_wrong_options_are_refused_saying_what_is_allowed(name):
    with pytest.raises(ValueError, match=f"{name} has no option colour; it has: .*input_size"):
        create_detector(name, colour="red")
    with pytest.raises(ValueError, match="input_size=7: an integer from"):
        create_detector(name, input_size=7)
