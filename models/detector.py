"""The contract that every detector keeps, and the description of one: input, options, paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor, nn

LABELS = ("real", "fake")  # order of the logits; score = softmax(logits)[:, 1]
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)  # mean and deviation that Xception's published weights were trained with

OptionValue = str | int


@dataclass(frozen=True)
class OptionInfo:
    """One option of a detector: its default, what is allowed (names, or an integer range), and a line of help.

    `allowed` is a tuple of names, or a `range` of integers.
    """

    default: OptionValue
    allowed: tuple[str, ...] | range
    help: str

    def check(self, name: str, value: object) -> OptionValue:
        """Returns `value` in its own type (command lines give text); ValueError says what is allowed."""
        if isinstance(self.allowed, range):
            number = _as_integer(value)
            if number is None or number not in self.allowed:
                raise ValueError(f"option {name}={value!r}: {self.describe()} is allowed")
            return number
        text = str(value) if isinstance(value, str | int) else None  # names of digits may come as numbers
        if text not in self.allowed:
            raise ValueError(f"option {name}={value!r}: {self.describe()} is allowed")
        return text

    def describe(self) -> str:
        """What is allowed, in words."""
        if isinstance(self.allowed, range):
            step = f" in steps of {self.allowed.step}" if self.allowed.step > 1 else ""
            return f"an integer from {self.allowed[0]} to {self.allowed[-1]}{step}"
        return "one of " + ", ".join(self.allowed)


def _as_integer(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return None
    return None


@dataclass(frozen=True)
class DetectorSpec:
    """What a caller has to know of a detector, without building it.

    `input_size` is the side of the square input in pixels; an instance's spec has the size it was built with.
    `mean` and `std` are applied inside `forward`, to RGB in [0,1]. `needs_sida`: forward needs D (B,2304).
    `gradcam_layers` are dotted names of modules whose output maps (B,C,h,w) suit Grad-CAM, the first being the
    default; none where a detector has no maps. `prefusion` names the modules whose outputs are the spatial and the
    frequency map (B,C,h,w) that the detector fuses, and `fused` the one that puts out what they are fused to, where
    that is a map; detectors without have no such maps and cannot be distilled. Modules are called in each forward
    pass, also where an option makes them do nothing.
    """

    name: str
    summary: str
    paper: str
    input_size: int
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    needs_sida: bool = False
    pretrained: tuple[str, ...] = ()
    gradcam_layers: tuple[str, ...] = ()
    prefusion: tuple[str, str] | None = None
    fused: str | None = None
    options: Mapping[str, OptionInfo] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))

    def __reduce__(self) -> tuple[type[DetectorSpec], tuple[object, ...]]:
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        return type(self), (*values[:-1], dict(self.options))

    def resolve(self, options: Mapping[str, object]) -> dict[str, OptionValue]:
        """All options with defaults filled in; ValueError for an unknown option or value, naming what is allowed."""
        unknown = sorted(set(options) - set(self.options))
        if unknown:
            allowed = ", ".join(sorted(self.options)) or "none"
            raise ValueError(f"{self.name} has no option {', '.join(unknown)}; it has: {allowed}")
        return {
            name: info.check(name, options[name]) if name in options else info.default
            for name, info in self.options.items()
        }


class Detector(nn.Module):
    """Base of all detectors: `forward(image, sida=None)` -> logits (B,2), index 0 real, 1 fake.

    `image` is float RGB (B,3,S,S) in [0,1], S = `spec.input_size`; `sida` is D (B,2304) as stored, and required
    where `spec.needs_sida`. A subclass has the class attribute `spec`, takes resolved options as keyword
    arguments plus `pretrained`, and sets its instance's `spec` and `options`.
    """

    spec: DetectorSpec
    options: Mapping[str, OptionValue]

    def forward(self, image: Tensor, sida: Tensor | None = None) -> Tensor:
        """Logits (B,2) of float RGB (B,3,S,S) in [0,1] and D (B,2304)."""
        raise NotImplementedError

    def fit_statistics(self, sida: Iterable[Tensor]) -> None:
        """Set what is measured on training data rather than learnt; called once, before training.

        `sida` has the D of the training faces in batches (n,2304), not augmented. What is set belongs to the state
        dict. Nothing is done here, and `sida` not read: most detectors measure nothing.
        """

    def gradcam_layer(self) -> nn.Module:
        """The module whose output map Grad-CAM weights by default; ValueError for a detector without maps."""
        if not self.spec.gradcam_layers:
            raise ValueError(f"{self.spec.name} has no map that Grad-CAM could weight")
        return self.get_submodule(self.spec.gradcam_layers[0])

    def check_input(self, image: Tensor, sida: Tensor | None) -> None:
        """ValueError where `image` or `sida` is not what the spec says."""
        size = self.spec.input_size
        if image.ndim != 4 or image.shape[1:] != (3, size, size) or not image.is_floating_point():
            raise ValueError(
                f"{self.spec.name} takes float images (B,3,{size},{size}) in [0,1], "
                f"got {image.dtype} {tuple(image.shape)}"
            )
        if not self.spec.needs_sida:
            return
        if sida is None:
            raise ValueError(f"{self.spec.name} needs the SIDA statistics D (B,2304): forward(image, sida)")
        if sida.shape != (image.shape[0], 2304):
            raise ValueError(f"sida must be ({image.shape[0]},2304), got {tuple(sida.shape)}")


class Normalise(nn.Module):
    """(x - mean) / std per channel, with the constants outside the state dict."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """(B,3,H,W) -> (B,3,H,W)."""
        return (image - self.mean) / self.std
