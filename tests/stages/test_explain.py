"""Grad-CAM against NumPy, on a planted patch, and against the randomisation of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import scipy.signal
import scipy.stats
import torch
from detector_cases import CASES
from small_detectors import faces, settled, small
from torch import Tensor, nn

from ffpipe.models import detector_info
from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.stages.explain import explain_face, gradcam, overlay, telling_layer
from ffpipe.stages.infer import to_input

SIZE = 16


class Small(Detector):
    """Convolution, ReLU in place, mean, linear layer."""

    spec = DetectorSpec(name="small", summary="", paper="", input_size=SIZE, gradcam_layers=("conv",))

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.conv = nn.Conv2d(3, 5, 4, 4)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(5, 2)
        self.idle = nn.Conv2d(3, 2, 1)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        self.check_input(image, sida)
        self.idle(image)
        return self.head(self.act(self.conv(image - 0.5)).mean((2, 3)))


class RedPatch(Detector):
    """Reacts to red pixels; its map has one cell for 8x8 pixels."""

    spec = DetectorSpec(name="red", summary="", paper="", input_size=64, gradcam_layers=("conv",))

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, 8, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, -0.5, -0.5], [-1.0, 0.5, 0.5]])[:, :, None, None] / 64)
            self.head.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        return self.head(self.conv(image).relu().mean((2, 3)))


def pictures(count: int, size: int = SIZE) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> Small:
    return Small().eval()


@pytest.mark.parametrize(("target", "row"), [("real", 0), ("fake", 1)])
@pytest.mark.parametrize("layer", [None, "act"])
def test_the_map_is_that_of_the_paper(model, target, row, layer):
    image = pictures(3)
    weight, bias = model.conv.weight.detach().double().numpy(), model.conv.bias.detach().double().numpy()
    classes = model.head.weight.detach().double().numpy()
    found = gradcam(model, image, layer=layer, target=target)
    assert found.shape == (3, SIZE, SIZE)
    assert found.dtype == torch.float32
    for x, heat in zip(image.double().numpy() - 0.5, found.numpy(), strict=True):
        conv = np.stack(
            [
                sum(scipy.signal.correlate2d(x[c], weight[k, c], "valid")[::4, ::4] for c in range(3))
                + bias[k]
                for k in range(5)
            ]
        )  # A (5,4,4)
        rectified = np.maximum(conv, 0)
        # Y_c = sum_k w_ck mean(ReLU(A_k)), so that dY_c/dA_k is w_ck / 16 where A_k > 0, and over ReLU(A_k) anywhere.
        slope = classes[row][:, None, None] / 16 * (conv > 0 if layer is None else np.ones_like(conv))
        alpha = slope.mean((1, 2))
        coarse = np.maximum(np.einsum("k,kij->ij", alpha, conv if layer is None else rectified), 0)
        large = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        assert large.max() > 0, "a map with something in it, or nothing is compared"
        np.testing.assert_allclose(heat, large / large.max(), atol=1e-5)


def red_at(left: int, top: int, height: int = 64, width: int = 64) -> np.ndarray:
    crop = np.full((height, width, 3), 120, np.uint8)
    crop[top : top + 8, left : left + 8] = (250, 10, 10)
    return crop


def test_the_map_is_highest_where_the_evidence_is_and_each_face_has_its_own():
    places = [(0, 0), (16, 40), (56, 8), (32, 32)]
    image = torch.stack([to_input(red_at(*place), 64) for place in places])
    for heat, (left, top) in zip(gradcam(RedPatch().eval(), image), places, strict=True):
        assert heat.max() == 1
        assert heat[top : top + 8, left : left + 8].max() == 1
        outside = heat.clone()
        outside[max(0, top - 8) : top + 16, max(0, left - 8) : left + 16] = 0
        assert outside.max() == 0


def test_the_map_of_a_face_lies_on_its_crop_whatever_the_sides():
    crop = red_at(96, 24, height=96, width=128)
    heat = explain_face(SimpleNamespace(model=RedPatch().eval()), crop, np.zeros(2304, np.float32))
    assert heat.shape == (96, 128)
    assert heat.dtype == np.float32
    top, left = np.unravel_index(heat.argmax(), heat.shape)
    assert 24 <= top < 32
    assert 96 <= left < 104
    assert max(heat[:8].max(), heat[48:].max(), heat[:, :80].max()) < 0.05


def test_the_map_of_a_whole_image_lies_on_the_window_that_is_scored():
    image = red_at(40, 48, height=120, width=100)  # the window is rows 28 to 92, columns 18 to 82
    model, d = SimpleNamespace(model=RedPatch().eval()), np.zeros(2304, np.float32)
    heat = explain_face(model, image, d, fit="crop")
    assert heat.shape == (120, 100)
    assert heat[48:56, 40:48].max() == 1
    seen = np.zeros(heat.shape, bool)
    seen[28:92, 18:82] = True
    assert not heat[~seen].any()
    assert np.array_equal(
        heat[28:92, 18:82], gradcam(model.model, to_input(image, 64, "crop")[None])[0].numpy()
    )


def test_nothing_that_speaks_for_the_target_leaves_the_map_at_zero():
    grey = torch.full((1, 3, 64, 64), 0.5)
    assert gradcam(RedPatch().eval(), grey).abs().max() == 0


def test_a_crop_shows_the_map_of_the_pixels_that_are_scored(model):
    crop = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    heat = explain_face(SimpleNamespace(model=model), crop, np.zeros(2304, np.float32))
    assert np.array_equal(heat, gradcam(model, to_input(crop, SIZE)[None])[0].numpy())


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("trains", [True, False])
def test_the_model_stays_as_it_is(model, mode, trains):
    expected = gradcam(model, pictures(2))
    model.requires_grad_(trains)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 0.25)
    before = copy.deepcopy(model.state_dict())
    with mode():
        assert torch.equal(gradcam(model, pictures(2)), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all((p.grad == 0.25).all() and p.requires_grad is trains for p in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())


def test_hooks_go_also_when_the_pass_fails(model):
    with pytest.raises(ValueError, match="takes float images"):
        gradcam(model, torch.zeros(1, 3, 7, 7))
    assert not model.conv._forward_hooks


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("nose", "small has no layer 'nose'; its maps are: conv"),
        ("head", r"head of small puts out \[\(1, 2\)\]"),
        ("idle", "the logits of small do not depend on the map of idle"),
    ],
)
@pytest.mark.parametrize("trains", [True, False])
def test_layers_without_a_map_are_refused(model, layer, words, trains):
    with pytest.raises(ValueError, match=words):
        gradcam(model.requires_grad_(trains), pictures(1), layer=layer)


def test_a_layer_that_does_not_run_or_runs_twice_has_no_one_map(model):
    model.forward = lambda image, sida=None: model.head(
        model.conv(image + model.conv(image).mean()).mean((2, 3))
    )
    with pytest.raises(ValueError, match=r"conv of small puts out \[\(1, 5, 4, 4\), \(1, 5, 4, 4\)\]"):
        gradcam(model, pictures(1))
    with pytest.raises(ValueError, match="idle of small puts out nothing"):
        gradcam(model, pictures(1), layer="idle")


@pytest.mark.parametrize("name", [name for name in CASES if not detector_info(name).gradcam_layers])
def test_a_detector_without_maps_says_so(name):
    model = small(name).eval()
    with pytest.raises(ValueError, match=f"{name} looks at no map of the face"):
        gradcam(model, *faces(model, 1))
    with pytest.raises(ValueError, match=f"{name} has no layer 'x'; its maps are: none"):
        gradcam(model, *faces(model, 1), layer="x")


def test_train_mode_and_numbers_that_are_none_are_refused(model):
    with pytest.raises(ValueError, match="train mode"):
        gradcam(model.train(), pictures(1))
    with pytest.raises(FloatingPointError, match="no number"):
        gradcam(model.eval(), torch.full((1, 3, SIZE, SIZE), torch.nan))


def test_an_overlay_is_brighter_where_the_map_is_higher_and_keeps_the_picture():
    heat = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (8, 1))
    crop = np.full((8, 256, 3), 100, np.uint8)
    lightness = cv2.cvtColor(overlay(crop, heat), cv2.COLOR_RGB2LAB)[0, :, 0].astype(int)
    assert (np.diff(lightness) >= -1).all()
    assert lightness[-1] - lightness[0] > 80
    crop[:, ::2] = 140
    shown = overlay(crop, np.zeros((8, 256), np.float32)).astype(int)
    assert (shown[:, ::2] - shown[:, 1::2] == 20).all()
    warm = overlay(crop, np.full((8, 256), 0.6, np.float32))[0, 0]
    assert warm[0] > warm[2], "the colours are RGB: the middle of the map is red"


def test_an_overlay_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"lies on a crop uint8 \(4, 4, 3\)"):
        overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 4), np.float32))


# The sanity check of Adebayo et al. 2018: a map that explains a network changes when its weights are randomised.

Explain = Callable[[Detector, Tensor, Tensor], Tensor]
#: Mean rank correlation with the map of the trained network, below which a map counts as another one.
CHANGED = 0.5
STAGES = 3


def overfitted(name: str) -> tuple[Detector, Tensor, Tensor]:
    model = small(name).train()
    images, sida = faces(model, 8)
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], CASES[name].rate)
    for _ in range(5):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(images, sida), torch.arange(len(images)) % 2).backward()
        optimiser.step()
    return settled(model), images, sida


def cascade(model: Detector) -> Iterator[Detector]:
    """The network with more and more of its weights drawn anew, from the classifier down; first with none."""
    randomised, random = copy.deepcopy(model), torch.Generator().manual_seed(1)
    yield randomised
    downwards = list(randomised.parameters())[::-1]
    for stage in np.array_split(np.arange(len(downwards)), STAGES):
        with torch.no_grad():
            for number in stage:
                p = downwards[number]
                p.copy_(p.mean() + p.std(correction=0) * torch.randn(p.shape, generator=random))
        yield settled(randomised)


def rank_correlation(one: Tensor, other: Tensor) -> float:
    """Spearman's, 0 where a map is flat: then it shows nothing of the other."""
    ranks = [scipy.stats.rankdata(heat.flatten().numpy().round(4)) for heat in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def correlations(model: Detector, images: Tensor, sida: Tensor, explain: Explain) -> list[float]:
    """Mean over the faces, after each stage of randomisation."""
    maps = [explain(network, images, sida) for network in cascade(model)]
    return [
        float(np.mean([rank_correlation(*pair) for pair in zip(maps[0], later, strict=True)]))
        for later in maps
    ]


def evidence(model: Detector, images: Tensor, sida: Tensor) -> Tensor:
    """What speaks for fake, less what speaks for real: no face's map is all zero."""
    return gradcam(model, images, sida, target="fake") - gradcam(model, images, sida, target="real")


def brightness(_: Detector, images: Tensor, __: Tensor) -> Tensor:
    """An explanation that looks plausible and knows nothing of the network."""
    return images.mean(1)


#: One of one stream and one of two; the others take long in sum.
QUICK = ("meso4", "sffb")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name not in QUICK else ())
        for name in CASES
        if detector_info(name).gradcam_layers
    ],
)
def test_a_map_changes_when_the_weights_are_randomised(name):
    trained = overfitted(name)
    unchanged, *randomised = correlations(*trained, evidence)
    assert unchanged == pytest.approx(1)
    assert max(randomised) < CHANGED
    assert min(correlations(*trained, brightness)) > CHANGED, "the check tells what ignores the weights"


class TwoStreams(Detector):
    """A stream that never speaks for fake, and one that does where there is red."""

    spec = DetectorSpec(
        name="two", summary="", paper="", input_size=64, gradcam_layers=("mute.conv", "red.conv")
    )

    def __init__(self) -> None:
        super().__init__()
        self.mute, self.red = RedPatch(), RedPatch()

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        silent = self.mute.conv(image).relu().mean((2, 3)) * torch.tensor([1.0, 0.0])
        return self.red(image) + silent


def test_the_layer_that_tells_is_the_first_whose_map_is_not_empty() -> None:
    loaded = SimpleNamespace(model=TwoStreams().eval())
    red, sida = np.zeros((64, 64, 3), np.uint8), np.zeros(2304, np.float32)
    assert telling_layer(loaded, red, sida) == "mute.conv"  # nothing speaks for anything
    red[:32, :32, 0] = 255
    assert not explain_face(loaded, red, sida, "mute.conv").any()
    assert telling_layer(loaded, red, sida) == "red.conv"
    assert telling_layer(loaded, red, sida, target="real") == "mute.conv"
    loaded.model.spec = DetectorSpec(name="none", summary="", paper="", input_size=64)
    assert telling_layer(loaded, red, sida) == ""
