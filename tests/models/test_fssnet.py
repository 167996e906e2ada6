"""Each equation of FSSNet against NumPy and SciPy, written from the paper."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import scipy.special
import timm
import torch
from layer_reference import conv1x1, conv2d, draw, n, randomised

from ffpipe.models import create_detector, vit
from ffpipe.models.detector import IMAGENET_MEAN, IMAGENET_STD, Detector
from ffpipe.models.fssnet import AFF, SBCA, ScaleAwareAttention, ScaleHead


def small(**options: object) -> Detector:
    torch.manual_seed(0)
    return create_detector("fssnet", input_size=56, backbone="vit-tiny", **options).eval()


def attend(asking: np.ndarray, answering: np.ndarray, direction: ScaleAwareAttention) -> np.ndarray:
    """Eq 6-10 with heads side by side, joined and added."""
    batch, channels, height, width = asking.shape
    heads = []
    for head in direction.heads:
        q, k, v = (
            conv2d(x, conv).reshape(batch, 64, -1).transpose(0, 2, 1)
            for x, conv in ((asking, head.query), (answering, head.key), (answering, head.value))
        )
        weights = scipy.special.softmax(q @ k.transpose(0, 2, 1) / np.sqrt(64), axis=2)
        heads.append((weights @ v).transpose(0, 2, 1))
    joined = conv1x1(np.concatenate(heads, 1), direction.join)
    return asking + joined.reshape(batch, channels, height, width)


def test_sbca_eq_6_to_10():
    sbca = randomised(SBCA(3))
    rgb, freq = draw(2, 3, 5, 4), draw(2, 3, 5, 4, seed=1)
    with torch.no_grad():
        found_rgb, found_freq = sbca(rgb, freq)
    np.testing.assert_allclose(n(found_rgb), attend(n(rgb), n(freq), sbca.s2f), atol=1e-4)
    np.testing.assert_allclose(n(found_freq), attend(n(freq), n(rgb), sbca.f2s), atol=1e-4)


def test_kernels_are_2_beta_plus_1():
    direction = ScaleAwareAttention(3)
    for beta, head in enumerate(direction.heads, 1):
        for conv in (head.query, head.key, head.value):
            assert conv.weight.shape == (64, 3, 2 * beta + 1, 2 * beta + 1)
    assert [head.key.bias for head in direction.heads] == [None] * 4


def test_the_softmax_is_exact_under_autocast():
    head = randomised(ScaleHead(3, 3))
    rgb, freq = draw(1, 3, 6, 6) * 8, draw(1, 3, 6, 6, seed=1) * 8
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        q, k, v = (n(m).reshape(64, -1) for m in (head.query(rgb), head.key(freq), head.value(freq)))
        found = head(rgb, freq)
    assert found.dtype == torch.float32
    weights = scipy.special.softmax(q.T @ k / np.sqrt(64), axis=1)
    assert 0.2 < weights.max(1).mean() < 0.999, "the softmax is neither flat nor saturated"
    np.testing.assert_allclose(n(found)[0].reshape(64, -1), v @ weights.T, rtol=1e-4, atol=1e-4)


def test_aff_eq_11():
    aff = randomised(AFF(32))
    rgb, freq = draw(2, 32, 5, 4), draw(2, 32, 5, 4, seed=1)
    total = n(rgb) + n(freq)
    squeezed = total.mean((2, 3)) @ n(aff.squeeze.weight)[:, :, 0, 0].T + n(aff.squeeze.bias)
    excited = np.maximum(squeezed, 0) @ n(aff.excite.weight)[:, :, 0, 0].T + n(aff.excite.bias)
    profile = np.stack((total.mean(1), total.max(1)), 1)
    attention = scipy.special.expit(excited)[:, :, None, None] * scipy.special.expit(
        conv2d(profile, aff.spatial)
    )
    share = scipy.special.expit(n(aff.theta))
    expected = share * (attention * n(rgb)) + (1 - share) * (attention * n(freq))
    np.testing.assert_allclose(n(aff(rgb, freq)), expected, atol=1e-5)
    assert aff.squeeze.weight.shape[0] == 32 // 16
    assert aff.spatial.weight.shape == (1, 2, 7, 7)


def test_theta_shares_evenly_at_first():
    assert torch.sigmoid(AFF(32).theta).item() == 0.5


def inputs_of_streams(model: Detector, image: torch.Tensor) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    for name, stream in model.streams.items():
        stream.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, n(args[0])))
    with torch.no_grad():
        model(image)
    return seen


def test_the_frequency_stream_sees_one_band_of_the_normalised_image_eq_3_to_5():
    image = torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(3))
    mean, std = (np.array(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    normalised = (n(image) - mean) / std
    v, u = np.meshgrid(np.arange(56) - 28, np.arange(56) - 28, indexing="ij")
    radius = np.hypot(v, u) / np.hypot(28, 28)
    total = np.zeros(normalised.shape)
    for band, low, high in (("low", 0, 1 / 3), ("mid", 1 / 3, 2 / 3), ("high", 2 / 3, 1.01)):
        seen = inputs_of_streams(small(band=band), image)
        np.testing.assert_allclose(seen["rgb"], normalised, atol=1e-5)
        spectrum = np.fft.fftshift(np.fft.fft2(normalised), axes=(2, 3))  # eq 3
        kept = spectrum * ((radius >= low) & (radius < high))  # eq 4
        expected = np.fft.ifft2(np.fft.ifftshift(kept, axes=(2, 3))).real  # eq 5
        np.testing.assert_allclose(seen["freq"], expected, atol=1e-5)
        total += seen["freq"]
    np.testing.assert_allclose(total, normalised, atol=1e-5)


@pytest.mark.parametrize("sbca", ["on", "off"])
@pytest.mark.parametrize("aff", ["on", "off"])
def test_the_modules_are_joined_as_in_figure_2(sbca, aff):
    model = small(sbca=sbca, aff=aff)
    spec = model.spec
    assert spec.prefusion is not None
    assert spec.fused is not None
    rgb, freq, fused, final = seen = [], [], [], []
    asked = []
    names = (*spec.prefusion, spec.fused, spec.gradcam_layers[0])
    for name, found in zip(names, seen, strict=True):
        model.get_submodule(name).register_forward_hook(lambda _, __, out, found=found: found.append(out))
    for stream in model.streams.values():
        stream.register_forward_hook(lambda _, __, out: asked.append(out))
    with torch.no_grad():
        logits = model(torch.rand(2, 3, 56, 56))
        expected = model.sbca(*asked) if sbca == "on" else tuple(asked)
        assert torch.equal(rgb[0], expected[0])
        assert torch.equal(freq[0], expected[1])
        whole = model.fuse(rgb[0], freq[0]) if aff == "on" else rgb[0] + freq[0]
    assert torch.equal(fused[0], whole)
    assert torch.equal(final[0], whole)
    pooled = n(whole).mean((2, 3))
    np.testing.assert_allclose(
        n(logits), pooled @ n(model.classifier.weight).T + n(model.classifier.bias), atol=1e-5
    )


@pytest.mark.parametrize("stream", ["rgb", "freq"])
def test_a_stream_alone_is_classified_and_exposes_no_fusion(stream):
    model = small(streams=stream)
    assert list(model.streams) == [stream]
    assert model.spec.prefusion is None
    assert model.spec.fused is None
    assert not any(isinstance(module, SBCA | AFF) for module in model.modules())
    final, own = [], []
    model.gradcam_layer().register_forward_hook(lambda _, __, out: final.append(out))
    model.streams[stream].register_forward_hook(lambda _, __, out: own.append(out))
    with torch.no_grad():
        model(torch.rand(1, 3, 56, 56))
    assert torch.equal(final[0], own[0])


def test_what_trains_is_the_last_two_blocks_of_each_stream_and_all_that_joins_them():
    training = {
        ".".join(name.split(".")[:5]) if name.startswith("streams") else name.split(".")[0]
        for name, parameter in small().named_parameters()
        if parameter.requires_grad
    }
    blocks = {f"streams.{stream}.net.blocks.{number}" for stream in ("rgb", "freq") for number in (2, 3)}
    assert training == blocks | {"sbca", "fuse", "classifier"}


def test_training_mode_changes_no_logit():
    model = small()
    image = torch.rand(2, 3, 56, 56)
    with torch.no_grad():
        assert torch.equal(model.train()(image), model.eval()(image))


def test_one_file_serves_both_streams(tmp_path, monkeypatch):
    narrow = {"embed_dim": 32, "depth": 2, "num_heads": 2}
    monkeypatch.setitem(vit.VITS, "dinov2-b", narrow)
    source = timm.create_model("vit_base_patch14_dinov2", **narrow)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "dinov2.safetensors")
    model = create_detector("fssnet", str(tmp_path / "dinov2.safetensors"), input_size=56)
    for stream in model.streams.values():
        assert torch.equal(stream.net.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)
        assert stream.net.pos_embed.shape == (1, 17, 32)
    one, other = (stream.net.norm.weight for stream in model.streams.values())
    assert one.data_ptr() != other.data_ptr(), "the streams share no memory"
