"""Names of detectors: each file in this folder registers its own, callers build them by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ffpipe.models.detector import Detector, DetectorSpec
from ffpipe.models.errors import PretrainedError
from ffpipe.models.pretrained import TIMM_WEIGHTS

_DETECTORS: dict[str, type[Detector]] = {}

DetectorType = TypeVar("DetectorType", bound=type[Detector])


def register(name: str) -> Callable[[DetectorType], DetectorType]:
    """Class decorator: makes a detector known by `name`, which its spec has to carry too."""

    def add(cls: DetectorType) -> DetectorType:
        if name in _DETECTORS:
            raise ValueError(f"detector {name} is registered twice")
        if cls.spec.name != name:
            raise ValueError(f"detector registered as {name}, but its spec says {cls.spec.name}")
        _DETECTORS[name] = cls
        return cls

    return add


def list_detectors() -> list[str]:
    """Registered names, sorted."""
    return sorted(_DETECTORS)


def detector_info(name: str) -> DetectorSpec:
    """The spec of a detector with its default options; ValueError for an unknown name."""
    return _find(name).spec


def create_detector(name: str, pretrained: str | Path | None = None, **options: object) -> Detector:
    """Build a detector.

    `pretrained`: None for random weights, one of `spec.pretrained` for timm's own, else a local safetensors file of
    the backbone.
    ValueError for an unknown name, option or value, saying what is allowed; PretrainedError (a ValueError) where
    pretrained weights cannot be had or do not fit, or the detector has no backbone to take them.
    """
    cls = _find(name)
    if pretrained is not None and not cls.spec.pretrained:
        raise PretrainedError(f"{name} has no backbone that takes pretrained weights: --pretrained none")
    if pretrained in TIMM_WEIGHTS and pretrained not in cls.spec.pretrained:
        raise PretrainedError(
            f"--pretrained {pretrained}: published weights of {name} are {', '.join(cls.spec.pretrained)}"
        )
    resolved = cls.spec.resolve(options)
    return cls(pretrained=pretrained, **resolved)


def _find(name: str) -> type[Detector]:
    if name not in _DETECTORS:
        raise ValueError(f"no detector called {name!r}; there are: {', '.join(list_detectors())}")
    return _DETECTORS[name]
