"""The model card: what a trained model is, what it learned from, what was measured and what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffpipe.models.detector import DetectorSpec
from ffpipe.pipeline.balance import FAKE, REAL, Balance, PseudoFakes
from ffpipe.pipeline.recipe_choice import Choice
from ffpipe.pipeline.recipe_text import describe
from ffpipe.pipeline.reference_text import reference_text
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.augment import Augmentation
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.domain import Reference


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What the card tells.

    workers: that trained together. counts: of media and faces, as in metrics.json. frame: frame AUC with its interval.
    arithmetic: by kind of device, what `arithmetic_choice.measure` found. teacher: as `Teaching.facts` tells.
    halved: whether half of validation was kept for calibration, in words.
    balance and pseudo: what an epoch drew equally often, and fakes that were made of real faces.
    """

    spec: DetectorSpec
    choice: Choice
    seed: int
    workers: int
    datasets: tuple[str, ...]
    quality: str | None
    split: str
    halved: str
    counts: dict[str, Any]
    notes: Sequence[str]
    best: dict[str, Any]
    frame: dict[str, Any] | None
    thresholds: Thresholds
    crop: CropSettings
    arithmetic: dict[str, Any]
    reference: Reference
    teacher: dict[str, Any] | None = None
    balance: Balance = "recipe"
    pseudo: PseudoFakes | None = None


def write_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    parts = [
        f"# {facts.spec.name}, trained with the {facts.choice.recipe.name} recipe",
        f"{facts.spec.summary}. Method: {facts.spec.paper}.",
        "## Recipe",
        _recipe(facts),
        *(["## Teacher", _teacher(facts.teacher, facts.quality)] if facts.teacher else []),
        "## Data",
        _data(facts),
        "## What was measured",
        _measured(facts),
        "## What its training faces were like",
        reference_text(facts.reference),
        "## Arithmetic",
        _arithmetic(facts),
        "## Limits",
        _limits(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _recipe(facts: CardFacts) -> str:
    recipe = facts.choice.recipe
    # Where the run has a rule of its own, the one of the recipe did not hold; the data's section has the numbers.
    own = facts.balance != "recipe" or facts.pseudo is not None
    rows = describe(replace(recipe, balance=recipe.balance and not own), facts.spec.input_size, facts.workers)
    lines = [f"- {topic[:1].upper()}{topic[1:]}: {text}." for topic, text in rows.items()]
    lines.append(f"- Seed: {facts.seed}.")
    if facts.pseudo:
        lines.append(
            "- Fakes made of real faces: each blended with a changed copy of itself (self-blended images, Shiohara and "
            "Yamasaki, CVPR 2022), in training alone. Every other face was changed and compressed like the parts of a "
            "blend"
            + ("; the statistics D of all come from the pixels so made." if facts.spec.needs_sida else ".")
        )
    if recipe.augmentation != Augmentation():
        d = "; the statistics D of a changed face come from its own pixels" if facts.spec.needs_sida else ""
        lines.append(f"- Faces of both classes are augmented alike{d}.")
    return f"{_sentence(facts.choice.line)}\n\n" + "\n".join(lines)


def _teacher(teacher: dict[str, Any], quality: str | None) -> str:
    weights = teacher["weights"]
    return (
        f"Taught by {teacher['detector']} in `{teacher['run']}` (model id `{teacher['model_id']}`), frozen and in "
        f"evaluation mode. It reads the same clips, frames and boxes at {teacher['quality']}; this model reads "
        f"{quality or 'its own quality'}, and both images of a pair share every random augmentation. Knowledge passed "
        f"on: {teacher['knowledge']}. Weights: maps {weights['features']:g}, soft labels {weights['soft']:g} at "
        f"temperature {weights['temperature']:g}, labels {weights['hard']:g}. Each loss is in metrics.json by epoch. "
        "Scoring needs this model alone."
    )


def _data(facts: CardFacts) -> str:
    train, validation = facts.counts["train"], facts.counts["validation"]
    quality = f", quality {facts.quality}" if facts.quality else ""
    rows = [
        "| part | real media | fake media | groups | real faces | fake faces |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {name} | {part['real_media']} | {part['fake_media']} | {part['groups']} | {part['real_faces']} "
            f"| {part['fake_faces']} |"
            for name, part in (("train", train), ("validation", validation))
        ),
    ]
    lines = [
        f"Datasets: {', '.join(facts.datasets)}{quality}. Split: {facts.split}. The test split was not touched.",
        "\n".join(rows),
        _sentence(facts.halved),
        f"{_draws(train)} {train['downscaled']} training crops were larger than the store "
        "size and had lost detail when they were stored.",
    ]
    if facts.notes:
        lines.append("Noted while choosing the data:\n\n" + "\n".join(f"- {note}" for note in facts.notes))
    return "\n\n".join(lines)


def _draws(train: dict[str, Any]) -> str:
    real, fake = train["draws"]["real"], train["draws"]["fake"]
    whole = isinstance(real, int) and isinstance(fake, int)
    if not whole or not train["epoch"].keys() <= {REAL, FAKE}:
        parts = ", ".join(f"{draws} {name}" for name, draws in train["epoch"].items())
        return f"Each epoch draws so many faces: {parts}."
    if real == fake == 1:
        return "Each epoch draws every face once."
    often, rare = ("real", "fake") if real > fake else ("fake", "real")
    return (
        f"Each epoch draws every {often} face {max(real, fake)} times and every {rare} face once, so that the classes "
        "weigh about the same."
    )


def _measured(facts: CardFacts) -> str:
    best, thresholds = facts.best, facts.thresholds
    if facts.frame is None:
        return f"Nothing: the model is unvalidated. Its weights are those of the last epoch, {best['epoch']}."
    videos = f"{thresholds.n_real} real, {thresholds.n_fake} fake"
    lines = [
        f"On validation alone; the weights are those of epoch {best['epoch']}, the one of highest frame AUC there, so "
        "these figures flatter the model a little.",
        f"- Video level (videos: {videos}): AUC {_interval(thresholds.auc, thresholds.auc_low, thresholds.auc_high)}.",
        f"- Frame level (largest face of each frame): AUC "
        f"{_interval(facts.frame['auc'], facts.frame['low'], facts.frame['high'])}.",
        "- Intervals are 95%, by bootstrap over whole source groups.",
    ]
    if thresholds.usable:
        lines.append(
            f"- Verdicts: a video above {thresholds.threshold:.3f} is likely manipulated"
            if thresholds.threshold is not None
            else "- Verdicts: validation is too small to support `likely manipulated`"
        )
        lines[-1] += f"; from {thresholds.inconclusive_from:.3f} on it is inconclusive (one face track)."
    else:
        lines.append(f"- No verdict but `inconclusive` can rest on these weights: {thresholds.reason}.")
    return "\n".join(lines)


def _arithmetic(facts: CardFacts) -> str:
    if not facts.arithmetic:
        return "Scores are computed in eager float32: without validation no faster arithmetic was compared with it."
    parts = []
    for device, found in facts.arithmetic.items():
        slowest = found["trials"][0]["seconds"]
        rows = [
            f"| {trial['arithmetic']} | {1 / trial['seconds']:.1f} | {slowest / trial['seconds']:.2f}x "
            f"| {trial['difference']:.1e} |"
            for trial in found["trials"]
        ]
        parts += [
            f"On a {device} device `score` uses {found['chosen']}: the fastest whose scores were within "
            f"{found['tolerance']:g} of eager float32's on {found['faces']} validation faces; the figures above and "
            f"the bars of the verdicts are eager float32's. Machine: {found['machine']}.",
            "\n".join(
                [
                    "| arithmetic | faces/s | speed | largest score difference |",
                    "| --- | --- | --- | --- |",
                    *rows,
                ]
            ),
        ]
    return "\n\n".join(parts)


def _limits(facts: CardFacts) -> str:
    lines = [
        "- A score is evidence, not proof, and says nothing of authenticity. It falls off on forgeries, cameras and "
        "compression unlike the training data; no such test is part of this card.",
        _reads(facts),
        "- Logits are in the order real, fake; scores of one kind of device were not compared with another's.",
    ]
    if facts.choice.recipe.name == "quick":
        lines.insert(
            0,
            f"- The quick recipe is for trying the tool out: {facts.choice.recipe.summary}. Do not rely on it.",
        )
    return "\n".join(lines)


def _reads(facts: CardFacts) -> str:
    size, kind, fingerprint = facts.spec.input_size, facts.crop.kind, facts.crop.fingerprint()
    if kind == "whole":
        return (
            f"- It reads whole images, never resized: {size} x {size} pixels cropped at a random place in training and "
            "at the centre in validation and scoring; smaller images are padded with their edge pixels. What lies "
            f"outside the centre of a large image is not looked at (settings {fingerprint})."
        )
    what = "faces cut" if kind == "face" else "ready-made face crops stored"
    return f"- It reads {what} with the crop settings {fingerprint}; other crops give other scores."


def _interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.3f}" + (
        f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else " (no interval)"
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
