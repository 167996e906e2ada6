"""Pretrained weights: from a file, offline, from a hub that never answers."""

from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
import safetensors.torch
import timm
import torch

from ffpipe.models import create_detector, pretrained
from ffpipe.models.backbones import EfficientNetTrunk, XceptionTrunk
from ffpipe.models.errors import PretrainedError

B0 = "efficientnet_b0"


@pytest.fixture
def no_cache(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)


@pytest.mark.parametrize("headless", [True, False])
def test_weights_from_a_file(tmp_path, headless):
    torch.manual_seed(3)
    source = timm.create_model(B0, num_classes=0 if headless else 1000)
    state = {
        key: value.half() if key == "conv_stem.weight" else value
        for key, value in source.state_dict().items()
    }
    safetensors.torch.save_file(state, tmp_path / "b0.safetensors")
    trunk = EfficientNetTrunk("efficientnet-b0", tmp_path / "b0.safetensors")
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
        pretrained.create_backbone("efficientnet_b4", tmp_path / "b0.safetensors")
    text = str(caught.value)
    assert "does not hold weights of efficientnet_b4" in text
    assert "missing: blocks.0.1." in text
    assert "conv_stem.weight is float32 (32, 3, 3, 3) instead of float32 (48, 3, 3, 3)" in text


def test_a_file_that_is_absent_or_something_else(tmp_path):
    with pytest.raises(PretrainedError, match="do not exist: .*--pretrained FILE"):
        pretrained.create_backbone(B0, tmp_path / "nothing.safetensors")
    (tmp_path / "text").write_text("not weights at all, but long enough to be read as a header")
    with pytest.raises(PretrainedError, match="not a readable safetensors file"):
        pretrained.create_backbone(B0, tmp_path / "text")


def test_offline_imagenet_fails_naming_the_way_out(monkeypatch, no_cache):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert not pretrained.pretrained_available("efficientnet_b4")
    with pytest.raises(
        PretrainedError, match="HF_HUB_OFFLINE is set.*--pretrained FILE, or --pretrained none"
    ):
        create_detector("sfcl-hcmf", pretrained="imagenet")


@pytest.mark.parametrize(
    ("detector", "named", "own"), [("fssnet", "imagenet", "dinov2"), ("resnet50", "dinov2", "imagenet")]
)
def test_published_weights_of_another_backbone_are_refused_by_name(detector, named, own):
    with pytest.raises(
        PretrainedError, match=f"--pretrained {named}: published weights of {detector} are {own}"
    ):
        create_detector(detector, pretrained=named)


def test_a_hub_that_hangs_costs_the_time_limit_only(monkeypatch, no_cache):
    release = threading.Event()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: release.wait(60))
    started = time.monotonic()
    assert not pretrained.pretrained_available(B0, timeout=0.05)
    assert time.monotonic() - started < 30, "it did not wait for the hub"
    release.set()


def test_a_hub_that_refuses_or_answers(monkeypatch, no_cache):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)

    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", refuse)
    assert not pretrained.pretrained_available(B0)
    with pytest.raises(PretrainedError, match="the hub cannot be reached"):
        pretrained.create_backbone(B0, "imagenet")
    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", lambda *_, **__: object())
    assert pretrained.pretrained_available(B0, timeout=10)


def test_cached_weights_need_no_network(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda *_, **__: "/somewhere/model.safetensors"
    )
    assert pretrained.pretrained_available("efficientnet_b4")


def test_a_model_without_published_weights_is_not_available():
    assert not pretrained.pretrained_available("efficientnet_b9000")


def test_long_differences_are_cut():
    expected = {f"w{i}": torch.zeros(1) for i in range(9)}
    assert pretrained.describe_difference(expected, expected) == ""
    assert pretrained.describe_difference(expected, {}) == "9 missing: w0, w1, w2, w3, w4, ..."


@pytest.mark.parametrize("channels", [6, 9, 12])
def test_more_input_channels_repeat_the_first_convolution(tmp_path, channels):
    source = timm.create_model("legacy_xception", num_classes=0)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "xception.safetensors")
    trunk = XceptionTrunk("xception", tmp_path / "xception.safetensors", in_channels=channels)
    weight = trunk.stem[0].weight
    assert weight.shape == (32, channels, 3, 3)
    for start in range(0, channels, 3):
        torch.testing.assert_close(weight[:, start : start + 3], source.conv1.weight * 3 / channels)


def test_weights_published_at_an_address_are_looked_for_there(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert not pretrained.pretrained_available("legacy_xception")
    with pytest.raises(PretrainedError, match="weights of legacy_xception are not cached"):
        XceptionTrunk("xception", "imagenet")
    name = timm.get_pretrained_cfg("legacy_xception").url.rsplit("/", 1)[1]
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / name).touch()
    assert pretrained.pretrained_available("legacy_xception")


#: A pickle on which weights_only stops with a TypeError; read without it, it makes the file whose name follows.
_STOPS_WEIGHTS_ONLY = b"\x80\x02ccollections\nOrderedDict\n)RN}\x86b"


def _publish(monkeypatch, folder: Path, write) -> str:
    """A file of the cache whose name holds the first digits of its hash, as the address of Xception's weights."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder))
    (folder / "checkpoints").mkdir()
    write(folder / "made")
    digits = hashlib.sha256((folder / "made").read_bytes()).hexdigest()[:9]
    name = f"xception-{digits}.pth"
    (folder / "made").rename(folder / "checkpoints" / name)
    address = SimpleNamespace(hf_hub_id=None, url=f"https://example.invalid/{name}")
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda _: address)
    return name


def test_weights_published_at_an_address_are_loaded_where_they_are_the_published_ones(monkeypatch, tmp_path):
    torch.manual_seed(4)
    source = timm.create_model("legacy_xception")
    name = _publish(monkeypatch, tmp_path, lambda path: torch.save(source.state_dict(), path))
    found = pretrained.create_backbone("legacy_xception", "imagenet").state_dict()
    assert found.keys() == {key for key in source.state_dict() if not key.startswith("fc.")}
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in found.items())
    with (tmp_path / "checkpoints" / name).open("ab") as file:
        file.write(b"x")
    with pytest.raises(PretrainedError, match="is another file: its sha256 is"):
        pretrained.create_backbone("legacy_xception", "imagenet")


def test_weights_published_at_an_address_run_nothing(monkeypatch, tmp_path):
    canary = tmp_path / "canary"

    def write(path: Path) -> None:
        torch.save({}, tmp_path / "sound")
        named = str(canary).encode()
        opens = b"cio\nopen\n(X" + len(named).to_bytes(4, "little") + named + b"X\1\0\0\0wtR."
        with zipfile.ZipFile(tmp_path / "sound") as sound, zipfile.ZipFile(path, "w") as made:
            for one in sound.namelist():
                pickled = one.endswith("data.pkl")
                made.writestr(one, _STOPS_WEIGHTS_ONLY + opens if pickled else sound.read(one))

    name = _publish(monkeypatch, tmp_path, write)
    path = tmp_path / "checkpoints" / name
    with pytest.raises(TypeError):
        torch.load(path, weights_only=True)
    with pytest.raises(PretrainedError, match="did not load"):
        pretrained.create_backbone("legacy_xception", "imagenet")
    assert not canary.exists()
    torch.load(path, weights_only=False)
    assert canary.exists(), "the control: without weights_only it would have been made"


VIT = "vit_base_patch14_dinov2"
NARROW = {"embed_dim": 24, "depth": 1, "num_heads": 2}


def test_position_embeddings_are_resampled_as_timm_does_it(tmp_path):
    torch.manual_seed(3)
    source = timm.create_model(VIT, **NARROW)
    assert source.pos_embed.shape == (1, 1370, 24)
    path = tmp_path / "dinov2.safetensors"
    safetensors.torch.save_file(source.state_dict(), path)
    found = pretrained.create_backbone(VIT, path, img_size=252, **NARROW).state_dict()
    expected = timm.create_model(
        VIT,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(path)},
        num_classes=0,
        global_pool="",
        img_size=252,
        **NARROW,
    ).state_dict()
    assert found["pos_embed"].shape == (1, 18 * 18 + 1, 24)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_position_embeddings_of_the_model_s_own_grid_stay(tmp_path):
    source = timm.create_model(VIT, img_size=56, **NARROW)
    safetensors.torch.save_file(source.state_dict(), tmp_path / "dinov2.safetensors")
    found = pretrained.create_backbone(VIT, tmp_path / "dinov2.safetensors", img_size=56, **NARROW)
    assert torch.equal(found.get_parameter("pos_embed"), source.pos_embed)


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((1, 13, 24), "(1, 13, 24)"),
        ((1, 0, 24), "(1, 0, 24)"),
        ((1, 50, 48), "(1, 50, 48)"),
        ((24,), "(24,)"),
    ],
)
def test_position_embeddings_that_do_not_fit_are_told(tmp_path, shape, told):
    state = timm.create_model(VIT, img_size=56, **NARROW).state_dict() | {"pos_embed": torch.zeros(shape)}
    safetensors.torch.save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(PretrainedError) as caught:
        pretrained.create_backbone(VIT, tmp_path / "odd.safetensors", img_size=56, **NARROW)
    assert f"pos_embed is float32 {told} instead of float32 (1, 17, 24)" in str(caught.value)


def test_weights_without_position_embeddings_say_so(tmp_path):
    state = timm.create_model(VIT, img_size=56, **NARROW).state_dict()
    del state["pos_embed"]
    safetensors.torch.save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(PretrainedError, match="1 missing: pos_embed"):
        pretrained.create_backbone(VIT, tmp_path / "odd.safetensors", img_size=56, **NARROW)
