"""What of a paper's protocol can be run on the datasets that are there, in which order, and what cannot and why."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Label, Split
from ffpipe.pipeline.reproduction.data import Holding, Holdings, Lack, Need
from ffpipe.pipeline.reproduction.protocols.protocol import MEAN, WHOLE, Printed, Protocol, Training, Trial


@dataclass(frozen=True, slots=True)
class Measurement:
    """One evaluation of a training: a test on a dataset, for these figures; methods are those that are there."""

    test: Trial
    data: Holding
    methods: tuple[str, ...]
    figures: tuple[Printed, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """A training that can be run, with what is to be measured of it; a teacher may have nothing to be measured."""

    training: Training
    data: Holding
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they can be run, teachers first; what is missing of every other figure."""

    protocol: Protocol
    figures: tuple[Printed, ...]
    steps: tuple[Step, ...]
    missing: Mapping[Printed, tuple[Lack, ...]] = field(default_factory=dict)


def select(protocol: Protocol, tables: Sequence[int], only: Sequence[str]) -> tuple[Printed, ...]:
    """The figures of the tables and of the trainings that match a glob. Raises UsageError where there are none."""
    unknown = [number for number in tables if number not in protocol.tables]
    if unknown:
        raise UsageError(
            f"--table {unknown[0]}: {protocol.name} has tables {', '.join(map(str, protocol.tables))}"
        )
    for glob in only:
        if not any(fnmatch.fnmatchcase(training.name, glob) for training in protocol.trainings):
            names = ", ".join(training.name for training in protocol.trainings)
            raise UsageError(f"--only {glob!r} matches no experiment of {protocol.name}: {names}")
    chosen = tuple(
        figure
        for figure in protocol.printed
        if (not tables or figure.table in tables)
        and (not only or any(fnmatch.fnmatchcase(figure.training, glob) for glob in only))
    )
    if not chosen:
        raise UsageError(
            f"no experiment that --only names has a figure in table {', '.join(map(str, tables))}"
        )
    return chosen


def make_plan(protocol: Protocol, holdings: Holdings, figures: Sequence[Printed]) -> Plan:
    """Place every figure: in a step that can be run, or among what is missing."""
    missing: dict[Printed, tuple[Lack, ...]] = {}
    trained: dict[str, Holding] = {}
    wanted: dict[str, dict[tuple[Trial, str], tuple[Holding, list[Printed]]]] = {}
    for figure in figures:
        lineage = list(protocol.lineage(protocol.training(figure.training)))
        found = {training.name: holdings.find(_to_train(protocol, training)) for training in lineage}
        data = holdings.find(_to_test(protocol, figure))
        lacks = tuple(held for held in (*found.values(), data) if isinstance(held, Lack))
        if lacks or isinstance(data, Lack):
            missing[figure] = tuple(dict.fromkeys(lacks))
            continue
        trained |= {name: held for name, held in found.items() if isinstance(held, Holding)}
        for training in lineage:
            wanted.setdefault(training.name, {})
        wanted[figure.training].setdefault((figure.test, data.name), (data, []))[1].append(figure)
    steps = [
        Step(
            protocol.training(name),
            trained[name],
            tuple(_measurement(test, *of) for (test, _), of in tests.items()),
        )
        for name, tests in wanted.items()
    ]
    return Plan(protocol, tuple(figures), tuple(steps), missing)


def _to_train(protocol: Protocol, training: Training) -> Need:
    source = protocol.sources[training.source]
    return Need(source, Split.TRAIN, training.frames, training.quality, training.methods)


def _to_test(protocol: Protocol, figure: Printed) -> Need:
    """A single set needs its own fakes alone; the whole and the mean need those of every method."""
    test = figure.test
    methods = test.methods if figure.subset in (WHOLE, MEAN) else (figure.subset,)
    return Need(protocol.sources[test.source], Split.TEST, test.frames, test.quality, methods)


def _measurement(test: Trial, data: Holding, figures: list[Printed]) -> Measurement:
    there = tuple(
        method for method in test.methods if data.count(Label.FAKE, Split.TEST, test.quality, (method,))
    )
    return Measurement(test, data, there, tuple(figures))
