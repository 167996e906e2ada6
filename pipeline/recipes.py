"""Training recipes as data, and which of them a run takes and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ffpipe.manifests.errors import UsageError
from ffpipe.models.detector import OptionValue
from ffpipe.models.errors import PretrainedError
from ffpipe.models.registry import create_detector, detector_info, list_detectors
from ffpipe.pipeline.optimisation import OptimiserName, ScheduleName
from ffpipe.stages.augment import Augmentation

#: What `--pretrained` says for random weights.
NO_WEIGHTS = "none"

Build = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a detector is trained.

    pretrained: None for random weights, else what `create_detector` takes. balance: draw the rarer class several
    times, so that both weigh about the same. left_out: forgery methods that the protocol does not train on.
    """

    name: str
    summary: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    frames_per_video: int
    optimiser: OptimiserName = "adam"
    momentum: float = 0.0
    schedule: ScheduleName = "constant"
    accumulate: int = 1
    pretrained: str | None = None
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    augmentation: Augmentation = Augmentation(horizontal_flip=0.5)
    balance: bool = True
    left_out: tuple[str, ...] = ()
    patience: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Every setting, ready for JSON."""
        return {**asdict(self), "options": dict(self.options), "left_out": list(self.left_out)}


#: Section 4 of the SFCL-HCMF paper: 270 frames a video of FaceForensics++'s four methods. It draws the real class
#: four times, which is what balancing does there, and names no other augmentation than flips.
_SFCL_PAPER = Recipe(
    name="paper",
    summary="the SFCL-HCMF paper's settings",
    epochs=20,
    batch_size=20,
    learning_rate=1e-3,
    weight_decay=1e-8,
    frames_per_video=270,
    pretrained="imagenet",
    left_out=("FaceShifter", "DeepFakeDetection"),
)
#: For machines without a GPU: it shows the mechanics in minutes, and its accuracy is not the paper's.
_SFCL_QUICK = replace(
    _SFCL_PAPER,
    name="quick",
    summary="a small network from random weights",
    epochs=10,
    batch_size=8,
    frames_per_video=32,
    pretrained=None,
    options={"input_size": 128, "backbone": "efficientnet-b0", "cnn_f": "xception-small", "embed_dim": 256},
)
#: For a detector that brings no recipe of its own.
_HOUSE_PAPER = Recipe(
    name="paper",
    summary="house settings, since no published recipe is recorded",
    epochs=20,
    batch_size=32,
    learning_rate=2e-4,
    weight_decay=1e-5,
    frames_per_video=32,
    pretrained="imagenet",
)
_HOUSE_QUICK = replace(_HOUSE_PAPER, name="quick", epochs=5, batch_size=8, pretrained=None)

#: Detector -> its recipes.
RECIPES: dict[str, tuple[Recipe, Recipe]] = {"sfcl-hcmf": (_SFCL_PAPER, _SFCL_QUICK)}


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe of a run as it will be used, and why it was taken, as a sentence without a full stop."""

    recipe: Recipe
    reason: str

    @property
    def line(self) -> str:
        """The first line that training prints, and that the model card repeats."""
        return f"recipe {self.recipe.name} ({self.recipe.summary}): {self.reason}"


def choose_recipe(
    model: str,
    asked: Literal["auto", "paper", "quick"],
    pretrained: str | None,
    options: Mapping[str, Any],
    cuda: bool,
    build: Build = create_detector,
) -> Choice:
    """The recipe for a detector, with the user's weights and options in it.

    auto takes paper where CUDA is present and the pretrained weights load, else quick. `pretrained` is a file,
    "none" for random weights, or None for the recipe's own. `build` makes the detector once, to see whether that
    works. Raises UsageError for an unknown detector or option, and for weights that were asked for (by recipe
    name or file) and cannot be had.
    """
    if model not in list_detectors():
        raise UsageError(f"--model {model}: there are {', '.join(list_detectors())}")
    _check_options(model, options)
    paper, quick = RECIPES.get(model, (_HOUSE_PAPER, _HOUSE_QUICK))
    if not detector_info(model).pretrained:
        paper = replace(paper, pretrained=None)
    paper, quick = (_with_user(model, recipe, pretrained, options) for recipe in (paper, quick))
    if asked == "paper":
        _try(build, model, paper)
        return Choice(paper, "asked for by name")
    if asked == "quick":
        _try(build, model, quick)
        return Choice(quick, "asked for by name")
    if not cuda:
        reason = "no CUDA device here"
    elif pretrained == NO_WEIGHTS and paper.pretrained is None:
        reason = "random weights were asked for"
    else:
        try:
            build(model, paper.pretrained, **paper.options)
            return Choice(paper, "a CUDA device is present and the pretrained weights load")
        except PretrainedError as error:
            if pretrained is not None:
                raise UsageError(str(error)) from None
            reason = f"a CUDA device is present, but {error}"
    _try(build, model, quick)
    return Choice(quick, reason)


def _check_options(model: str, options: Mapping[str, Any]) -> None:
    try:
        detector_info(model).resolve(options)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _with_user(model: str, recipe: Recipe, pretrained: str | None, options: Mapping[str, Any]) -> Recipe:
    weights = recipe.pretrained
    if pretrained == NO_WEIGHTS:
        weights = None
    elif pretrained in detector_info(model).pretrained:
        weights = pretrained
    elif pretrained is not None:
        weights = str(Path(pretrained).absolute())
    return replace(recipe, pretrained=weights, options={**recipe.options, **options})


def _try(build: Build, model: str, recipe: Recipe) -> None:
    try:
        build(model, recipe.pretrained, **recipe.options)
    except PretrainedError as error:
        text = str(error)
        hint = "" if "--pretrained" in text else "; give --pretrained FILE, or --pretrained none"
        raise UsageError(f"recipe {recipe.name} starts from pretrained weights: {text}{hint}") from None
