"""SFCL-HCMF: spatial-frequency collaborative learning with hierarchical cross-modal fusion.

Paper: Qiao, Tian, Wang, "Towards Generalizable Deepfake Detection with Spatial-Frequency Collaborative Learning and
Hierarchical Cross-Modal Fusion". Equation numbers are the paper's.

Deviation: row and column differences follow eq 1 and 2, whose stated shapes are swapped.
Deviation: SIDA's statistics are of absolute differences, as the text says; eq 5-7 print them without bars.
Deviation: D enters as sign(D) log(1+|D|) before its BatchNorm, since kurtosis has long tails.
Deviation: coefficients pass a BatchNorm per channel and frequency before SBCM.
Deviation: embed_dim is 1024 throughout HCMA; the text projects to 1792 but prints 1024-wide matrices.
Deviation: tokens=map attends over maps; with pooled vectors (tokens=pooled, as printed) the softmax has one key and
    is the identity, so W_Q and W_K have no gradient and are frozen.
Deviation: the gate is a sigmoid; eq 16 prints alpha for it.
Deviation: training flips faces of both classes (section 4 augments the real class alone): a flipped crop's
    statistics come from the stored crop, and if only real ones were flipped they would give the class away.
Noted: gamma of eq 13 stands before Conv and BatchNorm, which mostly cancel it; kept as printed.
Noted: table 4 prints 97.70 in its first row, which is table 3's all-off row and not its 98.95 for HCMF off.
Noted: at input 64 the frequency map has a single token, so that W_Q and W_K idle there as in tokens=pooled.
"""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.backbones import EFFICIENTNETS, XCEPTIONS, EfficientNetTrunk, XceptionTail
from ffpipe.models.cross_attention import CrossAttention
from ffpipe.models.detector import Detector, DetectorSpec, Normalise, OptionInfo, OptionValue
from ffpipe.models.registry import register
from ffpipe.models.sida import SIDA_SIZE, compress_sida

COEFFICIENT_CHANNELS = 3 * spectral.BANDS  # 192, also what SBCM puts out
HEADS = 8


class SBCM(nn.Module):
    """Spectral Band Convolution Module (3.2.2): convolutions along the band axis alone, then eq 9."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, kernel in ((3, 16, 7), (16, 32, 5), (32, 64, 3)):
            layers += [
                nn.Conv3d(inputs, outputs, (kernel, 1, 1), (3, 1, 1), (kernel // 2, 0, 0), bias=False),
                nn.BatchNorm3d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, coefficients: Tensor) -> Tensor:
        """(B,3,64,h,w) -> (B,192,h,w)."""
        x: Tensor = self.layers(coefficients)  # bands 64 -> 22 -> 8 -> 3: (B,64,3,h,w)
        return x.flatten(1, 2)  # (B,192,h,w)


class CoefficientNorm(nn.Module):
    """BatchNorm of each of the 192 (channel, frequency) pairs over images and blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(COEFFICIENT_CHANNELS)

    def forward(self, coefficients: Tensor) -> Tensor:
        """(B,3,64,h,w) -> (B,3,64,h,w)."""
        x: Tensor = self.norm(coefficients.flatten(1, 2))  # (B,192,h,w)
        return x.view(coefficients.shape)  # (B,3,64,h,w)


class FAAE(CrossAttention):
    """Frequency-Aware Attention Enhancement: eq 10-12 are the attention, eq 13 what it weights."""

    def __init__(self, spatial: int, spectral_channels: int = COEFFICIENT_CHANNELS) -> None:
        super().__init__(spatial, spectral_channels)
        self.conv_f = nn.Conv2d(spectral_channels, spatial, 1)
        self.conv_s = nn.Conv2d(spatial, spatial, 1, bias=False)
        self.norm = nn.BatchNorm2d(spatial)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x_s: Tensor, x_f: Tensor) -> Tensor:
        """X_S (B,C,h,w) and X_f (B,192,h,w), square maps -> Y_S (B,C,h,w), eq 13."""
        gated = self.attention(x_s, x_f) * self.conv_f(x_f) * torch.sigmoid(self.gamma)
        return x_s + torch.as_tensor(self.norm(self.conv_s(gated)))


class HCMA(nn.Module):
    """Hybrid Cross-Modal Attention without its gate, eq 14-15: spatial queries, frequency keys and values."""

    def __init__(self, spatial: int, frequency: int, embed_dim: int, tokens: str) -> None:
        super().__init__()
        self.tokens = tokens
        self.project_s = nn.Linear(spatial, embed_dim)
        self.project_f = nn.Linear(frequency, embed_dim)
        self.w_q = nn.Linear(embed_dim, embed_dim, bias=False)
        self.w_k = nn.Linear(embed_dim, embed_dim, bias=False)
        self.w_v = nn.Linear(embed_dim, embed_dim, bias=False)
        self.conv = nn.Conv1d(embed_dim, embed_dim, 1, bias=False)
        self.norm = nn.BatchNorm1d(embed_dim)
        if tokens == "pooled":
            self.w_q.requires_grad_(False)
            self.w_k.requires_grad_(False)

    def as_tokens(self, feature: Tensor) -> Tensor:
        """(B,C,h,w) -> (B,h*w,C), or (B,1,C) for pooled tokens."""
        tokens = feature.flatten(2).transpose(1, 2)
        return tokens.mean(1, keepdim=True) if self.tokens == "pooled" else tokens

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Eq 14, in float32: (B,n,E), (B,m,E), (B,m,E) -> A (B,n,E)."""
        q, k, v = (self._split(x.float()) for x in (query, key, value))  # (B,n,E) -> (B,8,n,E/8)
        with spectral.exact_float32(query.device):
            weights = (q @ k.transpose(2, 3) / math.sqrt(q.shape[3])).softmax(3)  # (B,8,n,m)
            return torch.matmul(weights, v).transpose(1, 2).flatten(2)  # (B,n,E)

    @staticmethod
    def _split(x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        return x.view(batch, tokens, HEADS, width // HEADS).transpose(1, 2)

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        """S (B,1792,h,w) and F (B,2048,h',w') -> A_res (B,E), averaged over the tokens."""
        s_embed = self.project_s(self.as_tokens(s))  # (B,n,E)
        f_embed = self.project_f(self.as_tokens(f))  # (B,m,E)
        attended = self.attend(self.w_q(s_embed), self.w_k(f_embed), self.w_v(f_embed))
        residual: Tensor = self.norm(self.conv(s_embed.transpose(1, 2)))  # (B,E,n)
        return (attended + residual.transpose(1, 2)).mean(1)  # eq 15, (B,E)


class Concatenation(nn.Module):
    """What stands in for HCMA in its ablation: both deep features, averaged over the map and concatenated."""

    def forward(self, s: Tensor, f: Tensor) -> Tensor:
        """(B,1792,h,w) and (B,2048,h',w') -> (B,3840)."""
        return torch.cat((s.mean((2, 3)), f.mean((2, 3))), 1)


class SidaGate(nn.Module):
    """g = sigmoid(W_g D + b_g) of eq 16, after compression and BatchNorm of D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(SIDA_SIZE)
        self.w_g = nn.Linear(SIDA_SIZE, width)

    def forward(self, d: Tensor) -> Tensor:
        """D (B,2304) -> g (B,width)."""
        return torch.sigmoid(self.w_g(self.norm(compress_sida(d))))


_SWITCH = ("on", "off")
_OPTIONS = {
    "input_size": OptionInfo(
        380, range(64, 1025), "side of the input in pixels; the DCT pads it to blocks of 8"
    ),
    "sbcm": OptionInfo("on", _SWITCH, "off: DCT coefficients go straight to CNN-F and FAAE (table 3)"),
    "sida": OptionInfo("on", _SWITCH, "off: no gate from the statistics D (table 3)"),
    "faae": OptionInfo("on", _SWITCH, "off: no attention enhancement of the shallow features (table 4)"),
    "hcma": OptionInfo("on", _SWITCH, "off: concatenation of the deep features (table 4)"),
    "hcmf": OptionInfo("on", _SWITCH, "off: neither faae nor hcma (table 3)"),
    "tokens": OptionInfo("map", ("map", "pooled"), "what HCMA attends over; pooled is the printed form"),
    "embed_dim": OptionInfo(1024, range(64, 1025, HEADS), "width of HCMA"),
    "backbone": OptionInfo("efficientnet-b4", tuple(EFFICIENTNETS), "spatial network"),
    "cnn_f": OptionInfo("xception", tuple(XCEPTIONS), "frequency network; the small one is for quick runs"),
}


@register("sfcl-hcmf")
class SFCLHCMF(Detector):
    """The whole network of figure 2; options as in `spec.options`, `pretrained` is for the spatial backbone."""

    spec = DetectorSpec(
        name="sfcl-hcmf",
        summary="EfficientNet-B4 and a block-DCT network, fused by cross attention and gated by DCT statistics",
        paper="Qiao, Tian, Wang: Towards Generalizable Deepfake Detection with Spatial-Frequency Collaborative "
        "Learning and Hierarchical Cross-Modal Fusion",
        input_size=380,
        needs_sida=True,
        pretrained=("imagenet",),
        gradcam_layers=("spatial.net.bn2", "cnn_f"),
        prefusion=("spatial.net.bn2", "cnn_f"),
        options=_OPTIONS,
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        on = {name: value == "on" for name, value in self.options.items()}
        self.spec = dataclasses.replace(
            type(self).spec, input_size=int(self.options["input_size"]), needs_sida=on["sida"]
        )
        self.normalise = Normalise(self.spec.mean, self.spec.std)
        self.coefficient_norm = CoefficientNorm()
        self.sbcm = SBCM() if on["sbcm"] else nn.Flatten(1, 2)
        self.cnn_f = XceptionTail(COEFFICIENT_CHANNELS, str(self.options["cnn_f"]))
        self.spatial = EfficientNetTrunk(str(self.options["backbone"]), pretrained)
        self.faae = FAAE(self.spatial.shallow_channels) if on["hcmf"] and on["faae"] else None
        self.fuse, width = self._fusion(on["hcmf"] and on["hcma"])
        self.gate = SidaGate(width) if on["sida"] else None
        self.classifier = nn.Linear(width, 2)

    def _fusion(self, attention: bool) -> tuple[nn.Module, int]:
        """The fusion module and the width of what it returns."""
        if not attention:
            return Concatenation(), self.spatial.channels + self.cnn_f.channels
        embed_dim = int(self.options["embed_dim"])
        tokens = str(self.options["tokens"])
        return HCMA(self.spatial.channels, self.cnn_f.channels, embed_dim, tokens), embed_dim

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1] and D (B,2304); ValueError where either is not as the spec says."""
        self.check_input(image, sida)
        pixels = spectral.pad_to_blocks(image.float() * 255)  # (B,3,S,S) -> (B,3,8h,8w)
        coefficients = self.coefficient_norm(spectral.block_dct(pixels))  # (B,3,64,h,w)
        x_f = self.sbcm(coefficients)  # (B,192,h,w)
        x_s = self.spatial.shallow(self.normalise(image))  # (B,56,h,w)
        if self.faae is not None:
            x_s = self.faae(x_s, x_f)
        fused = self.fuse(self.spatial.deep(x_s), self.cnn_f(x_f))  # (B,1024)
        if self.gate is not None:
            fused = fused * self.gate(sida)  # eq 17
        return torch.as_tensor(self.classifier(fused))  # (B,2)
