"""Equations 1-8 of SFFB against NumPy and SciPy, written from the paper, and what its options build."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import scipy.fft
import timm
import torch
from layer_reference import conv1x1, draw, n
from torch import Tensor, nn

from ffpipe.models import create_detector
from ffpipe.models.addition import Addition
from ffpipe.models.errors import PretrainedError
from ffpipe.models.sffb import AttentionFusion, ChunkedFusion, Concatenation

CHANNELS = 40


def maps(side: int = 8) -> tuple[Tensor, Tensor]:
    """M_s and M_f."""
    return draw(2, CHANNELS, side, side), draw(2, CHANNELS, side, side, seed=1)


def linear(x: np.ndarray, layer: nn.Linear) -> np.ndarray:
    return x @ n(layer.weight).T + n(layer.bias)


def attention(fusion: AttentionFusion, m_s: np.ndarray, m_f: np.ndarray) -> np.ndarray:
    """Eq 3 to 8."""
    m_m = m_f + m_s
    a_r1 = np.array([[channel.sum() / channel.size for channel in face] for face in m_m])
    a_r2 = np.maximum(linear(a_r1, fusion.fc[0]), 0)
    a_f = linear(a_r2, fusion.fc1)[:, :, None, None] * m_f + m_f
    a_s = linear(a_r2, fusion.fc2)[:, :, None, None] * m_s + m_s
    assert fusion.conv.kernel_size == (1, 1) and fusion.conv.bias is None
    return conv1x1(np.concatenate((a_f, a_s), 1), fusion.conv)


@pytest.mark.parametrize("backbone", ["xception-small", "resnet18"])
def test_the_frequency_stream_sees_three_bands_of_the_spatial_one_eq_1_and_2(backbone):
    model = create_detector("sffb", input_size=64, backbone=backbone).eval()
    seen: dict[str, Tensor] = {}
    model.spatial.register_forward_pre_hook(lambda _, args: seen.__setitem__("spatial", args[0]))
    model.frequency.register_forward_pre_hook(lambda _, args: seen.__setitem__("frequency", args[0]))
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model(image)
    mean, std = ([0.5] * 3, [0.5] * 3)
    if backbone == "resnet18":
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    i_s = (n(image) - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    np.testing.assert_allclose(n(seen["spatial"]), i_s, atol=1e-5)
    spectrum = scipy.fft.dctn(i_s, type=2, norm="ortho", axes=(2, 3))
    i, j = np.mgrid[:64, :64]
    low, mid = i + j < 64 / (2 * np.sqrt(2)), i + j < 64 / 2
    bands = [
        scipy.fft.idctn(spectrum * mask, type=2, norm="ortho", axes=(2, 3))
        for mask in (low, mid & ~low, ~mid)
    ]
    np.testing.assert_allclose(n(seen["frequency"]), np.concatenate(bands, 1), atol=1e-4)
    np.testing.assert_allclose(sum(bands), i_s, atol=1e-9)


def test_attention_eq_3_to_8():
    fusion, (m_s, m_f) = AttentionFusion(CHANNELS), maps()
    np.testing.assert_allclose(n(fusion(m_s, m_f)), attention(fusion, n(m_s), n(m_f)), atol=1e-5)


@pytest.mark.parametrize(("channels", "width"), [(728, 45), (1024, 64), (256, 32)])
def test_the_reduced_width_is_a_sixteenth_and_at_least_32(channels, width):
    fusion = AttentionFusion(channels)
    assert fusion.fc[0].weight.shape == (width, channels)
    assert fusion.fc1.weight.shape == fusion.fc2.weight.shape == (channels, width)


def test_summation_is_eq_3_alone():
    model = create_detector("sffb", input_size=64, backbone="xception-small", fusion="summation")
    assert isinstance(model.fusion, Addition)


def test_concatenation_reduces_both_maps():
    fusion, (m_s, m_f) = Concatenation(CHANNELS), maps()
    expected = conv1x1(np.concatenate((n(m_f), n(m_s)), 1), fusion.conv)
    assert fusion.conv.kernel_size == (1, 1) and fusion.conv.bias is None
    np.testing.assert_allclose(n(fusion(m_s, m_f)), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "edges"), [(16, [0, 4, 8, 12, 16]), (6, [0, 2, 4, 5, 6]), (4, [0, 1, 2, 3, 4])]
)
def test_chunked_fuses_sixteen_blocks_in_place(side, edges):
    fusion, (m_s, m_f) = ChunkedFusion(CHANNELS), maps(side)
    expected = np.full(m_s.shape, np.nan)
    spans = [slice(*edges[i : i + 2]) for i in range(4)]
    for rows in spans:
        for columns in spans:
            at = (slice(None), slice(None), rows, columns)
            expected[at] = attention(fusion.fuse, n(m_s)[at], n(m_f)[at])
    np.testing.assert_allclose(n(fusion(m_s, m_f)), expected, atol=1e-5)


@pytest.mark.parametrize("fusion", ["attention", "summation", "concatenation", "chunked"])
def test_the_named_modules_put_out_the_maps_and_what_they_are_fused_to(fusion):
    model = create_detector("sffb", input_size=96, backbone="xception-small", fusion=fusion).eval()
    seen: dict[str, Tensor] = {}
    spatial, frequency = model.spec.prefusion
    for name in (spatial, frequency, model.spec.fused):
        model.get_submodule(name).register_forward_hook(
            lambda _, __, out, name=name: seen.__setitem__(name, out.clone())
        )
    with torch.no_grad():
        logits = model(torch.rand(2, 3, 96, 96))
        assert seen[spatial].shape == seen[frequency].shape == (2, 256, 6, 6)
        assert torch.equal(model.fusion(seen[spatial], seen[frequency]), seen[model.spec.fused])
        last = n(model.exit(seen[model.spec.fused])).mean((2, 3))
    np.testing.assert_allclose(n(logits), linear(last, model.classifier), atol=1e-5)


def test_there_is_one_exit_flow_and_nothing_idle():
    with torch.device("meta"):
        model = create_detector("sffb")
        exit_flow = sum(p.numel() for p in model.exit.parameters())
        whole = timm.create_model("legacy_xception")
    assert sum(p.numel() for p in whole.parameters()) == 22_855_952
    assert exit_flow == 6_788_384
    assert sum(p.numel() for p in model.spatial.parameters()) == 20_806_952 - exit_flow
    assert sum(p.numel() for p in model.parameters()) == 35_991_095
    assert len(model.state_dict()) == len({id(value) for value in model.state_dict().values()})


def test_one_file_serves_both_streams_and_the_exit_flow(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("resnet18")
    safetensors.torch.save_file(source.state_dict(), tmp_path / "resnet18.safetensors")
    model = create_detector("sffb", tmp_path / "resnet18.safetensors", input_size=64, backbone="resnet18")
    first = model.spatial.get_submodule("0.0").weight
    assert torch.equal(first, source.conv1.weight)
    torch.testing.assert_close(model.frequency.get_submodule("0.0").weight, first.repeat(1, 3, 1, 1) / 3)
    for stream in (model.spatial, model.frequency):
        for number in (1, 2, 3):
            theirs = source.get_submodule(f"layer{number}").state_dict()
            ours = stream.get_submodule(str(number)).state_dict()
            assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert all(
        torch.equal(model.exit.get_submodule("0").state_dict()[key], value)
        for key, value in source.layer4.state_dict().items()
    )
    ours, theirs = (dict(stream.named_parameters()) for stream in (model.spatial, model.frequency))
    assert not {id(p) for p in ours.values()} & {id(p) for p in theirs.values()}, "the streams are not shared"


def test_the_small_xception_refuses_weights():
    with pytest.raises(PretrainedError, match="xception-small has random weights only: .*--pretrained none"):
        create_detector("sffb", "imagenet", backbone="xception-small")


@pytest.mark.parametrize("weights", ["imagenet", "weights.safetensors"])
def test_a_student_from_random_weights_refuses_others(weights):
    with pytest.raises(PretrainedError, match=f"not from {weights}: set student_init=imagenet .*none"):
        create_detector("sffb-kd", weights)


def test_a_student_may_start_from_weights_and_is_rebuilt_without_them(tmp_path):
    torch.manual_seed(1)
    source = timm.create_model("resnet18")
    safetensors.torch.save_file(source.state_dict(), tmp_path / "resnet18.safetensors")
    options = {"input_size": 64, "backbone": "resnet18", "student_init": "imagenet"}
    started = create_detector("sffb-kd", tmp_path / "resnet18.safetensors", **options)
    assert torch.equal(started.spatial.get_submodule("0.0").weight, source.conv1.weight)
    rebuilt = create_detector("sffb-kd", **options)
    assert not torch.equal(rebuilt.spatial.get_submodule("0.0").weight, source.conv1.weight)
    rebuilt.load_state_dict(started.state_dict())


def test_the_student_is_the_teacher_s_network():
    options = {"input_size": 64, "backbone": "xception-small"}
    torch.manual_seed(0)
    teacher, student = create_detector("sffb", **options).eval(), create_detector("sffb-kd", **options).eval()
    student.load_state_dict(teacher.state_dict())
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(student(image), teacher(image))
    assert student.spec.name == "sffb-kd"
