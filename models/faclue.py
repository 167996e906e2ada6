"""FAClue: frequency clues by adaptive frequency attention, and two domains that complement each other.

Paper: Liang, Wu, Wu, Xu, "FAClue: Exploring Frequency Clues by Adaptive Frequency-Attention for Deepfake Detection".
Equation numbers are the paper's.

Deviation: eq 2 prints one inverse DCT of both halves; the local half is inverted patch by patch, since an inverse of
    the whole plane over stitched patches would mean nothing.
Deviation: the text has P x P patches of the image and section 4.1 patches of 16 x 16; these are 16 pixels, so that 224
    has 14 x 14 of them, and the input's side is a multiple of 16.
Deviation: YCbCr is level-shifted and divided by 128; the paper prints no scale.
Noted: the pools of eq 1 run over the channels, which is what a convolution over coefficient positions can take.
Noted: FA's BatchNorm pools over coefficients of very unequal size; DC and its neighbours set its scale.
Noted: a softmax over 320 channels weighs M with 1/320 on average, so that the sum of eq 6 is mostly M_rgb.
Noted: the streams end after stage 7 as eq 6 says, without EfficientNet's last 1x1 convolution.
Noted: BatchNorm in eq 6 is over pooled vectors, so that training needs two images.
Noted: the first BatchNorm's shift of fa_kernel=1+1 is cancelled by the second, so it is frozen.
Noted: with rfce=none the last BatchNorm's shift of the guiding stream is cancelled in the same way by eq 6's gate, as
    are in any EfficientNet those before a stage's first convolution; they are kept, since distillation reads the map.
Noted: the modules that table 3 puts in place of these are built as this paper describes them, see faclue_variants.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.addition import Addition
from ffpipe.models.backbones import EfficientNetTrunk
from ffpipe.models.detector import Detector, DetectorSpec, Normalise, OptionInfo, OptionValue
from ffpipe.models.faclue_variants import (
    MEM,
    RFAM,
    STREAM_CHANNELS,
    BandGather,
    FilterBank,
    NoEnhancement,
)
from ffpipe.models.registry import register

PATCH = 16  # pixels, section 4.1
_LEVELS = 128  # of 256 grey levels: brings level-shifted YCbCr to [-1,1]
_BACKBONE = "efficientnet-b0"
#: Stages of the backbone that each RFCE follows, first and last (3.3).
_SECTIONS = ((1, 2), (3, 4), (5, 7))


class FA(nn.Module):
    """Frequency attention, eq 1: a weight for each coefficient position, the same for the three colours.

    `kernels` are the sides of its convolutions, "7" or "3+3" (table 4), each followed by BatchNorm.
    """

    def __init__(self, kernels: str = "7") -> None:
        super().__init__()
        sizes = [int(size) for size in kernels.split("+")]
        layers: list[nn.Module] = []
        for position, size in enumerate(sizes, 1):
            width = 1 if position == len(sizes) else 2
            norm = nn.BatchNorm2d(width)
            # Without padding in between, the next BatchNorm takes a shift away again.
            norm.bias.requires_grad_(sizes[position : position + 1] != [1])
            layers += [nn.Conv2d(2, width, size, padding=size // 2, bias=False), norm]
        self.layers = nn.Sequential(*layers)

    def forward(self, coefficients: Tensor) -> Tensor:
        """D (B,3,h,w) -> D_FA (B,3,h,w)."""
        pooled = torch.cat((coefficients.mean(1, keepdim=True), coefficients.amax(1, keepdim=True)), 1)
        return coefficients * torch.sigmoid(self.layers(pooled))  # weights (B,1,h,w)


class GlobalAttention(nn.Module):
    """The global half of the FAE (3.2.2): FA over the DCT of the whole image, then its inverse."""

    def __init__(self, kernels: str) -> None:
        super().__init__()
        self.fa = FA(kernels)

    def forward(self, ycbcr: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W), float32."""
        with spectral.exact_float32(ycbcr.device):
            return spectral.full_idct(self.fa(spectral.full_dct(ycbcr)))


class LocalAttention(nn.Module):
    """The local half of the FAE (3.2.2): one FA over the DCT of each 16x16 patch, inverted and put back in place."""

    def __init__(self, kernels: str) -> None:
        super().__init__()
        self.fa = FA(kernels)

    def forward(self, ycbcr: Tensor) -> Tensor:
        """(B,3,16p,16q) -> (B,3,16p,16q), float32."""
        batch, colours, height, width = ycbcr.shape
        cells = ycbcr.reshape(batch, colours, height // PATCH, PATCH, width // PATCH, PATCH)
        patches = cells.permute(0, 2, 4, 1, 3, 5)  # (B,p,q,3,16,16)
        with spectral.exact_float32(ycbcr.device):
            attended = self.fa(spectral.full_dct(patches.flatten(0, 2)))  # (Bpq,3,16,16)
            inverted = spectral.full_idct(attended).view(patches.shape)  # (B,p,q,3,16,16)
        return inverted.permute(0, 3, 1, 4, 2, 5).reshape(ycbcr.shape)


class FAE(nn.Module):
    """Frequency-Attention Extractor, eq 2: the halves that are asked for, global first, as channels."""

    def __init__(self, kernels: str, halves: tuple[str, ...] = ("global", "local")) -> None:
        super().__init__()
        kinds = {"global": GlobalAttention, "local": LocalAttention}
        # "global" alone is no attribute that traced code could spell.
        self.halves = nn.ModuleDict({f"{half}_half": kinds[half](kernels) for half in halves})

    def forward(self, ycbcr: Tensor) -> Tensor:
        """(B,3,16p,16q) -> (B,6,16p,16q) of both halves, (B,3,16p,16q) of one; float32."""
        return torch.cat([half(ycbcr) for half in self.halves.values()], 1)


def _squeeze(channels: int, width: int) -> nn.Sequential:
    """f_1x1 of the paper: a 1x1 convolution and BatchNorm."""
    return nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))


class RFCE(nn.Module):
    """RGB-Frequency Complementary Enhancement, eq 3-5: the two domains share out positions and channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze_rgb = _squeeze(channels, 1)
        self.squeeze_freq = _squeeze(channels, 1)

    def spatial_attention(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Eq 3: two (B,C,h,w) -> SA of both (B,1,h,w), which sum to 1."""
        return _share(self.squeeze_rgb(rgb), self.squeeze_freq(freq))

    def channel_attention(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Eq 4: two (B,C,h,w) -> CA of both (B,C,1,1), which sum to 1."""
        return _share(rgb.mean((2, 3), keepdim=True), freq.mean((2, 3), keepdim=True))

    def forward(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Eq 5: two F_i (B,C,h,w) -> two M_i (B,C,h,w)."""
        sa_rgb, sa_freq = self.spatial_attention(rgb, freq)
        ca_rgb, ca_freq = self.channel_attention(rgb, freq)
        return sa_rgb * ca_rgb * rgb, sa_freq * ca_freq * freq


def _share(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Element-wise softmax across two tensors, in float32."""
    with spectral.exact_float32(one.device):
        shares = torch.softmax(torch.stack((one.float(), other.float())), 0)
    return shares[0], shares[1]


class FGA(nn.Module):
    """Frequency Guided Attention, eq 6: frequency says where RGB should look. With `swapped`, RGB guides (RGA)."""

    def __init__(self, channels: int, swapped: bool = False) -> None:
        super().__init__()
        self.swapped = swapped
        self.gate = _squeeze(channels, 1)
        self.weigh = _squeeze(channels, channels)

    def forward(self, m_rgb: Tensor, m_freq: Tensor) -> Tensor:
        """Two (B,C,h,w) -> F_FGA (B,C,h,w)."""
        guided, guide = (m_freq, m_rgb) if self.swapped else (m_rgb, m_freq)
        m = guided * torch.sigmoid(self.gate(guide))  # gate (B,1,h,w)
        energy = self.weigh(m.mean((2, 3), keepdim=True))  # (B,C,1,1)
        with spectral.exact_float32(m.device):
            weights = torch.softmax(energy.float(), 1)
        return guided + m * weights


_OPTIONS = {
    "input_size": OptionInfo(
        224, range(64, 1025, PATCH), "side of the input in pixels, a whole number of patches"
    ),
    "fae": OptionInfo(
        "both",
        ("both", "global", "local", "none", "filter-bank", "band-gather"),
        "frequency input: which half of the FAE; none: the YCbCr image; or what replaces the FAE (table 3)",
    ),
    "rfce": OptionInfo(
        "rfce", ("rfce", "none", "rfam", "mem"), "how the streams enhance each other (table 3)"
    ),
    "fga": OptionInfo("fga", ("fga", "none", "rga"), "fusion; none: addition; rga: RGB guides (table 3)"),
    "fa_kernel": OptionInfo(
        "7",
        ("1", "3", "5", "7", "9", "1+1", "3+3", "3+3+3"),
        "convolutions of FA, where fae is both, global or local (table 4)",
    ),
}


def _frequency_input(kind: str, kernels: str, size: int) -> tuple[nn.Module, int]:
    """What turns YCbCr into the frequency stream's input, and its channels."""
    if kind == "none":
        return nn.Identity(), 3
    if kind in ("global", "local"):
        return FAE(kernels, (kind,)), 3
    if kind == "filter-bank":
        return FilterBank(size), STREAM_CHANNELS
    if kind == "band-gather":
        return BandGather(), STREAM_CHANNELS
    return FAE(kernels), STREAM_CHANNELS


def _enhancement(kind: str, channels: int) -> nn.Module:
    """What both streams pass after a section that ends with `channels`."""
    modules: dict[str, Callable[[int], nn.Module]] = {"rfce": RFCE, "rfam": RFAM, "mem": MEM}
    return modules[kind](channels) if kind in modules else NoEnhancement()


@register("faclue")
class FAClue(Detector):
    """The whole network of figure 1; options as in `spec.options`, `pretrained` is for both streams' backbones."""

    spec = DetectorSpec(
        name="faclue",
        summary="Two EfficientNet-B0, of RGB and of attended DCT, enhancing each other and fused by guided attention",
        paper="Liang, Wu, Wu, Xu: FAClue: Exploring Frequency Clues by Adaptive Frequency-Attention for Deepfake "
        "Detection",
        input_size=224,
        pretrained=("imagenet",),
        gradcam_layers=("fga", "map_rgb", "map_freq"),
        prefusion=("map_rgb", "map_freq"),
        fused="fga",
        options=_OPTIONS,
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        chosen = {name: str(value) for name, value in self.options.items()}
        size = int(self.options["input_size"])
        self.spec = dataclasses.replace(type(self).spec, input_size=size)
        self.normalise = Normalise(self.spec.mean, self.spec.std)
        self.fae, in_channels = _frequency_input(chosen["fae"], chosen["fa_kernel"], size)
        self.rgb = EfficientNetTrunk(_BACKBONE, pretrained, with_head=False)
        self.freq = EfficientNetTrunk(_BACKBONE, pretrained, in_channels, with_head=False)
        widths = [self.rgb.stage_channels[last - 1] for _, last in _SECTIONS]  # 24, 80, 320
        self.enhance = nn.ModuleList(_enhancement(chosen["rfce"], width) for width in widths)
        self.map_rgb, self.map_freq = nn.Identity(), nn.Identity()
        channels = self.rgb.channels
        self.fga = Addition() if chosen["fga"] == "none" else FGA(channels, chosen["fga"] == "rga")
        self.classifier = nn.Linear(channels, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError where the shape is another. `sida` is not looked at."""
        self.check_input(image, sida)
        ycbcr = spectral.rgb_to_ycbcr(image.float() * 255) / _LEVELS  # (B,3,S,S)
        rgb = self.rgb.stem(self.normalise(image))  # (B,32,S/2,S/2)
        freq = self.freq.stem(self.fae(ycbcr))  # (B,3 or 6,S,S) -> (B,32,S/2,S/2)
        for enhance, (first, last) in zip(self.enhance, _SECTIONS, strict=True):
            # (B,24,S/4,S/4), (B,80,S/16,S/16), (B,320,S/32,S/32)
            rgb, freq = enhance(self.rgb.stages(rgb, first, last), self.freq.stages(freq, first, last))
        fused = self.fga(self.map_rgb(rgb), self.map_freq(freq))  # (B,320,h,w)
        return torch.as_tensor(self.classifier(fused.mean((2, 3))))  # (B,2)
