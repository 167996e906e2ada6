"""Training augmentation of the stored crop, before the image and the SIDA vector are derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch

from ffpipe.stages.statistics import face_sida

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a face in training; each value is a probability per draw.

    It is the same for both classes. The SFCL-HCMF paper augments the real class alone; were only real crops
    flipped, their recomputed statistics would tell the classes apart wherever a crop was stored downscaled.
    """

    horizontal_flip: float = 0.0


def draw_generator(seed: int, epoch: int, face: int, copy: int) -> torch.Generator:
    """The random numbers of one draw of one face: equal whatever batch, worker or thread it falls to."""
    digest = blake2b(f"{seed}:{epoch}:{face}:{copy}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def augment(
    crop: Pixels, sida: Vector | None, settings: Augmentation, generator: torch.Generator
) -> tuple[Pixels, Vector | None]:
    """An augmented copy of a stored crop (H,W,3) with the D (2304,) that belongs to its pixels.

    An untouched crop keeps the stored D, which was taken at original resolution; a changed one gets D of the
    changed crop. `sida` None means that the detector does not use D.
    """
    changed = crop
    if torch.rand((), generator=generator).item() < settings.horizontal_flip:
        changed = np.ascontiguousarray(changed[:, ::-1])
    if changed is crop or sida is None:
        return changed, sida
    return changed, face_sida([changed])[0]
