"""What a paper's protocol is: what is trained, what it is tested on, and each figure that the paper prints of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ffpipe.models.detector import OptionValue
from ffpipe.pipeline.reproduction.protocols.sources import Source

Metric = Literal["accuracy", "average_precision", "auc"]
#: Figures of `stages.metrics` by the short names that the papers' tables use.
ACC: Metric = "accuracy"
AP: Metric = "average_precision"
AUC: Metric = "auc"
#: Rows of an evaluation that are of no single method, as `stages.evaluation` calls them.
WHOLE, MEAN = "all", "mean"


@dataclass(frozen=True, slots=True)
class Training:
    """A model of the protocol. `source` is a key of the protocol's sources, `teacher` another training's name.

    methods: the forgeries that it is trained on; empty for all. options: of the detector, where an ablation changes
    them. frames: a video, as the paper samples them.
    """

    name: str
    detector: str
    source: str
    frames: int
    quality: str | None = None
    methods: tuple[str, ...] = ()
    options: Mapping[str, OptionValue] = field(default_factory=dict)
    teacher: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A test split that trainings are measured on; frames: a video, None for all that are stored."""

    source: str
    quality: str | None = None
    methods: tuple[str, ...] = ()
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Printed:
    """A figure as the paper prints it, as a share of 1, and where.

    training, test: what would reproduce it. subset: the row of the evaluation that it is, WHOLE, MEAN or a method.
    note: what is to be known of this figure alone.
    """

    table: int
    row: str
    column: str
    metric: Metric
    value: float
    training: str
    test: Trial
    subset: str = WHOLE
    note: str = ""

    @property
    def reference(self) -> str:
        """Such as `table 1, SFCL-HCMF, FF++ c23`."""
        return f"table {self.table}, {self.row}, {self.column}"


@dataclass(frozen=True, slots=True)
class Protocol:
    """A paper's experiments. Every figure in it is read at the level of pictures: frames of a video, or images.

    face_detector: the one that the paper names. notes: what is assumed where the paper is silent, and where its
    figures contradict each other.
    """

    name: str
    paper: str
    sources: Mapping[str, Source]
    trainings: tuple[Training, ...]
    printed: tuple[Printed, ...]
    face_detector: str | None = None
    notes: tuple[str, ...] = ()

    def training(self, name: str) -> Training:
        """The training of this name. Raises KeyError."""
        return next((t for t in self.trainings if t.name == name), None) or _unknown(name)

    def lineage(self, training: Training) -> Iterator[Training]:
        """The training with its teacher and the teacher's, those first that have to be trained first."""
        if training.teacher:
            yield from self.lineage(self.training(training.teacher))
        yield training

    @property
    def tables(self) -> tuple[int, ...]:
        """Numbers of the tables, rising."""
        return tuple(sorted({figure.table for figure in self.printed}))


def _unknown(name: str) -> Training:
    raise KeyError(name)


def percent(value: float) -> float:
    """A printed percentage as a share of 1, without the rounding of a division: 97.43 -> 0.9743."""
    return round(value / 100, 6)


def pair(at: Printed, metrics: tuple[Metric, Metric], values: tuple[float, float]) -> tuple[Printed, Printed]:
    """Two figures that share a place of a table, both as shares of 1."""
    first, second = (
        replace(at, metric=metric, value=value) for metric, value in zip(metrics, values, strict=True)
    )
    return first, second
