"""Crops to logits: the network's input by an independent resize, and scores that do not depend on their company."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ffpipe.manifests.records import SIDA_LENGTH
from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.stages.arithmetic import ARITHMETICS
from ffpipe.stages.infer import Scorer, probability, to_input
from ffpipe.stages.window import window

SIZE = 32


class Tiny(Detector):
    """A convolution over the image and a projection of D; remembers what it was given."""

    spec = DetectorSpec(name="tiny", summary="", paper="", input_size=SIZE, needs_sida=True)

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Linear(8 + SIDA_LENGTH, 2)
        self.dropout = nn.Dropout(0.5)
        self.seen = []

    def forward(self, image, sida=None):
        self.check_input(image, sida)
        self.seen.append(
            (
                image.clone(memory_format=torch.preserve_format),
                torch.is_inference_mode_enabled(),
                torch.is_autocast_enabled("cpu"),
            )
        )
        pooled = self.norm(self.convolution(image)).relu().mean((2, 3))
        return self.dropout(self.head(torch.cat([pooled, sida], 1)))


def faces(count, seed=0):
    random = np.random.default_rng(seed)
    sides = random.integers(16, 90, count)
    crops = [random.integers(0, 256, (side, side, 3), dtype=np.uint8) for side in sides]
    return crops, random.normal(size=(count, SIDA_LENGTH)).astype(np.float32)


def scorer(**options):
    return Scorer(SimpleNamespace(model=Tiny()), **options)


def test_whole_images_are_cropped_at_the_centre_and_small_ones_padded():
    image = np.random.default_rng(1).integers(0, 256, (50, 41, 3), dtype=np.uint8)
    found = to_input(image, SIZE, "crop").permute(1, 2, 0).numpy()
    np.testing.assert_allclose(found, image[9:41, 5:37] / np.float32(255), rtol=1e-6)
    small = to_input(image[:20, :30], SIZE, "crop").permute(1, 2, 0).numpy()
    padded = np.pad(image[:20, :30], ((6, 6), (1, 1), (0, 0)), mode="edge")
    np.testing.assert_allclose(small, padded / np.float32(255), rtol=1e-6)


def test_the_scorer_fits_images_as_it_was_told():
    crops, sida = faces(3)
    centres = [window(crop, SIZE) for crop in crops]
    cropped, resized = scorer(fit="crop").score(crops, sida), scorer().score(crops, sida)
    np.testing.assert_array_equal(cropped, scorer().score(centres, sida))
    assert not np.array_equal(cropped, resized)


def test_input_is_a_bilinear_antialiased_resize():
    crop = np.random.default_rng(1).integers(0, 256, (100, 60, 3), dtype=np.uint8)
    found = to_input(crop, SIZE)
    assert found.dtype == torch.float32
    assert found.shape == (3, SIZE, SIZE)
    reference = (
        np.asarray(Image.fromarray(crop).resize((SIZE, SIZE), Image.Resampling.BILINEAR), np.float32) / 255
    )
    # Pillow rounds to whole grey levels after each of its two passes.
    assert np.abs(found.permute(1, 2, 0).numpy() - reference).max() < 1.5 / 255
    assert np.abs(found.permute(1, 2, 0).numpy() - reference).mean() < 0.4 / 255


def test_a_crop_of_the_input_size_keeps_its_values():
    crop = np.arange(SIZE * SIZE * 3, dtype=np.uint64).astype(np.uint8).reshape(SIZE, SIZE, 3)
    assert torch.equal(to_input(crop, SIZE), torch.from_numpy(crop).permute(2, 0, 1).float() / 255)
    assert torch.equal(to_input(crop[:, ::-1], SIZE), to_input(crop, SIZE).flip(2))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3)])
def test_other_pixels_are_refused(shape):
    with pytest.raises(ValueError, match="uint8"):
        to_input(np.zeros(shape, np.uint8), SIZE)
    with pytest.raises(ValueError, match="uint8"):
        to_input(np.zeros((8, 8, 3), np.float32), SIZE)


def test_logits_are_fake_minus_real_of_the_model_itself():
    crops, sida = faces(3)
    found = scorer().score(crops, sida)
    model = Tiny().eval()
    with torch.no_grad():
        logits = model(torch.stack([to_input(c, SIZE) for c in crops]), torch.from_numpy(sida))
    assert np.allclose(found, (logits[:, 1] - logits[:, 0]).numpy(), atol=1e-5)
    assert np.allclose(probability(found), torch.softmax(logits, 1)[:, 1].numpy(), atol=1e-6)


def test_identical_runs_are_identical_to_the_bit_and_batches_do_not_matter():
    crops, sida = faces(11)
    once = scorer(batch_size=4).score(crops, sida)
    assert np.array_equal(once, scorer(batch_size=4).score(crops, sida))
    order = np.random.default_rng(2).permutation(11)
    shuffled = scorer(batch_size=4).score([crops[k] for k in order], sida[order])
    assert np.allclose(once[order], shuffled, atol=1e-5)
    for size in (1, 3, 11, 64):
        assert np.allclose(once, scorer(batch_size=size).score(crops, sida), atol=1e-5)
    assert np.allclose(once[3:5], scorer(batch_size=4).score(crops[3:5], sida[3:5]), atol=1e-5)


def test_every_batch_has_the_same_shape_and_runs_in_inference_without_autocast():
    used = scorer(batch_size=4)
    with torch.autocast("cpu", torch.bfloat16):
        used.score(*faces(6))
    assert [tuple(image.shape) for image, _, _ in used._model.seen] == [(4, 3, SIZE, SIZE)] * 2
    assert all(inference and not autocast for _, inference, autocast in used._model.seen)
    assert not used._model.training


@pytest.mark.parametrize("arithmetic", ARITHMETICS, ids=lambda arithmetic: arithmetic.name)
def test_every_arithmetic_is_near_float32_and_really_used(arithmetic):
    crops, sida = faces(4)
    used = scorer(arithmetic=arithmetic)
    tolerance = 0.1 if arithmetic.precision == "bfloat16" else 1e-5
    assert np.allclose(used.score(crops, sida), scorer().score(crops, sida), atol=tolerance)
    for image, _, autocast in used._model.seen:
        assert autocast == (arithmetic.precision == "bfloat16")
        assert image.is_contiguous(memory_format=torch.channels_last) == arithmetic.channels_last
    kernel = used._model.convolution.weight
    assert kernel.is_contiguous(memory_format=torch.channels_last) == arithmetic.channels_last


def test_bad_calls_are_refused_and_no_faces_give_no_logits():
    crops, sida = faces(2)
    with pytest.raises(ValueError, match="2 crops need D"):
        scorer().score(crops, sida[:1])
    with pytest.raises(ValueError, match="batch size"):
        scorer(batch_size=0)
    assert scorer().score([], np.zeros((0, SIDA_LENGTH), np.float32)).shape == (0,)


def test_a_score_that_is_no_number_is_an_error_not_a_score():
    crops, sida = faces(2)
    sida[1, 5] = np.nan
    with pytest.raises(FloatingPointError):
        scorer().score(crops, sida)


def test_extreme_logits_stay_probabilities():
    found = probability(np.array([-1000, -20, 0, 20, 1000], np.float32))
    assert found[0] == 0
    assert found[2] == 0.5
    assert found[4] == 1
    assert 0 < found[1] < 1e-8
