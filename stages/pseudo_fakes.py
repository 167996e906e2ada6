"""What happens to every face of a training that makes fakes of real ones, so that nothing but the blend tells them.

A blend is made of pixels of which one part was changed in colour and sharpness (`photometric.py`), it is stored again
after a lossy compression, and its statistics come from its own pixels. Were the faces beside it left alone, each of
these would give it away. So every face goes through them: one that is not blended is changed as a whole as often as
either part of a blend is; compression and statistics are the same for all.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ffpipe.stages.face_shape import FaceShape
from ffpipe.stages.perturb import Perturbation
from ffpipe.stages.photometric import change_photometry
from ffpipe.stages.self_blend import self_blend

Pixels = npt.NDArray[np.uint8]

#: How often a face that is not blended is changed as a whole: of a blend one of two parts is.
CHANGED_SHARE = 0.5
#: How often a face is compressed again, and at which JPEG quality, from and to.
RECOMPRESSED_SHARE, QUALITIES = 0.5, (40.0, 100.0)


def before_augmentation(crop: Pixels, shape: FaceShape, blended: bool, random: np.random.Generator) -> Pixels:
    """A real crop (H,W,3) blended with itself, or any crop not blended but changed like a part of a blend."""
    if blended:
        return self_blend(crop, shape, random).pixels
    changed = random.random() < CHANGED_SHARE
    return change_photometry(crop, random) if changed else crop


def recompressed(crop: Pixels, random: np.random.Generator) -> Pixels:
    """The crop as it is or after JPEG of a random quality, blended or not; it takes two random numbers."""
    chance, quality = random.random(), random.uniform(*QUALITIES)
    return Perturbation("jpeg", quality).apply(crop, random) if chance < RECOMPRESSED_SHARE else crop
