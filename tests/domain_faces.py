"""Pictures of a domain made of one photograph, and what shifts them out of it; a reference of them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

from ffpipe.models import checkpoint
from ffpipe.pipeline.weights import REFERENCE_HASH, Weights
from ffpipe.stages.domain import Bound, Reference, fit_reference, spread_of, upper_bound
from ffpipe.stages.reference_file import REFERENCE, to_bytes
from ffpipe.stages.statistics import face_sida

SIDE = 64


def pictures(count: int, seed: int) -> list[np.ndarray]:
    """Pieces of a face at odd places, of odd brightness, with a camera's noise, compressed as JPEG."""
    random = np.random.default_rng(seed)
    face = data.astronaut()[60:180, 160:280]
    made = []
    for _ in range(count):
        top, left = random.integers(0, len(face) - SIDE, 2)
        piece = face[top : top + SIDE, left : left + SIDE] * random.uniform(0.7, 1.1)
        noisy = piece + random.normal(0, random.uniform(1, 3), piece.shape)
        made.append(jpeg(noisy.clip(0, 255).astype(np.uint8), int(random.integers(80, 96))))
    return made


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    sink = io.BytesIO()
    Image.fromarray(image).save(sink, "JPEG", quality=quality)
    return np.array(Image.open(sink))


def noised(image: np.ndarray) -> np.ndarray:
    random = np.random.default_rng(int(image.sum()))
    return (image + random.normal(0, 15, image.shape)).clip(0, 255).astype(np.uint8)


SHIFTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 2.0),
    "noised": noised,
    "other codec": lambda image: jpeg(image, 8),
}


@cache
def sida(count: int, seed: int, shift: str | None = None) -> np.ndarray:
    change = SHIFTS[shift] if shift else lambda image: image
    return face_sida([np.ascontiguousarray(change(image)) for image in pictures(count, seed)])


@cache
def reference(model_id: str = "") -> Reference:
    """Of 120 training pictures, with a limit of 60 held-out ones, each its own group."""
    train = sida(120, 0)
    gaussian, bands = fit_reference({"real": train[:60], "fake": train[60:]})
    draft = Reference(gaussian, Bound(None, 0, 0, "none yet"), bands, {}, {"real": 60, "fake": 60}, model_id)
    names = [f"g{k}" for k in range(60)]
    spreads = {
        "crop_side": spread_of([80.0 + k for k in range(60)], names),
        "sharpness": spread_of([50.0] * 60, names),
    }
    bound = upper_bound(draft.distance(sida(60, 1)).tolist(), names)
    return Reference(gaussian, bound, bands, spreads, {"real": 60, "fake": 60}, model_id)


def add_reference(folder: Path) -> Reference:
    """Give a model folder the reference, as training stores it; what is loaded from it."""
    data = to_bytes(reference(checkpoint.load(folder).model_id))
    (folder / REFERENCE).write_bytes(data)
    config = {
        **json.loads((folder / checkpoint.CONFIG).read_bytes()),
        REFERENCE_HASH: checkpoint.content_id(data),
    }
    rewrite(folder, checkpoint.CONFIG, json.dumps(config).encode())
    loaded = Weights.load(folder).reference
    assert loaded is not None
    return loaded


def rewrite(folder: Path, file: str, data: bytes) -> None:
    """Another content of a model's file, under its hash."""
    hashes = json.loads((folder / checkpoint.HASHES).read_bytes())
    (folder / file).write_bytes(data)
    (folder / checkpoint.HASHES).write_text(json.dumps({**hashes, file: checkpoint.content_id(data)}))
