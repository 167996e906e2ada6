"""Training augmentation of the stored crop, before the image and the SIDA vector are derived from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, asdict, dataclass, fields
from hashlib import blake2b
from typing import Any

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
#: Damage (`stages.perturb`) in the order in which a picture meets it, and the setting that holds its strengths.
DAMAGE = {
    "resize": "resize_scale",
    "blur": "blur_sigma",
    "noise": "noise_std",
    "h264": "h264_crf",
    "jpeg": "jpeg_quality",
}
_DAMAGE_WORDS = {
    "resize": "made smaller (to {} of its sides) and enlarged back",
    "blur": "blurred (sigma {} pixels)",
    "noise": "made noisy (deviation {} grey levels)",
    "h264": "compressed as an H.264 key frame (rate factor {})",
    "jpeg": "compressed as JPEG (quality {})",
}
#: Least and most strength.
Range = tuple[float, float]
_WORDS = {
    "horizontal_flip": "mirrored",
    "vertical_flip": "turned upside down",
    "grayscale": "made grey",
    "jitter": "jittered in colour",
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What may happen to a face in training: probabilities per draw, and strengths.

    `jitter` is the probability of colour jitter, whose factors are drawn from 1 - strength to 1 + strength, that of
    hue from -strength to strength of a turn, as torchvision's ColorJitter does. `resize`, `blur`, `noise`, `h264` and
    `jpeg` are probabilities of damage (`stages.perturb`) that comes last; the setting behind each is the range that
    its strength is drawn from evenly.

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
    resize: float = 0.0
    resize_scale: Range = (0.35, 1.0)
    blur: float = 0.0
    blur_sigma: Range = (0.3, 2.0)
    noise: float = 0.0
    noise_std: Range = (1.0, 8.0)
    h264: float = 0.0
    h264_crf: Range = (18.0, 40.0)
    jpeg: float = 0.0
    jpeg_quality: Range = (30.0, 95.0)

    def __post_init__(self) -> None:
        for kind, name in DAMAGE.items():
            self._check_range(kind, name)
        for field in fields(self):
            if field.name in DAMAGE.values():
                continue
            value, most = getattr(self, field.name), STRENGTHS.get(field.name, 1.0)
            if not _is_number(value) or not 0 <= value <= most:
                raise ValueError(
                    f"augmentation.{field.name}={value!r}: a number from 0 to {most:g} is allowed"
                )

    def _check_range(self, kind: str, name: str) -> None:
        """A range as a tuple; TOML has lists. Of the damage's module only what was changed needs the limits."""
        value = getattr(self, name)
        if value == type(self).__dataclass_fields__[name].default:
            return
        from ffpipe.stages.perturb import KINDS

        known = KINDS[kind]
        numbers = isinstance(value, list | tuple) and all(_is_number(each) for each in value)
        if not numbers or len(value) != 2 or not known.least <= value[0] <= value[1] <= known.most:
            raise ValueError(
                f"augmentation.{name}={value!r} ({known.unit}): two numbers, the lower one first, from {known.least:g} "
                f"to {known.most:g} are allowed"
            )
        object.__setattr__(self, name, (float(value[0]), float(value[1])))

    def to_json(self) -> dict[str, Any]:
        """Every setting; of damage, which came later, what is not as usual, so that older recipes look as before."""
        later = {*DAMAGE, *DAMAGE.values()}
        usual: dict[str, Field[Any]] = type(self).__dataclass_fields__
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
            if name not in later or value != usual[name].default
        }

    def describe(self) -> str:
        """What happens, in words; empty where nothing does."""
        values = asdict(self)
        parts = [f"{word} with probability {values[name]:g}" for name, word in _WORDS.items() if values[name]]
        strengths = ", ".join(f"{name} {values[name]:g}" for name in STRENGTHS if values[name])
        if self.jitter and strengths:
            parts[-1] += f" ({strengths})"
        for kind, name in DAMAGE.items():
            if values[kind]:
                low, high = values[name]
                what = _DAMAGE_WORDS[kind].format(f"{low:g} to {high:g}")
                parts.append(f"{what} with probability {values[kind]:g}")
        return ", ".join(parts)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
    damage = _draw_damage(settings, generator)
    if not changes and not damage:
        return crop, sida
    image = torch.tensor(crop).permute(2, 0, 1)  # (H,W,3) -> (3,H,W), a copy
    for change in changes:
        image = change(image)
    changed = np.ascontiguousarray(image.permute(1, 2, 0).numpy())  # (3,H,W) -> (H,W,3)
    if damage:
        changed = _damaged(changed, damage, numpy_generator(generator))
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


def _draw_damage(settings: Augmentation, generator: torch.Generator) -> list[tuple[str, float]]:
    """Kinds and strengths of damage in this draw; its numbers come last, so that without it a draw is as it was."""
    if not any(getattr(settings, kind) for kind in DAMAGE):
        return []
    chances, places = torch.rand(2, len(DAMAGE), generator=generator).tolist()
    drawn = []
    for (kind, name), chance, place in zip(DAMAGE.items(), chances, places, strict=True):
        if chance < getattr(settings, kind):
            low, high = getattr(settings, name)
            drawn.append((kind, low + (high - low) * place))
    return drawn


def _damaged(crop: Pixels, damage: list[tuple[str, float]], random: np.random.Generator) -> Pixels:
    # Needs decoders, which the training loop can do without.
    from ffpipe.stages.perturb import Perturbation

    for kind, strength in damage:
        crop = Perturbation(kind, strength).apply(crop, random)
    return crop


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
