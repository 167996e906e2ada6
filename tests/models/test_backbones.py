"""Cuts of the backbones: they lose nothing, and they are where the detectors expect them."""

from __future__ import annotations

import pytest
import timm
import torch

from ffpipe.models import backbones


def test_the_efficientnet_cut_is_at_stride_8_and_loses_nothing():
    torch.manual_seed(0)
    trunk = backbones.EfficientNetTrunk("efficientnet-b0").eval()
    image = torch.rand(2, 3, 100, 100)
    with torch.no_grad():
        shallow = trunk.shallow(image)
        deep = trunk.deep(shallow)
        whole = trunk.net.forward_features(image)
        widths = [trunk.stages(trunk.stem(image), 1, last).shape[1] for last in range(1, 8)]
    assert shallow.shape == (2, trunk.shallow_channels, 13, 13)
    assert deep.shape == (2, trunk.channels, 4, 4)
    assert torch.equal(deep, whole)
    assert widths == list(trunk.stage_channels) == [16, 24, 40, 80, 112, 192, 320]


def test_an_efficientnet_without_head_ends_after_stage_7():
    torch.manual_seed(0)
    whole = backbones.EfficientNetTrunk("efficientnet-b0").eval()
    torch.manual_seed(0)
    trunk = backbones.EfficientNetTrunk("efficientnet-b0", with_head=False).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(trunk(image), whole.stages(whole.stem(image), 1, 7))
    count, fewer = (sum(p.numel() for p in net.parameters()) for net in (whole, trunk))
    assert trunk.channels == 320
    assert count - fewer == 320 * 1280 + 2 * 1280  # the 1x1 convolution and its BatchNorm


def test_the_xception_trunk_is_timm_s():
    torch.manual_seed(0)
    reference = timm.create_model("legacy_xception", num_classes=0, global_pool="").eval()
    torch.manual_seed(0)
    trunk = backbones.XceptionTrunk().eval()
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(trunk(image), reference.forward_features(image))
        early = trunk.early(torch.rand(1, 3, 256, 256))
        assert early.shape == (1, trunk.flow_channels, 16, 16)
        assert trunk.exit(early).shape == (1, trunk.exit_channels, 8, 8)
        assert trunk.late(early).shape == (1, trunk.channels, 8, 8)


def test_the_middle_flow_is_halved_after_block_7():
    torch.manual_seed(0)
    reference = timm.create_model("legacy_xception", num_classes=0, global_pool="").eval()
    torch.manual_seed(0)
    trunk = backbones.XceptionTrunk().eval()
    seen = {}
    reference.block7.register_forward_hook(lambda _, __, out: seen.update(map=out.clone()))
    image = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        reference(image)
        assert torch.equal(trunk.to_middle(image), seen["map"])


def test_the_stem_s_stride_can_be_1():
    trunk = backbones.XceptionTrunk("xception-small", in_channels=6, stem_stride=1)
    assert trunk.stem(torch.rand(1, 6, 149, 149)).shape == (1, 32, 145, 145)
    assert trunk.to_middle(torch.rand(1, 6, 149, 149)).shape[2:] == (19, 19)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_the_resnet_cut_loses_nothing(name):
    trunk = backbones.ResNetTrunk(name, in_channels=9).eval()
    image = torch.rand(1, 9, 64, 64)
    with torch.no_grad():
        early = trunk.early(image)
        assert early.shape == (1, trunk.flow_channels, 4, 4)
        assert torch.equal(trunk.late(early), trunk.net.forward_features(image))


@pytest.mark.parametrize(
    ("kind", "name"), [(backbones.XceptionTrunk, "xception-small"), (backbones.ResNetTrunk, "resnet18")]
)
def test_halves_are_the_two_sides_of_the_cut_with_the_trunk_s_own_weights(kind, name):
    trunk = kind(name).eval()
    early, late = trunk.halves()
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(early(image), trunk.early(image))
        assert torch.equal(late(early(image)), trunk(image))
    owned = {id(parameter) for parameter in trunk.parameters()}
    halves = [{id(parameter) for parameter in half.parameters()} for half in (early, late)]
    assert halves[0] | halves[1] == owned
    assert not halves[0] & halves[1]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_resnet_s_branches_all_learn_from_the_start(name):
    trunk = backbones.ResNetTrunk(name)
    trunk(torch.rand(2, 3, 64, 64)).square().mean().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in trunk.parameters())


def test_the_xception_tail_is_timm_s_from_block_2():
    reference = timm.create_model("legacy_xception", num_classes=0, global_pool="").eval()
    tail = backbones.XceptionTail(128, "xception").eval()
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
