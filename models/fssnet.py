"""FSSNet: frequency-spatial synergy network, two DINOv2 streams joined by scale-aware cross attention.

Paper: Su, Chen, "FSSNet: Frequency-Spatial Synergy Network for Universal Deepfake Detection". Equation numbers are
the paper's.

Deviation: keys and values come from the other stream, as eq 6 and 7 and the text say; eq 9 and 10 print X_Q for them.
Deviation: keys have no bias, since a softmax over positions does not see it.
Noted: eq 8-10 print plain convolutions, and the paper no head width: they are full ones from all channels to 64, so
    that the two directions hold 48.8 million weights; H = 4, the 1x1 convolution that joins the heads, and the
    residual are not printed either.
Noted: eq 3 prints one H x W spectrum: it is taken of each channel of the normalised image, whose bands (by radius,
    in thirds up to the corner) sum to it.
Noted: the paper names AFF's two attentions without a formula: both are taken of the sum of the two maps.
Noted: table 4 prints 92.58 as the diffusion sets' accuracy of the whole network, which is table 3's mid band; its low
    band, the default, has 92.54.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.addition import Addition
from ffpipe.models.detector import Detector, DetectorSpec, Normalise, OptionInfo, OptionValue
from ffpipe.models.registry import register
from ffpipe.models.vit import PATCH, VITS, ViTTrunk

HEADS = 4
HEAD_WIDTH = 64
SQUEEZE = 16  # of AFF's channel attention
SPATIAL_KERNEL = 7  # of AFF's spatial attention


class ScaleHead(nn.Module):
    """One head of eq 6-10: query, key and value by convolutions of one kernel, attention over all positions."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.query = nn.Conv2d(channels, HEAD_WIDTH, kernel, padding=kernel // 2)
        self.key = nn.Conv2d(channels, HEAD_WIDTH, kernel, padding=kernel // 2, bias=False)
        self.value = nn.Conv2d(channels, HEAD_WIDTH, kernel, padding=kernel // 2)

    def forward(self, x_q: Tensor, x_kv: Tensor) -> Tensor:
        """Two maps (B,C,h,w) -> float32 (B,64,h,w)."""
        maps = self.query(x_q), self.key(x_kv), self.value(x_kv)
        q, k, v = (projected.flatten(2).float() for projected in maps)  # (B,64,hw)
        with spectral.exact_float32(x_q.device):
            weights = (q.transpose(1, 2) @ k / math.sqrt(HEAD_WIDTH)).softmax(2)  # (B,hw,hw)
            attended = v @ weights.transpose(1, 2)  # (B,64,hw)
        return torch.as_tensor(attended.view(maps[0].shape))  # (B,64,h,w)


class ScaleAwareAttention(nn.Module):
    """One direction of SBCA: head b has kernel 2b+1; the heads are joined and added to the querying map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = nn.ModuleList(ScaleHead(channels, 2 * head + 1) for head in range(1, HEADS + 1))
        self.join = nn.Conv2d(HEADS * HEAD_WIDTH, channels, 1)

    def forward(self, x_q: Tensor, x_kv: Tensor) -> Tensor:
        """Two maps (B,C,h,w) -> (B,C,h,w)."""
        attended = torch.cat([head(x_q, x_kv) for head in self.heads], 1)  # (B,256,h,w)
        return x_q + torch.as_tensor(self.join(attended))


class SBCA(nn.Module):
    """Scale-aware Bidirectional Cross Attention (3.3); the directions share nothing and see the same two maps."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.s2f = ScaleAwareAttention(channels)
        self.f2s = ScaleAwareAttention(channels)

    def forward(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """F_rgb and F_freq (B,C,h,w) -> the same two, enhanced: eq 6, where rgb asks, and eq 7, where freq does."""
        return self.s2f(rgb, freq), self.f2s(freq, rgb)


class AFF(nn.Module):
    """Adaptive Feature Fusion (3.4): one attention map weights both streams, theta shares between them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // SQUEEZE, 1)
        self.excite = nn.Conv2d(channels // SQUEEZE, channels, 1)
        self.spatial = nn.Conv2d(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)
        self.theta = nn.Parameter(torch.zeros(()))

    def attention(self, total: Tensor) -> Tensor:
        """F_attention (B,C,h,w) of the sum of both streams: channel attention times spatial attention."""
        pooled = total.mean((2, 3), keepdim=True)  # (B,C,1,1)
        channel = self.excite(self.squeeze(pooled).relu()).sigmoid()  # (B,C,1,1)
        profile = torch.cat((total.mean(1, keepdim=True), total.amax(1, keepdim=True)), 1)  # (B,2,h,w)
        spatial = self.spatial(profile).sigmoid()  # (B,1,h,w)
        return torch.as_tensor(channel * spatial)  # (B,C,h,w)

    def forward(self, rgb: Tensor, freq: Tensor) -> Tensor:
        """Eq 11: two maps (B,C,h,w) -> F_final (B,C,h,w)."""
        share = self.theta.sigmoid()
        return self.attention(rgb + freq) * (share * rgb + (1 - share) * freq)


_SWITCH = ("on", "off")
_OPTIONS = {
    "input_size": OptionInfo(
        252, range(4 * PATCH, 1025, PATCH), "side of the input in pixels, whole patches of 14"
    ),
    "backbone": OptionInfo("dinov2-b", tuple(VITS), "network of each stream; the tiny one is for quick runs"),
    "train_blocks": OptionInfo(
        2,
        range(1, 13),
        "how many of the last blocks train; all of them (vit-tiny: 4) free the embeddings and norm too",
    ),
    "band": OptionInfo(
        "low", spectral.RADIAL_BANDS, "the third of the spectrum's radius that is seen (table 3)"
    ),
    "streams": OptionInfo(
        "both", ("both", "rgb", "freq"), "rgb, freq: one stream, with neither SBCA nor AFF (table 4)"
    ),
    "sbca": OptionInfo("on", _SWITCH, "off: no cross attention between the streams (table 4)"),
    "aff": OptionInfo("on", _SWITCH, "off: the sum of the two maps (table 4)"),
}


@register("fssnet")
class FSSNet(Detector):
    """The whole network of figure 2; options as in `spec.options`, `pretrained` is for both streams."""

    spec = DetectorSpec(
        name="fssnet",
        summary="DINOv2 on the image and on one band of its Fourier spectrum, joined by cross attention",
        paper="Su, Chen: FSSNet: Frequency-Spatial Synergy Network for Universal Deepfake Detection",
        input_size=252,
        pretrained=("dinov2",),
        gradcam_layers=("final_map",),
        prefusion=("rgb_map", "freq_map"),
        fused="fuse",
        options=_OPTIONS,
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        size, blocks = int(self.options["input_size"]), int(self.options["train_blocks"])
        backbone, streams, self.band = (str(self.options[name]) for name in ("backbone", "streams", "band"))
        names = ("rgb", "freq") if streams == "both" else (streams,)
        trunks = {name: ViTTrunk(backbone, size, pretrained, blocks) for name in names}
        self.streams = nn.ModuleDict(trunks)
        channels = trunks[names[0]].channels
        self.spec = dataclasses.replace(type(self).spec, input_size=size)
        self.normalise = Normalise(self.spec.mean, self.spec.std)
        self.sbca: SBCA | None = None
        self.fuse: AFF | Addition | None = None
        if streams == "both":
            self.sbca = SBCA(channels) if self.options["sbca"] == "on" else None
            self.fuse = AFF(channels) if self.options["aff"] == "on" else Addition()
        else:
            self.spec = dataclasses.replace(self.spec, prefusion=None, fused=None)
        self.rgb_map, self.freq_map, self.final_map = nn.Identity(), nn.Identity(), nn.Identity()
        self.classifier = nn.Linear(channels, 2)

    def look(self, name: str, image: Tensor) -> Tensor:
        """What a stream sees of the normalised image: all of it (rgb), or one band of its spectrum (freq)."""
        return spectral.radial_band(image, self.band) if name == "freq" else image

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError where it is not as the spec says."""
        self.check_input(image, sida)
        normalised = self.normalise(image)
        maps = [stream(self.look(name, normalised)) for name, stream in self.streams.items()]  # (B,768,18,18)
        if self.sbca is not None:
            maps = list(self.sbca(*maps))
        if self.fuse is not None:
            maps = [self.fuse(self.rgb_map(maps[0]), self.freq_map(maps[1]))]
        final = torch.as_tensor(self.final_map(maps[0]))  # F_final (B,768,18,18)
        return torch.as_tensor(self.classifier(final.mean((2, 3))))  # (B,2)
