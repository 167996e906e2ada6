"""The heat maps of one medium's faces, each computed once and held as the 8-bit picture that is stored and drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import SIDA_LENGTH, FaceRecord
from ffpipe.models.detector import Detector
from ffpipe.pipeline.output import Advance
from ffpipe.stages.crop import decode_crop
from ffpipe.stages.explain import HeatMap, Target, explain_face, gradcam, telling_layer, to_levels
from ffpipe.stages.infer import Loaded
from ffpipe.stages.window import Fit


class HeatMaps:
    """Grad-CAM maps by face. Memory grows with compressed 8-bit maps, which are small beside the crops."""

    def __init__(self, loaded: Loaded, layer: str | None, target: Target, fit: Fit) -> None:
        """Of a detector without maps there are none, unless a layer is asked for.

        Raises UsageError for a layer that gives no map, naming those that do.
        """
        self._loaded, self.target, self._fit = loaded, target, fit
        offered = loaded.model.spec.gradcam_layers
        self.layer = layer or next(iter(offered), None)
        self._asked = layer is not None
        self._stored: dict[str, bytes] = {}
        self._empty: set[str] = set()
        if self.layer is not None:
            _try(loaded.model, self.layer, target)

    @property
    def detector(self) -> str:
        """The detector's name."""
        return self._loaded.model.spec.name

    @property
    def offered(self) -> bool:
        """Whether there are maps at all."""
        return self.layer is not None

    def settle(self, face: FaceRecord) -> None:
        """Where no layer was asked for, take the one that tells something of this face. Raises FloatingPointError."""
        if self.layer is not None and not self._asked:
            crop = decode_crop(face.crop)
            self.layer = telling_layer(self._loaded, crop, face.sida, self.target, self._fit)

    def compute(self, faces: Sequence[FaceRecord], advance: Advance | None) -> None:
        """Find the maps of these faces, where there are maps at all. Raises FloatingPointError."""
        if self.layer is None:
            return
        for done, face in enumerate(faces, 1):
            heat = explain_face(
                self._loaded, decode_crop(face.crop), face.sida, self.layer, self.target, self._fit
            )
            levels = to_levels(heat)
            self._stored[face.face_id] = _png(levels)
            if not levels.any():
                self._empty.add(face.face_id)
            if advance:
                advance(done, len(faces), "")

    def png(self, face: FaceRecord) -> bytes | None:
        """A face's map as PNG of 8-bit grey, as large as its stored crop, 255 at its maximum; None for none."""
        return self._stored.get(face.face_id)

    def is_empty(self, face: FaceRecord) -> bool | None:
        """Whether nothing in the face speaks for the target, None where there is no map."""
        return face.face_id in self._empty if face.face_id in self._stored else None

    def of(self, face: FaceRecord) -> HeatMap | None:
        """The same as float32 (H,W) in [0,1]."""
        stored = self.png(face)
        if stored is None:
            return None
        heat: HeatMap = np.asarray(Image.open(io.BytesIO(stored)), np.float32) / np.float32(255)
        return heat


def _try(model: Detector, layer: str, target: Target) -> None:
    """Ask for one map of noise, so that a layer which has none is refused before anything is decoded."""
    size = model.spec.input_size
    noise = torch.rand((1, 3, size, size), generator=torch.Generator().manual_seed(0))
    device = next(model.parameters()).device
    sida = torch.ones((1, SIDA_LENGTH), device=device) if model.spec.needs_sida else None
    try:
        gradcam(model.eval(), noise.to(device), sida, layer, target)
    except ValueError as error:
        raise UsageError(f"--layer {layer}: {error}") from None
    except FloatingPointError:
        return  # of noise; a face's map is another matter


def _png(levels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(levels).save(content, "PNG")
    return content.getvalue()
