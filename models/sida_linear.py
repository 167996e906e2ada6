"""sida-linear: logistic regression on the statistics D alone, the cheap reference that a deep model has to beat.

D is that of SFCL-HCMF (Qiao, Tian, Wang), section 3.2.1; the classifier on it alone is no paper's.

Noted: a column that is constant in training (the 64th intra map always is) keeps its scale, as scikit-learn's
    StandardScaler does it: divided by a deviation that is rounding noise, it could outweigh all others later.
Noted: until `fit_statistics` is called, mean is 0 and deviation 1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ffpipe.models import spectral
from ffpipe.models.detector import Detector, DetectorSpec, OptionInfo, OptionValue
from ffpipe.models.registry import register
from ffpipe.models.sida import SIDA_SIZE, compress_sida

CONSTANT_STD = 1e-3  # of compressed D: about 0.1% of a statistic near 1, and far above its rounding


class Standardise(nn.Module):
    """(x - mean) / std per column, with the measured constants in the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))

    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take mean and population deviation of (n,width) batches, summed in float64 by Chan's parallel formula.

        Columns that deviate by less than CONSTANT_STD keep a scale of 1. Raises ValueError where there are no rows,
        or not `width` columns.
        """
        count = 0
        mean = torch.zeros_like(self.mean, dtype=torch.float64)
        squares = torch.zeros_like(mean)  # summed squared deviations from the mean
        for batch in batches:
            if batch.ndim != 2 or batch.shape[1:] != self.mean.shape:
                raise ValueError(f"expected rows of {len(self.mean)} values, got {tuple(batch.shape)}")
            if not len(batch):
                continue
            rows = batch.to(mean)
            rows_mean = rows.mean(0)
            shift, before, count = rows_mean - mean, count, count + len(rows)
            mean += shift * (len(rows) / count)
            squares += ((rows - rows_mean) ** 2).sum(0) + shift**2 * (before * len(rows) / count)
        if not count:
            raise ValueError("there are no rows to take mean and deviation of")
        std = (squares / count).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(std.masked_fill(std < CONSTANT_STD, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B,width) -> (B,width)."""
        return (x - self.mean) / self.std


@register("sida-linear")
class SidaLinear(Detector):
    """Compression, standardisation and one linear layer, in float32; it does not look at the image."""

    spec = DetectorSpec(
        name="sida-linear",
        summary="logistic regression on the statistics D alone, the reference that any network must beat",
        paper="none; D is that of Qiao, Tian, Wang: Towards Generalizable Deepfake Detection with Spatial-Frequency "
        "Collaborative Learning and Hierarchical Cross-Modal Fusion",
        input_size=64,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        needs_sida=True,
        options={
            "input_size": OptionInfo(
                64, range(16, 1025), "side of the image in pixels, which is passed in and not looked at"
            )
        },
    )

    def __init__(self, pretrained: None = None, **options: OptionValue) -> None:
        super().__init__()
        self.options = type(self).spec.resolve(options)
        self.spec = dataclasses.replace(type(self).spec, input_size=int(self.options["input_size"]))
        self.standardise = Standardise(SIDA_SIZE)
        self.classifier = nn.Linear(SIDA_SIZE, 2)

    def fit_statistics(self, sida: Iterable[Tensor]) -> None:
        """Standardise with mean and deviation of the compressed D of `sida`, batches (n,2304) of training faces.

        Raises ValueError where there are none, or they are not D.
        """
        self.standardise.fit(compress_sida(batch.double()) for batch in sida)

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of D (B,2304), of whatever image; ValueError where either is not as the spec says."""
        self.check_input(image, sida)
        with spectral.exact_float32(image.device):
            standard = self.standardise(compress_sida(torch.as_tensor(sida).float()))  # (B,2304)
            return torch.as_tensor(self.classifier(standard))  # (B,2)
