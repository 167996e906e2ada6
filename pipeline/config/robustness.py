"""Settings of `ffpipe robustness`."""

from __future__ import annotations

from pydantic import Field, field_validator

from ffpipe.pipeline.config.trained import EvaluateConfig
from ffpipe.stages.perturb import KINDS, Perturbation

_DEFAULTS = "; ".join(f"{kind} {','.join(f'{x:g}' for x in known.levels)}" for kind, known in KINDS.items())


class RobustnessConfig(EvaluateConfig):
    """Settings of `ffpipe robustness`: those of an evaluation, and what is done to its faces."""

    perturb: tuple[str, ...] = Field(
        default=(),
        description=f"A curve: {', '.join(KINDS)}, or one at levels of your own, such as h264=23,40; repeatable. "
        f"Default: all ({_DEFAULTS}).",
    )
    faces: int | None = Field(
        default=None,
        ge=2,
        description="At most N faces: fewer frames of each video first, then fewer videos. Default: all stored.",
    )
    controls: bool = Field(default=True, description="Measure the controls too.")

    @field_validator("perturb")
    @classmethod
    def _known(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        curves_of(given)
        return given

    def curves(self) -> dict[str, tuple[Perturbation, ...]]:
        """What is done, by kind, in the order given."""
        return curves_of(self.perturb)


def curves_of(given: tuple[str, ...]) -> dict[str, tuple[Perturbation, ...]]:
    """`kind` or `kind=level,level` as perturbations by kind; all kinds where none is given. Raises ValueError."""
    curves: dict[str, tuple[Perturbation, ...]] = {}
    for text in given or tuple(KINDS):
        kind, _, levels = text.partition("=")
        if kind not in KINDS:
            raise ValueError(f"no perturbation {kind!r}; there are {', '.join(KINDS)}")
        try:
            strengths = [float(level) for level in levels.split(",")] if levels else KINDS[kind].levels
        except ValueError:
            raise ValueError(
                f"{text!r}: levels are numbers with commas between, such as {kind}=1,2"
            ) from None
        curves[kind] = tuple(Perturbation(kind, strength) for strength in dict.fromkeys(strengths))
    return curves
