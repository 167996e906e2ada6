"""Stored crops to logits: the one way in which pixels become a network's input, and scoring in fixed batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ffpipe.manifests.records import SIDA_LENGTH, Label
from ffpipe.models.detector import Detector
from ffpipe.stages.arithmetic import REFERENCE, Arithmetic
from ffpipe.stages.window import Fit, window

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]


class Loaded(Protocol):
    """What scoring needs of loaded weights."""

    @property
    def model(self) -> Detector:
        """The network."""
        ...


def to_input(crop: Image, size: int, fit: Fit = "resize") -> Tensor:
    """A stored crop, RGB uint8 (H,W,3), as float32 (3,size,size) in [0,1].

    fit: "resize" is bilinear with antialias; "crop" takes the centre, padded by its edge pixels where the image is
    smaller. A crop of that size already keeps its values exactly. Raises ValueError for another shape or type.
    """
    if crop.dtype != np.uint8 or crop.ndim != 3 or crop.shape[2] != 3 or not crop.size:
        raise ValueError(f"a stored crop is uint8 (H,W,3), not {crop.dtype} {crop.shape}")
    if fit == "crop":
        crop = window(crop, size)
    image = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1).float()  # (3,H,W)
    if crop.shape[:2] != (size, size):
        image = functional.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]
    return image.div_(255).clamp_(0, 1)


class Scorer:
    """Scores faces with one model, always in batches of the same shape, the last one padded.

    Identical runs on one machine are bit-identical, and a face's logit does not depend on its batch beyond 1e-4
    in float32. The number of threads is the caller's. The network is kept in the order that `arithmetic` needs.
    `fit` is how the crops become its input, see `CropSettings.fit`. `compiled` runs it through torch.compile, which
    the first batch waits for.
    """

    def __init__(
        self,
        loaded: Loaded,
        device: torch.device | str = "cpu",
        batch_size: int = 8,
        arithmetic: Arithmetic = REFERENCE,
        fit: Fit = "resize",
        compiled: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch size {batch_size}; allowed: 1 or more")
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.arithmetic = arithmetic
        self.fit: Fit = fit
        self._model = loaded.model.to(self.device).eval()
        arithmetic.arrange(self._model)
        self._spec = loaded.model.spec
        self._run: Callable[..., Tensor] = self._model
        if compiled:
            # In this process: helpers of the compiler would fight over the cores with the other workers.
            self._run = torch.compile(self._model, dynamic=False, options={"compile_threads": 1})

    @property
    def needs_sida(self) -> bool:
        """Whether the network reads D."""
        return self._spec.needs_sida

    def score(self, crops: Sequence[Image], sida: Vector) -> Vector:
        """Logits (n,), fake minus real, of n stored crops and their D (n,2304).

        Raises ValueError for shapes that do not fit, FloatingPointError where the network gives no number.
        """
        if sida.shape != (len(crops), SIDA_LENGTH):
            raise ValueError(
                f"{len(crops)} crops need D of shape ({len(crops)}, {SIDA_LENGTH}), got {sida.shape}"
            )
        logits = np.empty(len(crops), np.float32)
        for start in range(0, len(crops), self.batch_size):
            part = slice(start, start + self.batch_size)
            logits[part] = self._batch(crops[part], sida[part])
        if not np.isfinite(logits).all():
            raise FloatingPointError("the network gave a score that is no number")
        return logits

    def _batch(self, crops: Sequence[Image], sida: Vector) -> Vector:
        images = torch.zeros(self.batch_size, 3, self._spec.input_size, self._spec.input_size)
        statistics = torch.zeros(self.batch_size, SIDA_LENGTH)
        for row, crop in enumerate(crops):
            images[row] = to_input(crop, self._spec.input_size, self.fit)
        statistics[: len(crops)] = torch.from_numpy(np.array(sida, np.float32))
        # The first face fills the rest: ordinary values, where a blank image could upset a logarithm.
        images[len(crops) :], statistics[len(crops) :] = images[0], statistics[0]
        with torch.inference_mode(), self.arithmetic.active(self.device):
            given = statistics.to(self.device) if self._spec.needs_sida else None
            logits = self._run(self.arithmetic.images(images.to(self.device)), given).float()  # (B,2)
        difference = logits[:, Label.FAKE] - logits[:, Label.REAL]
        scored: Vector = difference[: len(crops)].cpu().numpy()
        return scored


def probability(logits: Vector) -> Vector:
    """Scores (n,) in [0,1]: the softmax of two logits is the logistic function of their difference."""
    scores: Vector = (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)
    return scores
