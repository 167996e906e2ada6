"""F3-Net: frequency-aware decomposition and local frequency statistics, two Xceptions with cross attention.

Paper: Qian, Yin, Sheng, Chen, Shao, "Thinking in Frequency: Face Forgery Detection by Mining Frequency-aware Clues"
(ECCV 2020).

Deviation: learnable filters start from small random values: at exactly 0 the absolute value of LFS has no slope, and
    what leaves the base band would never be learnt.
Deviation: log10 has STABILITY added to its argument, for windows that a band has nothing of.
Deviation: at sides whose streams would meet at maps that differ by one row (side mod 16 = 7, 8 or 9), LFS pads by 6
    instead of 4.
Noted: the fourth filter of FAD passes all frequencies, so that 12 channels go into the first stream.
Noted: the equal bands of LFS are cut along the diagonals i+j, from 0 to 2N, as FAD's are.
Noted: an energy is the sum of absolute filtered coefficients, as the paper's norm is, not of their squares.
Noted: the attention of MixBlock is drawn and not printed; softmax over rows with 1/sqrt(2H), the 1x1 convolution with
    BatchNorm and the place of the gate are those of SFCL-HCMF's eq 10-13, which cites it. The gate stands before a
    BatchNorm, which mostly cancels it. The convolution mixes channels: one weight per channel would be cancelled too.
Noted: pixels are normalised with 0.5/0.5, as Xception's published weights expect.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.backbones import XCEPTIONS, XceptionTrunk
from ffpipe.models.band_filters import BandFilters
from ffpipe.models.cross_attention import CrossAttention
from ffpipe.models.detector import HALF, Detector, DetectorSpec, Normalise, OptionInfo, OptionValue
from ffpipe.models.registry import register

WINDOW, STRIDE, PADDING, WIDER_PADDING = 10, 2, 4, 6  # pixels, of the sliding DCT
WINDOW_BANDS = 6
STABILITY = 1e-2  # grey levels: float32's rounding in a window of 0..255 stays below it
# Deviation of a learnable filter's first values: times a white window's DC (2550), about what STABILITY is.
_START = 1e-5


class FAD(nn.Module):
    """Frequency-aware Decomposition: the image as its low, middle and high band and as a whole."""

    def __init__(self, size: int) -> None:
        super().__init__()
        masks = spectral.area_masks(size, torch.device("cpu"))
        self.filters = BandFilters(torch.cat((masks, torch.ones(1, size, size))), _START)

    def forward(self, image: Tensor) -> Tensor:
        """Normalised RGB (B,3,S,S) -> (B,12,S,S), channels ordered (filter, colour)."""
        return self.filters.images(image)


def diagonal_bands(size: int, bands: int) -> Tensor:
    """(bands,N,N) of 0 and 1: i+j cut into equal parts of 0..2N, from low to high."""
    diagonal = torch.arange(size)[:, None] + torch.arange(size)[None, :]
    band = diagonal * bands // (2 * size)
    return (band == torch.arange(bands)[:, None, None]).float()


class LFS(nn.Module):
    """Local Frequency Statistics: log10 energies of a sliding window's bands, laid out as an image."""

    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding
        self.filters = BandFilters(diagonal_bands(WINDOW, WINDOW_BANDS), _START)

    def window_spectra(self, luma: Tensor) -> Tensor:
        """(B,S,S) -> orthonormal type-II DCT (B,h,w,10,10) of each window, with zeros around the image."""
        basis = spectral.dct_matrix(WINDOW, luma.device)
        padded = nn.functional.pad(luma, (self.padding,) * 4)  # (B,S+2p,S+2p)
        rows = padded.unfold(1, WINDOW, STRIDE) @ basis.T  # (B,h,S+2p,10): vertical frequencies
        return rows.unfold(2, WINDOW, STRIDE) @ basis.T  # (B,h,w,10,10)

    def forward(self, image: Tensor) -> Tensor:
        """RGB (B,3,S,S) in [0,1] -> (B,6,h,h), h = S // 2 + padding - 4."""
        luma = spectral.rgb_to_ycbcr(image.float() * 255)[:, 0] + 128  # (B,S,S), 0..255
        with spectral.exact_float32(image.device):
            spectra = self.window_spectra(luma).abs().flatten(3)  # (B,h,w,100)
            energy = spectra @ self.filters().abs().flatten(1).T  # (B,h,w,6), since |D F| = |D| |F|
            return torch.log10(energy + STABILITY).permute(0, 3, 1, 2)  # (B,6,h,w)


class MixBlock(CrossAttention):
    """Cross attention in both directions: each stream takes the other's map, weighted by their common attention."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)
        self.conv_s = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv_f = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm_s, self.norm_f = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.gamma_s, self.gamma_f = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))

    def forward(self, x_s: Tensor, x_f: Tensor) -> tuple[Tensor, Tensor]:
        """FAD's and LFS's map, (B,C,h,h) each -> the same two shapes."""
        alpha = self.attention(x_s, x_f)  # (B,C,h,h)
        to_s = self.norm_s(self.conv_s(alpha * x_f * torch.sigmoid(self.gamma_s)))
        to_f = self.norm_f(self.conv_f(alpha * x_s * torch.sigmoid(self.gamma_f)))
        return x_s + to_s, x_f + to_f


class Apart(nn.Module):
    """What stands in for MixBlock where streams do not meet."""

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        """Any maps -> themselves."""
        return maps


class Stream(nn.Module):
    """What one Xception sees of the image, and that Xception."""

    def __init__(self, front: nn.Module, trunk: XceptionTrunk) -> None:
        super().__init__()
        self.front = front
        self.trunk = trunk

    def to_middle(self, image: Tensor) -> Tensor:
        """(B,3,299,299) in [0,1] -> block 7's map (B,728,19,19)."""
        return self.trunk.to_middle(self.front(image))

    def to_exit(self, x: Tensor) -> Tensor:
        """Block 7's map -> block 12's (B,1024,10,10)."""
        return torch.as_tensor(self.trunk.exit(self.trunk.middle_second(x)))

    def pooled(self, x: Tensor) -> Tensor:
        """Block 12's map -> the last map's average (B,2048)."""
        last: Tensor = self.trunk.tail(x)  # (B,2048,10,10)
        return last.mean((2, 3))


_LAST_MAPS = {"fad": "streams.fad.trunk.tail", "lfs": "streams.lfs.trunk.tail"}


@register("f3net")
class F3Net(Detector):
    """The whole network; `pretrained` is for both Xceptions."""

    spec = DetectorSpec(
        name="f3net",
        summary="band images and local DCT statistics in two Xceptions with cross attention",
        paper="Qian, Yin, Sheng, Chen, Shao: Thinking in Frequency: Face Forgery Detection by Mining Frequency-aware "
        "Clues (ECCV 2020)",
        input_size=299,
        mean=HALF,
        std=HALF,
        pretrained=("imagenet",),
        gradcam_layers=(_LAST_MAPS["fad"], _LAST_MAPS["lfs"]),
        prefusion=(_LAST_MAPS["fad"], _LAST_MAPS["lfs"]),
        options={
            "input_size": OptionInfo(299, range(64, 1025), "side of the input in pixels"),
            "backbone": OptionInfo(
                "xception", tuple(XCEPTIONS), "network of both streams; the small one is for quick runs"
            ),
            "streams": OptionInfo("both", ("both", "fad", "lfs"), "fad or lfs: that stream alone"),
            "mix": OptionInfo("on", ("on", "off"), "off: streams do not meet before they are pooled"),
        },
    )

    def __init__(self, pretrained: str | Path | None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        size, asked = int(self.options["input_size"]), str(self.options["streams"])
        self.spec = _instance_spec(type(self).spec, size, asked)
        streams = {
            name: _stream(name, size, str(self.options["backbone"]), pretrained)
            for name in _LAST_MAPS
            if asked in (name, "both")
        }
        self.streams = nn.ModuleDict(streams)
        trunk = next(iter(streams.values())).trunk
        mixed = asked == "both" and self.options["mix"] == "on"
        self.mix_7 = MixBlock(trunk.flow_channels) if mixed else Apart()
        self.mix_12 = MixBlock(trunk.exit_channels) if mixed else Apart()
        self.classifier = nn.Linear(len(streams) * trunk.channels, 2)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of RGB (B,3,S,S) in [0,1]; ValueError where it is not as the spec says."""
        self.check_input(image, sida)
        streams = [stream for stream in self.streams.values() if isinstance(stream, Stream)]
        maps = self.mix_7(*(stream.to_middle(image) for stream in streams))  # (B,728,19,19) each
        maps = self.mix_12(
            *(stream.to_exit(x) for stream, x in zip(streams, maps, strict=True))
        )  # (B,1024,10,10)
        pooled = torch.cat([stream.pooled(x) for stream, x in zip(streams, maps, strict=True)], 1)  # (B,4096)
        return torch.as_tensor(self.classifier(pooled))  # (B,2)


def _instance_spec(spec: DetectorSpec, size: int, streams: str) -> DetectorSpec:
    spec = dataclasses.replace(spec, input_size=size)
    if streams == "both":
        return spec
    return dataclasses.replace(spec, gradcam_layers=(_LAST_MAPS[streams],), prefusion=None)


def _stream(name: str, size: int, backbone: str, pretrained: str | Path | None) -> Stream:
    if name == "fad":
        front = nn.Sequential(Normalise(F3Net.spec.mean, F3Net.spec.std), FAD(size))
        return Stream(front, XceptionTrunk(backbone, pretrained, in_channels=4 * 3))
    # The maps' sides are ceil((n-4)/8), n = size//2 + padding - 4, here and ceil((n-2)/8), n = (size-1)//2, there.
    padding = WIDER_PADDING if size % 16 in (7, 8, 9) else PADDING
    return Stream(LFS(padding), XceptionTrunk(backbone, pretrained, in_channels=WINDOW_BANDS, stem_stride=1))
