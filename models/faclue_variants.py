"""What table 3 of FAClue puts in the place of its modules: two frequency inputs and two enhancements.

FAClue only names their papers ([7] RFAM and its filters, [10] PEL's band gathering and its MEM); these are their ideas
in the shapes that FAClue needs, and differ from the originals in detail.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffpipe.models import spectral
from ffpipe.models.band_filters import BandFilters

STREAM_CHANNELS = 6  # as many as the FAE that they replace puts out
_COLOURS = 3
_BANDS = 3


class FilterBank(nn.Module):
    """FAE -> FB: three bands of the full-image DCT, each with a learnable filter added, back as images.

    The bands are F3-Net's, cut by area. Each filter starts at 0 and serves all colours.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.filters = BandFilters(spectral.area_masks(size, torch.device("cpu")))
        self.mix = nn.Conv2d(_BANDS * _COLOURS, STREAM_CHANNELS, 1, bias=False)

    def forward(self, ycbcr: Tensor) -> Tensor:
        """(B,3,S,S) -> (B,6,S,S)."""
        bands = self.filters.images(ycbcr)  # (B,9,S,S): low, middle and high band, three colours each
        return torch.as_tensor(self.mix(bands))


class BandGather(nn.Module):
    """FAE -> BG: coefficients of the 8x8 block DCT gathered by frequency into channels, then mixed and enlarged."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(_COLOURS * spectral.BANDS, STREAM_CHANNELS, 1, bias=False)

    def gather(self, ycbcr: Tensor) -> Tensor:
        """(B,3,8h,8w) -> (B,192,h,w) in float32: colour by colour the 64 frequencies, row by row."""
        batch, colours, height, width = ycbcr.shape
        side = spectral.BLOCK
        blocks = ycbcr.reshape(batch, colours, height // side, side, width // side, side).transpose(3, 4)
        coefficients = spectral.full_dct(blocks)  # (B,3,h,w,8,8)
        return coefficients.permute(0, 1, 4, 5, 2, 3).flatten(1, 3)

    def forward(self, ycbcr: Tensor) -> Tensor:
        """(B,3,8h,8w) -> (B,6,8h,8w)."""
        mixed = self.mix(self.gather(ycbcr))  # (B,6,h,w)
        return functional.interpolate(mixed, scale_factor=float(spectral.BLOCK), mode="bilinear")


def _joint(channels: int, kernel: int) -> nn.Sequential:
    """Both domains' maps, concatenated, to one of a domain's width."""
    return nn.Sequential(
        nn.Conv2d(2 * channels, channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


class RFAM(nn.Module):
    """RFCE -> RFAM: both domains seen together give each a map of positions, which it is enhanced by."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.joint = _joint(channels, 3)
        self.maps = nn.Conv2d(channels, 2, 1)

    def forward(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B,C,h,w) -> two (B,C,h,w): F_k + F_k * map_k."""
        maps = torch.sigmoid(self.maps(self.joint(torch.cat((rgb, freq), 1))))  # (B,2,h,w)
        return rgb + rgb * maps[:, :1], freq + freq * maps[:, 1:]


class MEM(nn.Module):
    """RFCE -> MEM: both domains seen together say what each takes over from the other."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.joint = _joint(channels, 1)
        self.map_rgb = nn.Conv2d(channels, channels, 1)
        self.map_freq = nn.Conv2d(channels, channels, 1)

    def forward(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Two (B,C,h,w) -> two (B,C,h,w): each plus the other times its own map (B,C,h,w)."""
        joint = self.joint(torch.cat((rgb, freq), 1))  # (B,C,h,w)
        to_rgb, to_freq = torch.sigmoid(self.map_rgb(joint)), torch.sigmoid(self.map_freq(joint))
        return rgb + freq * to_rgb, freq + rgb * to_freq


class NoEnhancement(nn.Module):
    """w/o RFCE: the domains do not meet before they are fused."""

    def forward(self, rgb: Tensor, freq: Tensor) -> tuple[Tensor, Tensor]:
        """Both as they are."""
        return rgb, freq
