"""The controls of a robustness run: what must not do as well as the detector, measured on the same media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from ffpipe.manifests.records import MediaRecord
from ffpipe.models.sida import compress_sida
from ffpipe.pipeline.evaluation.media import ChosenMedia
from ffpipe.pipeline.faces import Rows, at_most, largest_per_frame, rows_of_media
from ffpipe.pipeline.robustness.scores import Faces, Pixels, Scored, Treatment
from ffpipe.stages.controls import face_in_crop, file_facts, permuted, without_face
from ffpipe.stages.crop import CropSettings
from ffpipe.stages.evaluation import Figure
from ffpipe.stages.logistic import Floats, Logistic
from ffpipe.stages.metrics import auc, evaluate
from ffpipe.stages.robustness import Control, by_chance

#: Draws of labels that mean nothing, and references that are fitted to such labels.
DRAWS, SHUFFLES = 500, 10
#: Faces that the references on D are fitted to at most: a table of about 28 MB, fitted in seconds.
_FITTED_FACES = 1500
#: Weight of the squared weights: D has more columns than there are faces to fit.
_PENALTY = 100.0
#: Faces whose D is in memory at a time.
_PART = 1024

BACKGROUND = Control(
    "background only",
    "clearly below the detector's; near 0.5 if it looks at faces alone",
    "what is left with the face painted over: the detector looks at what surrounds it, or at its place and size",
)
_SHUFFLED = Control(
    "shuffled labels",
    "near 0.5; the range is what chance gives with these groups",
    "what the same scores get under labels that mean nothing, and how often as far from 0.5 as under the true ones; "
    "it does not show that the split is free of leaks",
)
_METADATA = Control(
    "file metadata only",
    "near 0.5",
    "whether the files tell the classes apart without a look at a picture; a detector may then do so too",
)
_REFERENCE = Control(
    "reference on D",
    "what statistics alone can do here",
    "logistic regression on the stored statistics D, fitted to some faces of the train split",
)
_REFERENCE_SHUFFLED = Control(
    "reference on D, labels shuffled",
    "near 0.5 on average; single fits scatter, and the range is theirs",
    "that nothing but the labels carries from training to this measurement: the reference, fitted to labels that mean "
    "nothing",
)


@dataclass(frozen=True, slots=True)
class Setting:
    """What every control needs: the media and their faces, those of the train split, and how intervals are drawn.

    trained is None where nothing may be fitted, for the reason `untrained`.
    """

    chosen: ChosenMedia
    faces: Faces
    cut: CropSettings
    trained: ChosenMedia | None
    untrained: str
    replicates: int
    seed: int

    def auc(self, labels: npt.NDArray[np.int8], scores: Floats, groups: Sequence[str]) -> Figure:
        """AUC with its clustered interval."""
        names = ("auc",)
        found = evaluate(labels, scores, groups, names=names, replicates=self.replicates, seed=self.seed)[
            "auc"
        ]
        return Figure(found.value, found.interval.low, found.interval.high)


def painter(setting: Setting) -> Treatment | None:
    """Paints faces over; None for whole images, where there is nothing to paint."""
    if setting.cut.kind == "whole":
        return None
    boxes = setting.faces.source.table.box

    def paint(crop: Pixels, row: int) -> Pixels:
        x0, y0, x1, y1 = boxes[row].tolist()
        height, width = crop.shape[:2]
        return without_face(crop, face_in_crop((x0, y0, x1, y1), (height, width), setting.cut))

    return paint


def background(setting: Setting, scored: Scored | None) -> Control:
    """The detector's scores of faces painted over; None where there is nothing to paint."""
    if scored is None:
        return replace(BACKGROUND, skipped="whole images have no face box")
    where = (
        "the detector's box" if setting.cut.kind == "face" else "the middle, as these crops were ready-made"
    )
    figure = setting.auc(scored.label, scored.score, scored.group)
    return replace(BACKGROUND, auc=figure, facts={"painted over": where})


def shuffled(setting: Setting, scored: Scored) -> Control:
    """The detector's own scores under labels that mean nothing."""
    figure, reached = by_chance(scored.label, scored.score, scored.group, DRAWS, setting.seed)
    if figure.value is None:
        return replace(_SHUFFLED, skipped="the media are of one class")
    return replace(_SHUFFLED, auc=figure, facts={"draws": DRAWS, "permutation p": reached})


def metadata(setting: Setting) -> Control:
    """Logistic regression on the facts of the files, fitted to the train split."""
    if setting.trained is None:
        return replace(_METADATA, skipped=setting.untrained)
    known, measured = _distinct(setting.trained), setting.faces.media
    media = [m for m in _distinct(setting.chosen) if m.media_id in measured]
    rows, columns = file_facts(known, known)
    try:
        model = Logistic.fit(rows, [int(m.label or 0) for m in known])
    except ValueError as error:
        return replace(_METADATA, skipped=str(error))
    groups = setting.chosen.labelled()
    figure = setting.auc(
        np.array([int(m.label or 0) for m in media], np.int8),
        model.score(file_facts(media, known)[0]),
        [groups[m.media_id].group for m in media],
    )
    heaviest = sorted(zip(-np.abs(model.weights), columns, strict=True))[:3]
    facts = {
        "media": len(media),
        "fitted to media": len(known),
        "heaviest columns": [column for _, column in heaviest],
    }
    return replace(_METADATA, auc=figure, facts=facts)


def references(setting: Setting) -> list[Control]:
    """Logistic regression on D, fitted to the train split with its labels, and with labels that mean nothing."""
    both = [_REFERENCE, _REFERENCE_SHUFFLED]
    if setting.trained is None:
        return [replace(control, skipped=setting.untrained) for control in both]
    table = setting.faces.source.table
    train = largest_per_frame(table, rows_of_media(table, [m.media_id for m in setting.trained.media]))
    train = at_most(table, train, _FITTED_FACES, setting.seed)
    rows, labels = _compressed(setting, train), table.label[train]
    given = np.concatenate(
        [
            _compressed(setting, part)
            for part in np.array_split(setting.faces.rows, _parts(setting.faces.rows))
        ]
    )

    def fitted(truth: npt.NDArray[np.int8]) -> Scored:
        score = Logistic.fit(rows, truth, _PENALTY).score(given)
        clipped = np.clip(score, 1e-12, 1 - 1e-12)
        return setting.faces.scored(np.log(clipped / (1 - clipped)).astype(np.float32))

    try:
        found = fitted(labels)
        drawn = [_auc(fitted(truth)) for truth in _meaningless(setting, train)]
    except ValueError as error:
        return [replace(control, skipped=str(error)) for control in both]
    facts = {"fitted to faces": len(train)}
    scatter = Figure(float(np.mean(drawn)), min(drawn), max(drawn))
    return [
        replace(_REFERENCE, auc=setting.auc(found.label, found.score, found.group), facts=facts),
        replace(_REFERENCE_SHUFFLED, auc=scatter, facts=facts | {"fits": len(drawn)}),
    ]


def _meaningless(setting: Setting, rows: Rows) -> list[npt.NDArray[np.int8]]:
    """Labels of faces that mean nothing: a medium's faces share one, as they do in truth."""
    table = setting.faces.source.table
    media, places = np.unique(table.medium[rows], return_inverse=True)
    labels = np.zeros(len(media), np.int8)
    labels[places] = table.label[rows]
    groups = [table.groups[number] for number in media]
    random = np.random.default_rng([setting.seed, 2])
    return [permuted(labels, groups, random)[places] for _ in range(SHUFFLES)]


def _auc(scored: Scored) -> float:
    return auc(scored.label, scored.score)


def _parts(rows: Rows) -> int:
    return -(-len(rows) // _PART)


def _compressed(setting: Setting, rows: Rows) -> Floats:
    stored = setting.faces.source.sida(rows.tolist())
    return np.asarray(compress_sida(torch.from_numpy(stored).double()).numpy())


def _distinct(chosen: ChosenMedia) -> list[MediaRecord]:
    """One row of the media table a content, the first."""
    return list({m.media_id: m for m in reversed(chosen.media)}.values())[::-1]


def controls(setting: Setting, stored: Scored, painted: Scored | None) -> list[Control]:
    """Every control, in the order in which they are shown."""
    return [
        background(setting, painted),
        shuffled(setting, stored),
        metadata(setting),
        *references(setting),
    ]
