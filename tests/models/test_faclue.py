"""Each equation of FAClue, and what table 3 puts in its modules' place, against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import scipy.fft
import scipy.ndimage
import scipy.special
import timm
import torch
from layer_reference import batch_norm, conv1x1, conv2d, draw, n, randomised
from spectral_reference import PICTURES, reference_ycbcr
from torch import Tensor, nn

from ffpipe.models import create_detector
from ffpipe.models.addition import Addition
from ffpipe.models.detector import IMAGENET_MEAN, IMAGENET_STD, Detector
from ffpipe.models.faclue import FA, FAE, FGA, RFCE, GlobalAttention, LocalAttention
from ffpipe.models.faclue_variants import MEM, RFAM, BandGather, FilterBank


def build(**options: object) -> Detector:
    torch.manual_seed(0)
    return create_detector("faclue", **{"input_size": 64, **options}).eval()


def ycbcr(height: int, width: int, batch: int = 2) -> Tensor:
    """A photograph's, level-shifted and divided by 128."""
    pictures = [reference_ycbcr(PICTURES["photo"][:, i : i + height, i : i + width]) for i in range(batch)]
    return torch.from_numpy(np.stack(pictures) / 128).float()


def dct(x: np.ndarray) -> np.ndarray:
    return scipy.fft.dctn(x, type=2, norm="ortho", axes=(-2, -1))


def idct(x: np.ndarray) -> np.ndarray:
    return scipy.fft.idctn(x, type=2, norm="ortho", axes=(-2, -1))


def attended(d: np.ndarray, fa: nn.Module) -> np.ndarray:
    """Eq 1 of (B,3,h,w)."""
    x = np.stack((d.mean(1), d.max(1)), 1)
    for conv, norm in zip(fa.layers[0::2], fa.layers[1::2], strict=True):
        x = batch_norm(conv2d(x, conv), norm)
    assert x.shape[1] == 1
    return d * scipy.special.expit(x)


def gap(x: np.ndarray) -> np.ndarray:
    return x.mean((2, 3), keepdims=True)


def f1x1(x: np.ndarray, layers: nn.Module) -> np.ndarray:
    conv, norm = layers
    assert conv.kernel_size == (1, 1) and conv.bias is None
    return batch_norm(conv1x1(x, conv), norm)


@pytest.mark.parametrize("kernels", ["1", "3", "5", "7", "9", "1+1", "3+3", "3+3+3"])
def test_frequency_attention_eq_1(kernels):
    fa = randomised(FA(kernels))
    sides = [int(side) for side in kernels.split("+")]
    assert [conv.weight.shape for conv in fa.layers[0::2]] == [
        (2 if i < len(sides) else 1, 2, side, side) for i, side in enumerate(sides, 1)
    ]
    d = draw(2, 3, 16, 12) * 3
    np.testing.assert_allclose(n(fa(d)), attended(n(d), fa), atol=1e-4)


def test_attention_weighs_positions_and_not_colours():
    d = draw(2, 3, 16, 16)
    weights = n(randomised(FA())(d)) / n(d)
    np.testing.assert_allclose(weights, weights[:, :1].repeat(3, 1), rtol=1e-4)
    assert weights.std((0, 1)).max() > 0.01


def test_extractor_eq_2():
    fae = randomised(FAE("7"))
    image = ycbcr(48, 32)
    x = n(image)
    whole = idct(attended(dct(x), fae.halves["global_half"].fa))
    patched = np.empty_like(x)
    for top in range(0, 48, 16):
        for left in range(0, 32, 16):
            patch = np.s_[:, :, top : top + 16, left : left + 16]
            patched[patch] = idct(attended(dct(x[patch]), fae.halves["local_half"].fa))
    np.testing.assert_allclose(n(fae(image)), np.concatenate((whole, patched), 1), atol=1e-4)


@pytest.mark.parametrize("half", [GlobalAttention, LocalAttention])
def test_the_halves_lose_nothing_but_what_attention_takes(half):
    module = half("7").eval()
    image = ycbcr(64, 96)
    assert (module(image) - image).abs().max() > 0.05
    module.fa = nn.Identity()
    np.testing.assert_allclose(n(module(image)), n(image), atol=1e-5)


def test_one_attention_serves_all_patches():
    local = randomised(LocalAttention("7"))
    image = ycbcr(16, 16).repeat(1, 1, 2, 3)
    out = local(image)
    torch.testing.assert_close(out, out[:, :, :16, :16].repeat(1, 1, 2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("fae", "parts"), [("both", 2), ("global", 1), ("local", 1)])
def test_the_extractor_has_the_halves_asked_for(fae, parts):
    module = build(fae=fae).fae
    assert [*module.halves] == [f"{half}_half" for half in (("global", "local") if fae == "both" else (fae,))]
    assert module(ycbcr(64, 64)).shape == (2, 3 * parts, 64, 64)
    attentions = [child for child in module.modules() if isinstance(child, FA)]
    assert len(attentions) == parts, "global and local coefficients have their own FA"


def test_complementary_enhancement_eq_3_to_5():
    rfce = randomised(RFCE(5))
    rgb, freq = draw(2, 5, 4, 6), draw(2, 5, 4, 6, seed=1) + 0.3
    f = np.stack((n(rgb), n(freq)))
    sa = scipy.special.softmax(
        np.stack((f1x1(f[0], rfce.squeeze_rgb), f1x1(f[1], rfce.squeeze_freq))), axis=0
    )  # eq 3: (2,B,1,4,6)
    np.testing.assert_allclose(np.stack([n(x) for x in rfce.spatial_attention(rgb, freq)]), sa, atol=1e-5)
    ca = scipy.special.softmax(np.stack((gap(f[0]), gap(f[1]))), axis=0)  # eq 4: (2,B,5,1,1)
    np.testing.assert_allclose(np.stack([n(x) for x in rfce.channel_attention(rgb, freq)]), ca, atol=1e-5)
    np.testing.assert_allclose(np.stack([n(x) for x in rfce(rgb, freq)]), sa * ca * f, atol=1e-5)  # eq 5


@pytest.mark.parametrize("swapped", [False, True])
def test_guided_attention_eq_6(swapped):
    fga = randomised(FGA(5, swapped))
    m_rgb, m_freq = draw(2, 5, 4, 6), draw(2, 5, 4, 6, seed=1)
    guided, guide = (n(m_freq), n(m_rgb)) if swapped else (n(m_rgb), n(m_freq))
    gate = f1x1(guide, fga.gate)
    assert gate.shape == (2, 1, 4, 6)
    m = guided * scipy.special.expit(gate)
    expected = guided + m * scipy.special.softmax(f1x1(gap(m), fga.weigh), axis=1)
    np.testing.assert_allclose(n(fga(m_rgb, m_freq)), expected, atol=1e-5)


def test_without_guided_attention_maps_are_added():
    assert isinstance(build(fga="none").fga, Addition)


def test_filter_bank_adds_a_filter_to_each_band_of_the_whole_spectrum():
    bank = randomised(FilterBank(48))
    diagonal = np.add.outer(np.arange(48), np.arange(48))
    edges = (-1, 48 / (2 * np.sqrt(2)), 48 / 2, 2 * 48)
    masks = [(low <= diagonal) & (diagonal < high) for low, high in zip(edges, edges[1:], strict=False)]
    image = ycbcr(48, 48)
    spectrum = dct(n(image))
    learned = 2 * scipy.special.expit(n(bank.filters.learnable)) - 1
    bands = np.concatenate([idct(spectrum * (m + f)) for m, f in zip(masks, learned, strict=True)], 1)
    np.testing.assert_allclose(n(bank.filters.images(image)), bands, atol=1e-4)
    np.testing.assert_allclose(n(bank(image)), conv1x1(bands, bank.mix), atol=1e-4)


def test_fresh_filters_leave_bands_that_sum_to_the_image():
    image = ycbcr(48, 48)
    bands = FilterBank(48).filters.images(image)
    torch.testing.assert_close(bands.view(2, 3, 3, 48, 48).sum(1), image, atol=1e-5, rtol=0)


def test_band_gather_collects_frequencies_of_8x8_blocks_as_channels():
    gather = randomised(BandGather())
    image = ycbcr(24, 32)
    expected = np.empty((2, 3, 8, 8, 3, 4))
    for row in range(3):
        for column in range(4):
            block = n(image)[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            expected[..., row, column] = dct(block)
    expected = expected.reshape(2, 192, 3, 4)
    np.testing.assert_allclose(n(gather.gather(image)), expected, atol=1e-4)
    mixed = conv1x1(expected, gather.mix)
    # Bilinear between the centres of blocks, constant outside of them.
    rows, columns = np.meshgrid(
        (np.arange(24) + 0.5) / 8 - 0.5, (np.arange(32) + 0.5) / 8 - 0.5, indexing="ij"
    )
    enlarged = [
        [scipy.ndimage.map_coordinates(c, (rows, columns), order=1, mode="nearest") for c in one]
        for one in mixed
    ]
    np.testing.assert_allclose(n(gather(image)), enlarged, atol=1e-4)


def joint(rgb: Tensor, freq: Tensor, layers: nn.Module) -> np.ndarray:
    conv, norm, _ = layers
    return np.maximum(batch_norm(conv2d(np.concatenate((n(rgb), n(freq)), 1), conv), norm), 0)


def test_rfam_enhances_each_domain_by_its_map():
    rfam = randomised(RFAM(5))
    rgb, freq = draw(2, 5, 4, 6), draw(2, 5, 4, 6, seed=1)
    assert rfam.joint[0].kernel_size == (3, 3)
    maps = scipy.special.expit(conv1x1(joint(rgb, freq, rfam.joint), rfam.maps))  # (B,2,h,w)
    ours = rfam(rgb, freq)
    np.testing.assert_allclose(n(ours[0]), n(rgb) * (1 + maps[:, :1]), atol=1e-5)
    np.testing.assert_allclose(n(ours[1]), n(freq) * (1 + maps[:, 1:]), atol=1e-5)


def test_mem_adds_to_each_domain_what_it_takes_from_the_other():
    mem = randomised(MEM(5))
    rgb, freq = draw(2, 5, 4, 6), draw(2, 5, 4, 6, seed=1)
    assert mem.joint[0].kernel_size == (1, 1)
    seen = joint(rgb, freq, mem.joint)
    ours = mem(rgb, freq)
    to_rgb, to_freq = (scipy.special.expit(conv1x1(seen, conv)) for conv in (mem.map_rgb, mem.map_freq))
    np.testing.assert_allclose(n(ours[0]), n(rgb) + n(freq) * to_rgb, atol=1e-5)
    np.testing.assert_allclose(n(ours[1]), n(freq) + n(rgb) * to_freq, atol=1e-5)


def watch(model: Detector, seen: dict[str, tuple[tuple[Tensor, ...], object]], *names: str) -> None:
    """Keeps inputs and output of modules by name."""
    for name in names:
        model.get_submodule(name).register_forward_hook(
            lambda _, args, out, name=name: seen.__setitem__(name, (args, out))
        )


def test_streams_see_normalised_rgb_and_level_shifted_ycbcr_over_128():
    model = build(fae="none")
    seen: dict[str, tuple[tuple[Tensor, ...], object]] = {}
    watch(model, seen, "rgb.net.conv_stem", "freq.net.conv_stem")
    pixels = PICTURES["photo"][:, :64, :64]
    with torch.no_grad():
        model(torch.from_numpy(pixels)[None].float() / 255)
    channel = (3, 1, 1)
    normalised = (pixels / 255 - np.reshape(IMAGENET_MEAN, channel)) / np.reshape(IMAGENET_STD, channel)
    np.testing.assert_allclose(n(seen["rgb.net.conv_stem"][0][0])[0], normalised, atol=1e-5)
    np.testing.assert_allclose(
        n(seen["freq.net.conv_stem"][0][0])[0], reference_ycbcr(pixels) / 128, atol=1e-5
    )


def test_enhancement_follows_layers_2_4_and_7_and_feeds_the_next():
    model = build()
    seen: dict[str, tuple[tuple[Tensor, ...], object]] = {}
    blocks = [f"{stream}.net.blocks.{i}" for stream in ("rgb", "freq") for i in range(7)]
    watch(
        model, seen, *blocks, *(f"enhance.{i}" for i in range(3)), "fga", "map_rgb", "map_freq", "classifier"
    )
    with torch.no_grad():
        logits = model(torch.rand(2, 3, 64, 64))
    for index, layer in enumerate((2, 4, 7)):
        taken, given = seen[f"enhance.{index}"]
        for domain, stream in enumerate(("rgb", "freq")):
            assert taken[domain] is seen[f"{stream}.net.blocks.{layer - 1}"][1]
            if layer < 7:
                assert seen[f"{stream}.net.blocks.{layer}"][0][0] is given[domain]
            else:
                assert seen["fga"][0][domain] is given[domain]
                assert seen[f"map_{stream}"][1] is given[domain]
    pooled = n(seen["fga"][1]).mean((2, 3))  # (B,320)
    expected = pooled @ n(model.classifier.weight).T + n(model.classifier.bias)
    np.testing.assert_allclose(n(logits), expected, atol=1e-5)


def test_one_file_serves_both_streams(tmp_path):
    weights = timm.create_model("efficientnet_b0").state_dict()
    path = tmp_path / "b0.safetensors"
    safetensors.torch.save_file(weights, path)
    model = create_detector("faclue", pretrained=path, input_size=64)
    for stream in (model.rgb, model.freq):
        assert torch.equal(stream.net.blocks[6][0].conv_pwl.weight, weights["blocks.6.0.conv_pwl.weight"])
    stem = weights["conv_stem.weight"]
    assert torch.equal(model.rgb.net.conv_stem.weight, stem)
    torch.testing.assert_close(model.freq.net.conv_stem.weight, stem.repeat(1, 2, 1, 1) / 2)


@pytest.mark.parametrize("fae", ["none", "filter-bank", "band-gather"])
def test_the_attention_s_kernel_is_nothing_where_there_is_no_attention(fae):
    one, other = (build(fae=fae, fa_kernel=kernel) for kernel in ("7", "3+3"))
    assert {k: v.shape for k, v in one.state_dict().items()} == {
        k: v.shape for k, v in other.state_dict().items()
    }
    assert not [child for child in one.modules() if isinstance(child, FA)]


def test_a_shift_that_the_next_norm_takes_away_is_frozen():
    frozen = [name for name, parameter in FA("1+1").named_parameters() if not parameter.requires_grad]
    assert frozen == ["layers.1.bias"]
    assert all(parameter.requires_grad for parameter in FA("3+3").parameters())
    fa = randomised(FA("1+1")).train()
    d = draw(2, 3, 8, 8)
    with torch.no_grad():
        before = fa(d)
        fa.layers[1].bias += 1
        torch.testing.assert_close(fa(d), before)


def test_sides_are_whole_patches():
    with pytest.raises(ValueError, match="an integer from 64 to 1024 in steps of 16"):
        create_detector("faclue", input_size=100)
