"""F3-Net against NumPy and SciPy: FAD, LFS, MixBlock, and how the two streams are joined."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import scipy.fft
import scipy.special
import timm
import torch
from layer_reference import batch_norm, conv1x1, draw, n, randomised
from torch import Tensor

from ffpipe.models import create_detector
from ffpipe.models.errors import PretrainedError
from ffpipe.models.f3net import FAD, LFS, MixBlock


def picture(side: int, seed: int = 0) -> Tensor:
    """RGB (2,3,S,S) in [0,1], smooth with some noise."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 6, 6, generator=random)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")
    return (smooth + 0.02 * torch.randn(smooth.shape, generator=random)).clamp(0, 1)


def squash(x: np.ndarray) -> np.ndarray:
    return (1 - np.exp(-x)) / (1 + np.exp(-x))


def scattered(block: FAD | LFS, scale: float) -> np.ndarray:
    """Gives the learnable filters values that are not small, and returns them."""
    filters = block.filters.learnable
    with torch.no_grad():
        filters.copy_(draw(*filters.shape, seed=5) * scale)
    return n(filters)


@pytest.mark.parametrize("side", [33, 64])
def test_fad_filters_the_whole_spectrum_four_times(side):
    fad = FAD(side)
    learnable = scattered(fad, 2.0)
    image = picture(side) * 2 - 1
    diagonal = np.add.outer(np.arange(side), np.arange(side))
    low, middle = diagonal < side / np.sqrt(8), diagonal < side / 2
    bases = [low, middle & ~low, ~middle, np.ones_like(low)]
    spectrum = scipy.fft.dctn(n(image), type=2, norm="ortho", axes=(2, 3))
    expected = [
        scipy.fft.idctn(spectrum * (base + squash(own)), type=2, norm="ortho", axes=(2, 3))
        for base, own in zip(bases, learnable, strict=True)
    ]
    with torch.no_grad():
        out = fad(image)
    assert out.shape == (2, 12, side, side)
    np.testing.assert_allclose(n(out), np.concatenate(expected, 1), atol=1e-4)


def test_base_bands_have_a_sixteenth_a_sixteenth_and_the_rest_of_the_area():
    areas = FAD(512).filters.base.mean((1, 2))
    torch.testing.assert_close(areas, torch.tensor([1 / 16, 1 / 16, 7 / 8, 1.0]), atol=2e-3, rtol=0)


def test_fad_starts_at_bands_that_sum_to_the_image():
    image = picture(48)
    with torch.no_grad():
        low, middle, high, whole = FAD(48)(image).split(3, 1)
    torch.testing.assert_close(low + middle + high, image, atol=1e-2, rtol=0)
    torch.testing.assert_close(whole, image, atol=1e-2, rtol=0)


def explicit_lfs(image: np.ndarray, learnable: np.ndarray, padding: int) -> np.ndarray:
    """(3,S,S) in [0,1] -> (6,h,h), window by window."""
    luma = np.tensordot((0.299, 0.587, 0.114), image * 255, 1)
    padded = np.pad(luma, padding)
    diagonal = np.add.outer(np.arange(10), np.arange(10))
    edges = np.linspace(0, 20, 7)
    bases = [(diagonal >= low) & (diagonal < high) for low, high in zip(edges, edges[1:], strict=False)]
    starts = range(0, padded.shape[0] - 9, 2)
    out = np.empty((6, len(starts), len(starts)))
    for row, top in enumerate(starts):
        for column, left in enumerate(starts):
            window = padded[top : top + 10, left : left + 10]
            spectrum = scipy.fft.dctn(window, type=2, norm="ortho")
            for band, (base, own) in enumerate(zip(bases, learnable, strict=True)):
                energy = np.abs(spectrum * (base + squash(own))).sum()
                out[band, row, column] = np.log10(energy + 0.01)
    return out


@pytest.mark.parametrize(("side", "padding", "count"), [(43, 4, 21), (44, 4, 22), (40, 6, 22)])
@pytest.mark.parametrize("scale", [2.0, 0.0])
def test_lfs_is_log_energy_of_each_window_s_bands(side, padding, count, scale):
    lfs = LFS(padding)
    learnable = scattered(lfs, scale)
    image = picture(side)
    with torch.no_grad():
        out = lfs(image)
    assert out.shape == (2, 6, count, count)
    expected = np.stack([explicit_lfs(face, learnable, padding) for face in n(image)])
    np.testing.assert_allclose(n(out), expected, atol=2e-3)


def test_lfs_bands_cover_the_window_once():
    base = LFS(4).filters.base
    assert torch.equal(base.sum(0), torch.ones(10, 10))
    # i+j = 0-3, 4-6, 7-9, 10-13, 14-16, 17-18
    assert base.sum((1, 2)).tolist() == [10, 18, 27, 30, 12, 3]


def test_all_filters_of_lfs_learn_from_the_first_step():
    lfs = LFS(4)
    lfs(picture(32)).sum().backward()
    assert (lfs.filters.learnable.grad != 0).all()


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_flat_images_have_finite_statistics(value):
    lfs = LFS(4)
    out = lfs(torch.full((1, 3, 32, 32), value))
    out.sum().backward()
    assert out.isfinite().all() and lfs.filters.learnable.grad.isfinite().all()


def test_both_spectral_fronts_are_exact_under_autocast():
    fad, lfs, image = FAD(40), LFS(4), picture(40)
    with torch.no_grad():
        exact = fad(image), lfs(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hurried = fad(image), lfs(image)
    assert all(torch.equal(a, b) for a, b in zip(exact, hurried, strict=True))


def test_mixblock_gives_each_stream_the_other_s_map_under_one_attention():
    block = randomised(MixBlock(6))
    x_s, x_f = draw(2, 6, 5, 5), draw(2, 6, 5, 5, seed=1)
    s, f = n(x_s), n(x_f)
    query = np.concatenate((conv1x1(f, block.query_f), conv1x1(s, block.query_s)), 3)
    key = np.concatenate((conv1x1(f, block.key_f), conv1x1(s, block.key_s)), 3)
    alpha = scipy.special.softmax(query @ key.transpose(0, 1, 3, 2) / np.sqrt(10), axis=3)
    gates = [scipy.special.expit(n(gamma)) for gamma in (block.gamma_s, block.gamma_f)]
    to_s = batch_norm(conv1x1(alpha * f * gates[0], block.conv_s), block.norm_s)
    to_f = batch_norm(conv1x1(alpha * s * gates[1], block.conv_f), block.norm_f)
    with torch.no_grad():
        y_s, y_f = block(x_s, x_f)
    np.testing.assert_allclose(n(y_s), s + to_s, atol=1e-4)
    np.testing.assert_allclose(n(y_f), f + to_f, atol=1e-4)


def test_both_gates_start_at_a_half():
    block = MixBlock(4)
    assert block.gamma_s.item() == block.gamma_f.item() == 0


def watched(**options: object) -> tuple[torch.nn.Module, dict[str, tuple], dict[str, object]]:
    """A small model that has scored two faces, and what went into and came out of its modules."""
    torch.manual_seed(0)
    model = create_detector("f3net", input_size=64, backbone="xception-small", **options).eval()
    taken, given = {}, {}

    def watch(name: str, module: torch.nn.Module) -> None:
        def keep(_: object, args: tuple, output: object) -> None:
            taken[name], given[name] = args, output

        module.register_forward_hook(keep)

    for name, module in model.named_modules():
        watch(name, module)
    with torch.no_grad():
        model(picture(64))
    return model, taken, given


def test_streams_meet_after_blocks_7_and_12_and_are_concatenated():
    model, taken, given = watched()
    for side, stream in enumerate(("fad", "lfs")):
        trunk = f"streams.{stream}.trunk"
        assert taken["mix_7"][side] is given[f"{trunk}.middle_first"]
        assert taken[f"{trunk}.middle_second"][0] is given["mix_7"][side]
        assert taken["mix_12"][side] is given[f"{trunk}.exit"]
        assert taken[f"{trunk}.tail"][0] is given["mix_12"][side]
    pooled = [n(given[layer]).mean((2, 3)) for layer in model.spec.prefusion]
    expected = np.concatenate(pooled, 1) @ n(model.classifier.weight).T + n(model.classifier.bias)
    np.testing.assert_allclose(n(given[""]), expected, atol=1e-5)


def test_the_first_stream_sees_the_normalised_image_and_the_second_the_pixels():
    model, taken, _ = watched()
    torch.testing.assert_close(taken["streams.fad.front.1"][0], picture(64) * 2 - 1)
    assert torch.equal(taken["streams.lfs.front"][0], picture(64))


@pytest.mark.parametrize("stream", ["fad", "lfs"])
def test_one_stream_alone(stream):
    model, taken, given = watched(streams=stream)
    tail = f"streams.{stream}.trunk.tail"
    assert list(model.streams) == [stream]
    assert model.spec.gradcam_layers == (tail,)
    assert model.spec.prefusion is None
    assert taken[tail][0] is given[f"streams.{stream}.trunk.exit"]
    assert model.classifier.in_features == model.streams[stream].trunk.channels


def test_without_mixblock_streams_pass_each_other_by():
    _, taken, given = watched(mix="off")
    for stream in ("fad", "lfs"):
        trunk = f"streams.{stream}.trunk"
        assert taken[f"{trunk}.middle_second"][0] is given[f"{trunk}.middle_first"]
        assert taken[f"{trunk}.tail"][0] is given[f"{trunk}.exit"]


def test_one_file_of_weights_serves_both_streams(tmp_path):
    torch.manual_seed(0)
    published = timm.create_model("legacy_xception")
    safetensors.torch.save_file(published.state_dict(), tmp_path / "xception.safetensors")
    model = create_detector("f3net", pretrained=tmp_path / "xception.safetensors", input_size=64)
    first = n(published.conv1.weight)
    for stream, copies in (("fad", 4), ("lfs", 2)):
        trunk = model.streams[stream].trunk
        np.testing.assert_allclose(
            n(trunk.stem[0].weight), np.concatenate([first / copies] * copies, 1), rtol=1e-6
        )
        assert torch.equal(trunk.tail[3].pointwise.weight, published.conv4.pointwise.weight)


def test_the_small_backbone_takes_no_weights():
    with pytest.raises(PretrainedError, match="--pretrained none"):
        create_detector("f3net", pretrained="imagenet", input_size=64, backbone="xception-small")
