"""Cuts of the backbones, and pretrained weights: from a file, offline, from a hub that never answers."""

from __future__ import annotations

import threading
import time

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from ffpipe.models import backbones, create_detector
from ffpipe.models.errors import PretrainedError

B0 = "efficientnet_b0"


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)


def test_the_cut_is_at_stride_8_and_loses_nothing():
    torch.manual_seed(0)
    trunk = backbones.EfficientNetTrunk("efficientnet-b0").eval()
    image = torch.rand(2, 3, 100, 100)
    with torch.no_grad():
        shallow = trunk.shallow(image)
        deep = trunk.deep(shallow)
        whole = trunk.net.forward_features(image)
    assert shallow.shape == (2, trunk.shallow_channels, 13, 13)
    assert deep.shape == (2, trunk.channels, 4, 4)
    assert torch.equal(deep, whole)


def test_the_xception_tail_is_timm_s_from_block_2():
    reference = timm.create_model("legacy_xception", num_classes=0, global_pool="").eval()
    tail = backbones.XceptionTail(128, (256, 728, 1024, 1536, 2048), 8).eval()
    names = {"entry.0": "block2", "entry.1": "block3", "exit.0": "block12"}
    names |= {f"middle.{i}": f"block{i + 4}" for i in range(8)}
    names |= {"exit.1": "conv3", "exit.2": "bn3", "exit.4": "conv4", "exit.5": "bn4"}
    for ours, theirs in names.items():
        tail.get_submodule(ours).load_state_dict(reference.get_submodule(theirs).state_dict())
    x = torch.randn(1, 128, 16, 16)
    with torch.no_grad():
        expected = x
        for block in range(2, 13):
            expected = reference.get_submodule(f"block{block}")(expected)
        expected = reference.act3(reference.bn3(reference.conv3(expected)))
        expected = reference.act4(reference.bn4(reference.conv4(expected)))
        assert torch.equal(tail(x), expected)
    assert expected.shape == (1, 2048, 2, 2)


@pytest.mark.parametrize("headless", [True, False])
def test_weights_from_a_file(tmp_path, headless):
    torch.manual_seed(3)
    source = timm.create_model(B0, num_classes=0 if headless else 1000)
    state = {
        key: value.half() if key == "conv_stem.weight" else value
        for key, value in source.state_dict().items()
    }
    safetensors.torch.save_file(state, tmp_path / "b0.safetensors")
    trunk = backbones.EfficientNetTrunk("efficientnet-b0", tmp_path / "b0.safetensors")
    assert torch.equal(trunk.net.conv_stem.weight, source.conv_stem.weight.half().float())
    assert torch.equal(trunk.net.conv_head.weight, source.conv_head.weight)


def test_a_detector_takes_the_file_as_text(tmp_path):
    source = timm.create_model(B0)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "b0.safetensors")
    model = create_detector(
        "sfcl-hcmf",
        pretrained=str(tmp_path / "b0.safetensors"),
        input_size=64,
        backbone="efficientnet-b0",
        cnn_f="xception-small",
    )
    assert torch.equal(model.spatial.net.conv_head.weight, source.conv_head.weight)


def test_a_file_of_another_backbone_says_how_it_differs(tmp_path):
    safetensors.torch.save_file(timm.create_model(B0).state_dict(), tmp_path / "b0.safetensors")
    with pytest.raises(PretrainedError) as caught:
        backbones.create_backbone("efficientnet_b4", tmp_path / "b0.safetensors")
    text = str(caught.value)
    assert "does not hold weights of efficientnet_b4" in text
    assert "missing: blocks.0.1." in text
    assert "conv_stem.weight is float32 (32, 3, 3, 3) instead of float32 (48, 3, 3, 3)" in text


def test_a_file_that_is_absent_or_something_else(tmp_path):
    with pytest.raises(PretrainedError, match="do not exist: .*--pretrained FILE"):
        backbones.create_backbone(B0, tmp_path / "nothing.safetensors")
    (tmp_path / "text").write_text("not weights at all, but long enough to be read as a header")
    with pytest.raises(PretrainedError, match="not a readable safetensors file"):
        backbones.create_backbone(B0, tmp_path / "text")


def test_offline_imagenet_fails_naming_the_way_out(monkeypatch, no_cache):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert not backbones.pretrained_available("efficientnet-b4")
    with pytest.raises(
        PretrainedError, match="HF_HUB_OFFLINE is set.*--pretrained FILE, or --pretrained none"
    ):
        create_detector("sfcl-hcmf", pretrained="imagenet")


def test_a_hub_that_hangs_costs_the_time_limit_only(monkeypatch, no_cache):
    release = threading.Event()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: release.wait(60))
    started = time.monotonic()
    assert not backbones.pretrained_available(B0, timeout=0.05)
    assert time.monotonic() - started < 30, "it did not wait for the hub"
    release.set()


def test_a_hub_that_refuses_or_answers(monkeypatch, no_cache):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    assert not backbones.pretrained_available(B0)
    with pytest.raises(PretrainedError, match="the hub cannot be reached"):
        backbones.create_backbone(B0, "imagenet")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: object())
    assert backbones.pretrained_available(B0, timeout=10)


def test_cached_weights_need_no_network(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda *_, **__: "/somewhere/model.safetensors"
    )
    assert backbones.pretrained_available("efficientnet-b4")


def test_a_model_without_published_weights_is_not_available():
    assert not backbones.pretrained_available("efficientnet_b9000")


def test_long_differences_are_cut():
    expected = {f"w{i}": torch.zeros(1) for i in range(9)}
    assert backbones.describe_difference(expected, expected) == ""
    assert backbones.describe_difference(expected, {}) == "9 missing: w0, w1, w2, w3, w4, ..."
