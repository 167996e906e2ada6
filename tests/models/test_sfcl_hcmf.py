"""Each equation of SFCL-HCMF against NumPy, written from the paper; SIDA's (1-8) are in test_spectral."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
import torch
from layer_reference import batch_norm, conv1x1, draw, n, randomised

from ffpipe.models import create_detector
from ffpipe.models.sfcl_hcmf import FAAE, HCMA, SBCM, Concatenation, SidaGate


def test_sbcm_convolves_bands_and_flattens_channel_major_eq_9():
    sbcm = randomised(SBCM())
    x = draw(2, 3, 64, 2, 3)
    expected = n(x)
    for conv, norm in zip(sbcm.layers[0::3], sbcm.layers[1::3], strict=True):
        kernel = conv.weight.shape[2]
        assert conv.weight.shape[3:] == (1, 1)
        padded = np.pad(expected, ((0, 0), (0, 0), (kernel // 2,) * 2, (0, 0), (0, 0)))
        windows = np.stack(
            [padded[:, :, i : i + kernel] for i in range(0, padded.shape[2] - kernel + 1, 3)], 2
        )  # (B,C,out,kernel,h,w)
        expected = np.einsum("bcdkhw,ock->bodhw", windows, n(conv.weight)[..., 0, 0])
        expected = np.maximum(batch_norm(expected, norm), 0)
    assert expected.shape == (2, 64, 3, 2, 3)
    expected = expected.reshape(2, 192, 2, 3)
    np.testing.assert_allclose(n(sbcm(x)), expected, atol=1e-4)
    assert [layer.kernel_size[0] for layer in sbcm.layers[0::3]] == [7, 5, 3]


def test_faae_eq_10_to_13():
    faae = randomised(FAAE(5, spectral_channels=7))
    x_s, x_f = draw(2, 5, 6, 6), draw(2, 7, 6, 6, seed=1)
    s, f = n(x_s), n(x_f)
    query = np.concatenate((conv1x1(f, faae.query_f), conv1x1(s, faae.query_s)), 3)  # eq 10
    key = np.concatenate(
        (conv1x1(f, faae.key_f).transpose(0, 1, 3, 2), conv1x1(s, faae.key_s).transpose(0, 1, 3, 2)), 2
    )  # eq 11
    alpha = scipy.special.softmax(query @ key / np.sqrt(2 * 6), axis=3)  # eq 12
    np.testing.assert_allclose(n(faae.attention(x_s, x_f)), alpha, atol=1e-5)
    gated = alpha * conv1x1(f, faae.conv_f) * scipy.special.expit(n(faae.gamma))
    y = s + batch_norm(conv1x1(gated, faae.conv_s), faae.norm)  # eq 13
    np.testing.assert_allclose(n(faae(x_s, x_f)), y, atol=1e-5)


def test_gamma_starts_at_zero():
    assert FAAE(4).gamma.item() == 0


@pytest.mark.parametrize("tokens", ["map", "pooled"])
def test_hcma_eq_14_and_15(tokens):
    hcma = randomised(HCMA(10, 12, 32, tokens))
    spatial, frequency = draw(2, 10, 4, 4), draw(2, 12, 2, 2, seed=1)
    s = n(spatial).reshape(2, 10, 16).transpose(0, 2, 1)
    f = n(frequency).reshape(2, 12, 4).transpose(0, 2, 1)
    if tokens == "pooled":
        s, f = s.mean(1, keepdims=True), f.mean(1, keepdims=True)
    s = s @ n(hcma.project_s.weight).T + n(hcma.project_s.bias)
    f = f @ n(hcma.project_f.weight).T + n(hcma.project_f.bias)
    q, k, v = s @ n(hcma.w_q.weight).T, f @ n(hcma.w_k.weight).T, f @ n(hcma.w_v.weight).T
    heads = []
    for h in range(8):
        part = slice(h * 4, h * 4 + 4)
        weights = scipy.special.softmax(
            q[..., part] @ k[..., part].transpose(0, 2, 1) / np.sqrt(32 / 8), axis=2
        )
        heads.append(weights @ v[..., part])
    attended = np.concatenate(heads, 2)  # eq 14
    residual = batch_norm(conv1x1(s.transpose(0, 2, 1), hcma.conv), hcma.norm).transpose(0, 2, 1)
    expected = (attended + residual).mean(1)  # eq 15, averaged over the tokens
    np.testing.assert_allclose(n(hcma(spatial, frequency)), expected, atol=1e-4)


def test_pooled_attention_is_the_identity_on_values():
    hcma = randomised(HCMA(10, 12, 32, "pooled"))
    query, key, value = (draw(2, 1, 32, seed=i) for i in range(3))
    torch.testing.assert_close(hcma.attend(query, key, value), value)


def test_gate_eq_16():
    gate = randomised(SidaGate(6))
    d = draw(3, 2304) * 50
    compressed = np.sign(n(d)) * np.log1p(np.abs(n(d)))
    logits = batch_norm(compressed, gate.norm) @ n(gate.w_g.weight).T + n(gate.w_g.bias)
    np.testing.assert_allclose(n(gate(d)), scipy.special.expit(logits), atol=1e-5)


@pytest.mark.parametrize("hcma", ["on", "off"])
def test_gate_multiplies_what_the_classifier_sees_eq_17(hcma):
    torch.manual_seed(0)
    model = create_detector(
        "sfcl-hcmf",
        input_size=64,
        backbone="efficientnet-b0",
        cnn_f="xception-small",
        embed_dim=64,
        hcma=hcma,
    ).eval()
    seen: dict[str, torch.Tensor] = {}
    model.fuse.register_forward_hook(lambda _, __, out: seen.__setitem__("fused", out))
    model.gate.register_forward_hook(lambda _, __, out: seen.__setitem__("gate", out))
    with torch.no_grad():
        logits = model(torch.rand(2, 3, 64, 64), draw(2, 2304).abs())
    assert seen["gate"].shape[1] == (64 if hcma == "on" else model.spatial.channels + model.cnn_f.channels)
    expected = (n(seen["fused"]) * n(seen["gate"])) @ n(model.classifier.weight).T + n(model.classifier.bias)
    np.testing.assert_allclose(n(logits), expected, atol=1e-5)


def test_concatenation_pools_both():
    s, f = draw(2, 3, 4, 4), draw(2, 5, 2, 2)
    expected = np.concatenate((n(s).mean((2, 3)), n(f).mean((2, 3))), 1)
    np.testing.assert_allclose(n(Concatenation()(s, f)), expected, atol=1e-6)


def test_sbcm_off_feeds_the_coefficients_to_both_consumers():
    torch.manual_seed(0)
    model = create_detector(
        "sfcl-hcmf",
        input_size=64,
        backbone="efficientnet-b0",
        cnn_f="xception-small",
        embed_dim=64,
        sbcm="off",
    ).eval()
    seen: dict[str, torch.Tensor] = {}
    model.coefficient_norm.register_forward_hook(lambda _, __, out: seen.__setitem__("coefficients", out))
    model.cnn_f.register_forward_pre_hook(lambda _, args: seen.__setitem__("cnn_f", args[0]))
    model.faae.register_forward_pre_hook(lambda _, args: seen.__setitem__("faae", args[1]))
    with torch.no_grad():
        model(torch.rand(2, 3, 64, 64), draw(2, 2304))
    expected = seen["coefficients"].reshape(2, 192, 8, 8)
    assert torch.equal(seen["cnn_f"], expected)
    assert torch.equal(seen["faae"], expected)


def test_without_sida_the_statistics_are_not_asked_for():
    model = create_detector(
        "sfcl-hcmf",
        input_size=64,
        backbone="efficientnet-b0",
        cnn_f="xception-small",
        embed_dim=64,
        sida="off",
    ).eval()
    assert not model.spec.needs_sida
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 64)).shape == (1, 2)
