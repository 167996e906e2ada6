"""The plain baselines are timm's networks: the same logits of the same weights, and timm's pixel range."""

from __future__ import annotations

import pytest
import safetensors.torch
import timm
import torch

from ffpipe.models import create_detector, detector_info

TIMM = {
    "xception": "legacy_xception",
    "efficientnet-b0": "efficientnet_b0",
    "efficientnet-b4": "efficientnet_b4",
    "resnet50": "resnet50",
}


@pytest.mark.parametrize(("name", "published"), TIMM.items())
def test_logits_are_timm_s_from_its_own_weights(name, published, tmp_path):
    torch.manual_seed(0)
    reference = timm.create_model(published, num_classes=2).eval()
    safetensors.torch.save_file(reference.state_dict(), tmp_path / "weights.safetensors")
    model = create_detector(name, pretrained=tmp_path / "weights.safetensors", input_size=64).eval()
    model.classifier.load_state_dict(reference.get_classifier().state_dict())
    cfg = timm.get_pretrained_cfg(published)
    mean, std = (torch.tensor(values)[:, None, None] for values in (cfg.mean, cfg.std))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(image), reference((image - mean) / std), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "size"),
    [("xception", 256), ("efficientnet-b0", 224), ("efficientnet-b4", 380), ("resnet50", 224)],
)
def test_input_sizes(name, size):
    assert detector_info(name).input_size == size
    assert detector_info(name).options["input_size"].default == size


def test_grad_cam_reads_the_last_map():
    model = create_detector("resnet50", input_size=64).eval()
    seen = []
    model.gradcam_layer().register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.no_grad():
        logits = model(torch.rand(1, 3, 64, 64))
        torch.testing.assert_close(model.classifier(seen[0].mean((2, 3))), logits)
    assert seen[0].shape == (1, 2048, 2, 2)
