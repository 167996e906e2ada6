"""Which recipe a run takes and why, with what the user changes in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ffpipe.manifests.errors import UsageError
from ffpipe.models.errors import PretrainedError
from ffpipe.models.registry import create_detector, detector_info, list_detectors
from ffpipe.pipeline.config import TrainConfig
from ffpipe.pipeline.recipe_book import recipes_of
from ffpipe.pipeline.recipes import Recipe
from ffpipe.stages.augment import Augmentation

#: What `--pretrained` says for random weights.
NO_WEIGHTS = "none"
#: What `--patience` says for training to the last epoch.
NEVER = "never"

#: Settings of `train` that go over the recipe's of the same name.
_CHANGEABLE = (
    "epochs", "batch_size", "accumulate", "learning_rate", "weight_decay", "optimiser", "momentum", "schedule",
    "patience", "frames_per_video",
)  # fmt: skip

Build = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Choice:
    """The recipe of a run as it will be used, and why it was taken, as a sentence without a full stop."""

    recipe: Recipe
    reason: str

    @property
    def line(self) -> str:
        """The first line that training prints, and that the model card repeats."""
        return f"recipe {self.recipe.name} ({self.recipe.summary}): {self.reason}"


def choose(config: TrainConfig, cuda: bool) -> Choice:
    """The recipe of a training run, with every setting in it that the user gave. Raises UsageError."""
    choice = choose_recipe(config.model, config.recipe, config.pretrained, config.options, cuda)
    return Choice(adjust(choice.recipe, config), choice.reason)


def adjust(recipe: Recipe, config: TrainConfig) -> Recipe:
    """The recipe with the settings that were given in place of its own. Raises UsageError for wrong augmentation."""
    given = {name: getattr(config, name) for name in _CHANGEABLE}
    changes = {name: value for name, value in given.items() if value is not None}
    if changes.get("patience") == NEVER:
        changes["patience"] = None
    known = [field.name for field in fields(Augmentation)]
    unknown = sorted(set(config.augmentation) - set(known))
    if unknown:
        raise UsageError(f"augmentation.{unknown[0]}: there are {', '.join(known)}")
    try:
        augmentation = replace(recipe.augmentation, **config.augmentation)
    except ValueError as error:
        raise UsageError(str(error)) from None
    changed = replace(recipe, augmentation=augmentation, **changes)
    if changed.optimiser == "sgd":
        return changed
    if config.momentum:
        raise UsageError(
            f"--momentum {config.momentum:g}: of sgd alone, and the optimiser is {changed.optimiser}"
        )
    return replace(changed, momentum=0.0)


def choose_recipe(
    model: str,
    asked: Literal["auto", "paper", "quick"],
    pretrained: str | None,
    options: Mapping[str, Any],
    cuda: bool,
    build: Build = create_detector,
) -> Choice:
    """The recipe for a detector, with the user's weights and options in it.

    auto takes paper where CUDA is present and the pretrained weights load, else quick. `pretrained` is a file, the
    name of published weights, "none" for random ones, or None for the recipe's own. `build` makes the detector once,
    to see whether that works. Raises UsageError for an unknown detector or option, and for weights that were asked
    for (by recipe name or file) and cannot be had.
    """
    if model not in list_detectors():
        raise UsageError(f"--model {model}: there are {', '.join(list_detectors())}")
    _check_options(model, options)
    book, quick = recipes_of(model)
    if not detector_info(model).pretrained:
        book = replace(book, pretrained=None)
    paper, quick = (_with_user(model, recipe, pretrained, options) for recipe in (book, quick))
    if asked == "paper":
        _try(build, model, paper)
        return Choice(paper, "asked for by name")
    if asked == "quick":
        _try(build, model, quick)
        return Choice(quick, "asked for by name")
    if not cuda:
        reason = "no CUDA device here"
    elif pretrained == NO_WEIGHTS and book.pretrained is not None:
        reason = "random weights were asked for"
    else:
        try:
            build(model, paper.pretrained, **paper.options)
            weights = (
                "the pretrained weights load" if paper.pretrained else "no pretrained weights are needed"
            )
            return Choice(paper, f"a CUDA device is present and {weights}")
        except PretrainedError as error:
            if pretrained is not None:
                raise UsageError(str(error)) from None
            reason = f"a CUDA device is present, but {error}"
        except ValueError as error:
            raise UsageError(f"--model {model}: {error}") from None
    _try(build, model, quick)
    return Choice(quick, reason)


def _check_options(model: str, options: Mapping[str, Any]) -> None:
    try:
        detector_info(model).resolve(options)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _with_user(model: str, recipe: Recipe, pretrained: str | None, options: Mapping[str, Any]) -> Recipe:
    published = detector_info(model).pretrained
    weights = recipe.pretrained
    wanted = options.get("student_init")
    if pretrained == NO_WEIGHTS:
        if wanted in published:
            raise UsageError(
                f"--pretrained {NO_WEIGHTS} contradicts student_init={wanted}: give one of the two"
            )
        weights = None
    elif pretrained in published:
        weights = pretrained
    elif pretrained is not None:
        weights = str(Path(pretrained).absolute())
    elif wanted in published:
        # A distilled student's option names its weights, so that they need not be asked for twice.
        weights = str(wanted)
    return replace(recipe, pretrained=weights, options={**recipe.options, **options})


def _try(build: Build, model: str, recipe: Recipe) -> None:
    try:
        build(model, recipe.pretrained, **recipe.options)
    except PretrainedError as error:
        text = str(error)
        hint = "" if "--pretrained" in text else "; give --pretrained FILE, or --pretrained none"
        raise UsageError(f"recipe {recipe.name} starts from pretrained weights: {text}{hint}") from None
    except ValueError as error:  # options that do not go together
        raise UsageError(f"--model {model} with recipe {recipe.name}: {error}") from None
