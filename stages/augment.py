"""Training augmentation of the stored crop, before the image and the SIDA vector are derived from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from hashlib import blake2b

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from ffpipe.stages.statistics import face_sida

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[np.float32]

#: Settings that are strengths of colour jitter, with the most that torchvision allows; the others are probabilities.
STRENGTHS = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}
_WORDS = {
    "horizontal_flip": "mirrored",
    "vertical_flip": "turned upside down",
    "grayscale": "made grey",
    "jitter": "jittered in colour",
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a face in training; the first four are probabilities per draw, the rest strengths.

    `jitter` is the probability of colour jitter, whose factors are drawn from 1 - strength to 1 + strength, that of
    hue from -strength to strength of a turn, as torchvision's ColorJitter does.

    It is the same for both classes. The SFCL-HCMF paper augments the real class alone; were only real crops
    flipped, their recomputed statistics would tell the classes apart wherever a crop was stored downscaled.
    Raises ValueError, naming the setting and what is allowed.
    """

    horizontal_flip: float = 0.0
    vertical_flip: float = 0.0
    grayscale: float = 0.0
    jitter: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), STRENGTHS.get(field.name, 1.0)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
                raise ValueError(
                    f"augmentation.{field.name}={value!r}: a number from 0 to {most:g} is allowed"
                )

    def describe(self) -> str:
        """What happens, in words; empty where nothing does."""
        values = asdict(self)
        parts = [f"{word} with probability {values[name]:g}" for name, word in _WORDS.items() if values[name]]
        strengths = ", ".join(f"{name} {values[name]:g}" for name in STRENGTHS if values[name])
        return ", ".join(parts) + (f" ({strengths})" if self.jitter and strengths else "")


def draw_generator(seed: int, epoch: int, face: int, copy: int) -> torch.Generator:
    """The random numbers of one draw of one face: equal whatever batch, worker or thread it falls to."""
    digest = blake2b(f"{seed}:{epoch}:{face}:{copy}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    """NumPy's generator, seeded by the next number of a draw's."""
    return np.random.default_rng(int(torch.randint(1 << 62, (1,), generator=generator)))


def augment(
    crop: Pixels, sida: Vector | None, settings: Augmentation, generator: torch.Generator
) -> tuple[Pixels, Vector | None]:
    """An augmented copy of a stored crop (H,W,3) with the D (2304,) that belongs to its pixels.

    An untouched crop keeps the stored D, which was taken at original resolution; a changed one gets D of the
    changed crop. `sida` None means that the detector does not use D. The generator gives the same numbers whatever
    the crop and the settings, so that generators of one seed treat both images of a pair alike.
    """
    changes = _draw(settings, generator)
    if not changes:
        return crop, sida
    image = torch.tensor(crop).permute(2, 0, 1)  # (H,W,3) -> (3,H,W), a copy
    for change in changes:
        image = change(image)
    changed = np.ascontiguousarray(image.permute(1, 2, 0).numpy())  # (3,H,W) -> (H,W,3)
    return changed, None if sida is None else face_sida([changed])[0]


Change = Callable[[Tensor], Tensor]


def _draw(settings: Augmentation, generator: torch.Generator) -> list[Change]:
    """What happens in this draw, in order: flips, grey, then the colour changes in an order of their own."""
    chances = torch.rand(4, generator=generator).tolist()
    places = torch.rand(4, generator=generator).tolist()
    order = torch.randperm(4, generator=generator).tolist()
    changes: list[Change] = []
    if chances[0] < settings.horizontal_flip:
        changes.append(functional.horizontal_flip)
    if chances[1] < settings.vertical_flip:
        changes.append(functional.vertical_flip)
    if chances[2] < settings.grayscale:
        changes.append(_to_grey)
    if chances[3] < settings.jitter:
        colours = _colours(settings, places)
        changes += [colours[i] for i in order if i in colours]
    return changes


def _to_grey(image: Tensor) -> Tensor:
    grey: Tensor = functional.rgb_to_grayscale(image, num_output_channels=3)
    return grey


def _colours(settings: Augmentation, places: list[float]) -> dict[int, Change]:
    """The colour changes of non-zero strength; `places` in [0, 1) say where in its range each factor lies."""

    def change(adjust: Callable[[Tensor, float], Tensor], factor: float) -> Change:
        return lambda image: adjust(image, factor)

    adjusts = (
        functional.adjust_brightness,
        functional.adjust_contrast,
        functional.adjust_saturation,
        functional.adjust_hue,
    )
    changes: dict[int, Change] = {}
    for i, (name, adjust) in enumerate(zip(STRENGTHS, adjusts, strict=True)):
        strength: float = getattr(settings, name)
        if strength:
            middle = 0.0 if name == "hue" else 1.0
            changes[i] = change(adjust, middle + strength * (2 * places[i] - 1))
    return changes
