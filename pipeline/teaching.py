"""Distillation as a run knows it: who teaches, at which quality, what is passed on, and which media pair."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.manifests.records import MediaRecord
from ffpipe.manifests.splits import group_key
from ffpipe.models import checkpoint
from ffpipe.models.detector import Detector
from ffpipe.models.distillation import KNOWLEDGE, Distillation, KnowledgeWeights
from ffpipe.models.errors import CheckpointError
from ffpipe.models.registry import detector_info, list_detectors
from ffpipe.models.sida import SIDA_SIZE
from ffpipe.pipeline.faces import FaceTable, Rows
from ffpipe.pipeline.loader import Labelled
from ffpipe.pipeline.overlap import taught_from
from ffpipe.pipeline.pairs import UNPAIRED, pair_rows, partners
from ffpipe.pipeline.recipes import Recipe
from ffpipe.pipeline.weights import Weights

#: Option by which a detector says what it is taught; a detector that has it is never trained alone.
_OPTION = "knowledge"
#: How many faces without a pair are named.
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Teaching:
    """A teacher and its lessons, picklable.

    quality: of the faces that the teacher reads. media: those faces' media, by id. partner: the teacher's medium for
    each medium of the student. paths: where the student's media are. drop: leave out faces without a pair.
    taught_from: the media and clips that the teacher was trained on, as far as it says.
    """

    folder: Path
    model_id: str
    detector: str
    quality: str
    knowledge: str
    weights: KnowledgeWeights
    media: Mapping[str, Labelled]
    partner: Mapping[str, str]
    paths: Mapping[str, str]
    drop: bool
    taught_from: Mapping[str, Sequence[str]]

    @property
    def line(self) -> str:
        """Who teaches what, for people."""
        return (
            f"taught by {self.detector} in {self.folder} ({self.model_id[:12]}) on the same faces at {self.quality}: "
            f"{self.knowledge}"
        )

    def facts(self) -> dict[str, Any]:
        """What a trained student says of its teacher."""
        return {
            "run": f"{self.folder.parent.name}/{self.folder.name}",
            "detector": self.detector,
            "model_id": self.model_id,
            "quality": self.quality,
            "knowledge": self.knowledge,
            "weights": asdict(self.weights),
        }

    def load(self) -> Detector:
        """The teacher. Raises WeightsError where its folder is damaged or holds other weights by now."""
        try:
            loaded = checkpoint.load(self.folder)
        except CheckpointError as error:
            raise WeightsError(str(error)) from None
        if loaded.model_id != self.model_id:
            raise WeightsError(
                f"the teacher {self.folder} was replaced while it was used; run the command again"
            )
        return loaded.model

    def under(self, teacher: Detector, student: Detector) -> Distillation:
        """The losses of a student. Raises UsageError where the two do not fit."""
        try:
            lessons = Distillation(teacher, student, self.knowledge, self.weights)
            _try_out(lessons, student)
        except ValueError as error:
            raise UsageError(f"--teacher {self.folder}: {error}") from None
        return lessons

    def pairs(self, table: FaceTable) -> Rows:
        """For each face of a table the row of the face that the teacher reads, or UNPAIRED."""
        return pair_rows(table, self.partner)

    def require_pairs(self, table: FaceTable, rows: Rows, pairs: Rows) -> None:
        """Raises UsageError, with count and examples, where some of the faces have no pair."""
        alone = rows[pairs[rows] == UNPAIRED]
        if not len(alone):
            return
        shown = "; ".join(self._example(table, int(row)) for row in alone[:_SHOWN])
        raise UsageError(
            f"{len(alone)} of {len(rows)} training faces have no pair at {self.quality}, the teacher's quality (same "
            f"clip, frame and box), such as {shown}. Extract both qualities into one dataset, which cuts them alike; "
            "what earlier versions extracted has to be extracted again. --unpaired drop trains without these faces"
        )

    def _example(self, table: FaceTable, row: int) -> str:
        name = table.media[table.medium[row]]
        why = "no face of this box there" if name in self.partner else "no such copy of the clip"
        return f"{self.paths.get(name, name)}, frame {table.frame[row]} ({why})"


def _try_out(lessons: Distillation, student: Detector) -> None:
    """One step on black images, so that maps which do not fit are noticed before any work."""
    training = student.training
    batch: list[Tensor | None] = []
    for detector in (student, lessons.teacher):
        size = detector.spec.input_size
        batch += [
            torch.zeros(2, 3, size, size),
            torch.zeros(2, SIDA_SIZE) if detector.spec.needs_sida else None,
        ]
    image, sida, teacher_image, teacher_sida = batch
    assert image is not None
    assert teacher_image is not None
    with torch.no_grad():
        lessons.loss(
            student.eval(), image, sida, torch.zeros(2, dtype=torch.int64), teacher_image, teacher_sida
        )
    student.train(training)


def require_teacher(model: str, given: bool) -> None:
    """Raises UsageError where a detector that is made to be taught has no teacher."""
    if given or model not in list_detectors() or _OPTION not in detector_info(model).options:
        return
    base = model.removesuffix("-kd")
    raise UsageError(
        f"--model {model} learns from a teacher: first `ffpipe train --model {base} --quality c0`, then "
        f"`ffpipe train --model {model} --teacher RUN --quality c40`, RUN being the folder of the first"
    )


def seen_in_training(weights: Weights, media: Sequence[MediaRecord], held_out: Collection[str]) -> int:
    """How many of the media of the ids `held_out` show a clip that the teacher was trained on, at its own quality."""
    config = weights.loaded.config
    trained = set(config.get("train_media", ()))
    copies = partners(media, held_out, config.get("data", {}).get("quality"))
    return sum(copy.media_id in trained for copy in copies.values())


def make_teaching(
    weights: Weights,
    recipe: Recipe,
    model: str,
    media: Sequence[MediaRecord],
    students: Collection[str],
    drop: bool,
) -> Teaching:
    """What a teacher teaches a detector on its training media `students`, out of all `media` of the datasets.

    Raises UsageError where nothing says which quality the teacher reads.
    """
    directory, config = weights.loaded.directory, weights.loaded.config
    quality = config.get("data", {}).get("quality")
    if quality is None:
        raise UsageError(
            f"--teacher {directory}: its config.json names no quality that it was trained on, so that no pairs can be "
            "made; train it with --quality on a dataset whose layout has qualities"
        )
    found = partners(media, students, quality)
    options = detector_info(model).resolve(recipe.options)
    return Teaching(
        folder=directory,
        model_id=weights.model_id,
        detector=str(config["detector"]),
        quality=str(quality),
        knowledge=str(options.get(_OPTION, KNOWLEDGE[-1])),
        weights=KnowledgeWeights(),
        media={
            m.media_id: Labelled(int(m.label or 0), group_key(m), m.frames_decoded) for m in found.values()
        },
        partner={own: other.media_id for own, other in found.items()},
        paths={m.media_id: m.path for m in media if m.media_id in students},
        drop=drop,
        taught_from=taught_from(config),
    )
