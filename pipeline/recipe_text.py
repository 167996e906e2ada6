"""A recipe in words, for the help of a detector and for the model card."""

from __future__ import annotations

from ffpipe.pipeline.recipes import Recipe
from ffpipe.pipeline.training_job import counted


def describe(recipe: Recipe, input_size: int, workers: int = 1) -> dict[str, str]:
    """Topic -> what the recipe does there; input_size in pixels, for recipes that do not set it.

    workers: training workers, each of which brings a batch to a step.
    """
    size = recipe.options.get("input_size", input_size)
    options = [f"{name}={value}" for name, value in sorted(recipe.options.items()) if name != "input_size"]
    return {
        "start": f"pretrained weights ({recipe.pretrained})" if recipe.pretrained else "random weights",
        "optimiser": _optimiser(recipe),
        "batch": _batch(recipe, workers),
        "length": _length(recipe),
        "faces": _faces(recipe),
        "augmentation": recipe.augmentation.describe() or "none",
        "network": ", ".join([f"input {size} x {size} pixels", *options]),
    }


def _optimiser(recipe: Recipe) -> str:
    rate = f"learning rate {recipe.learning_rate:g} ({recipe.schedule})"
    momentum = [f"momentum {recipe.momentum:g}"] if recipe.momentum else []
    return ", ".join([recipe.optimiser, rate, *momentum, f"weight decay {recipe.weight_decay:g}"])


def _batch(recipe: Recipe, workers: int) -> str:
    faces = recipe.batch_size * recipe.accumulate * workers
    factors = [counted(recipe.batch_size, "face")]
    if recipe.accumulate > 1:
        factors.append(f"{recipe.accumulate} accumulated batches")
    if workers > 1:
        factors.append(f"{workers} workers")
    return f"{counted(faces, 'face')} an update" + (f": {' x '.join(factors)}" if len(factors) > 1 else "")


def _length(recipe: Recipe) -> str:
    stop = f", stopped after {recipe.patience} without a better validation AUC" if recipe.patience else ""
    return f"up to {counted(recipe.epochs, 'epoch')}{stop}; the best on validation is kept"


def _faces(recipe: Recipe) -> str:
    left_out = f"; without {' and '.join(recipe.left_out)}" if recipe.left_out else ""
    balance = ", the rarer class drawn several times" if recipe.balance else ""
    return f"up to {counted(recipe.frames_per_video, 'frame')} a video{balance}{left_out}"
