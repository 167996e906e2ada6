"""The steps of a reproduction, trained and measured by the ordinary jobs, or taken as they were finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import LockedError, StorageError, UsageError
from ffpipe.models import checkpoint
from ffpipe.pipeline.config import EvaluateConfig, ReproduceConfig, TrainConfig
from ffpipe.pipeline.evaluation.finished import find_finished, load_finished
from ffpipe.pipeline.evaluation.job import evaluate
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.reproduction.deviations import (
    of_run,
    of_settings,
    of_test_data,
    of_training_data,
    paper_weights,
)
from ffpipe.pipeline.reproduction.plan import Measurement, Step
from ffpipe.pipeline.reproduction.protocols.protocol import Printed, Protocol, Training
from ffpipe.pipeline.reproduction.results import Result
from ffpipe.pipeline.stored_media import data_digest
from ffpipe.pipeline.train import is_finished, run_digest, stored_digest, train
from ffpipe.pipeline.workspace import Workspace

Meter = Callable[[str], AbstractContextManager[Advance | None]]
"""Shows how far a part of the work is, which it is told the name of."""

#: Where a run's folder has what was measured of it.
_EVALUATIONS = "evaluations/*/evaluation.json"
#: Levels of an evaluation at which the papers print: one score a picture.
_LEVELS = ("frame", "image")
#: Kind of the rows that are of a method, of all or of the mean, where an evaluation has rows of other kinds.
_METHOD = "method"


class Runner:
    """Trains and measures the steps of a plan, in their order."""

    def __init__(
        self, protocol: Protocol, config: ReproduceConfig, workspace: Workspace, say: Say, meter: Meter
    ) -> None:
        self.protocol, self.config, self.workspace, self.say = protocol, config, workspace, say
        self._meter = meter
        self._runs: dict[str, Path] = {}
        self._deviations: dict[str, list[str]] = {}

    def state(self, step: Step) -> str:
        """What a run of the step's name looks like from outside; whether it fits is seen when it is used."""
        folder = self.workspace.model_run(step.training.detector, self._name(step.training))
        return "finished" if is_finished(folder) else "begun" if folder.exists() else "to do"

    def known_deviations(self, step: Step) -> list[str]:
        """What can be told before anything is run."""
        lines = [
            *of_settings(step.training, self.config),
            *of_training_data(self.protocol, step.training, step.data),
        ]
        for measurement in step.measurements:
            lines += of_test_data(self.protocol, measurement.test, measurement.data)
        return list(dict.fromkeys(lines))

    def results(self, step: Step) -> Iterator[Result]:
        """The step's figures, trained for and measured, or why not.

        Raises LockedError, StorageError.
        """
        training = step.training
        try:
            run = self._trained(step)
        except LockedError:
            raise
        except UsageError as error:
            self.say(f"{training.name} was not trained: {error.message}")
            figures = [figure for m in step.measurements for figure in m.figures]
            yield from (Result(figure, reason=error.message) for figure in figures)
            return
        for measurement in step.measurements:
            try:
                stored = self._measured(run, step, measurement)
            except UsageError as error:
                self.say(f"{training.name} was not tested on {measurement.data.name}: {error.message}")
                yield from (Result(figure, reason=error.message) for figure in measurement.figures)
                continue
            told = self._told(run, stored, measurement, step)
            yield from (_result(figure, stored["rows"], told) for figure in measurement.figures)

    def _told(
        self, run: Path, stored: Mapping[str, Any], measurement: Measurement, step: Step
    ) -> dict[str, Any]:
        lines = self._deviations[step.training.name] + of_test_data(
            self.protocol, measurement.test, measurement.data
        )
        if stored["provenance"].get("crops_accepted"):
            lines.append(f"{measurement.data.name}: ready-made crops, cut otherwise than those of training")
        return {
            "run": f"{run.parent.name}/{run.name}",
            "evaluation": stored["evaluation"],
            "deviations": tuple(dict.fromkeys(lines)),
        }

    def _trained(self, step: Step) -> Path:
        """The folder of the step's run, trained now or before."""
        training = step.training
        config = self._train_config(step)
        digest = run_digest(config, self.workspace)
        name = self._free_name(training, digest)
        folder = self.workspace.model_run(training.detector, name)
        if is_finished(folder):
            self.say(f"{training.detector}/{name} is finished, with the same settings and data")
        else:
            with self._meter(f"train {training.name}") as advance:
                folder = train(
                    config.model_copy(update={"run": name}), self.workspace, self.say, advance
                ).directory
        self._runs[training.name] = folder
        self._deviations[training.name] = self._of_training(step, folder)
        return folder

    def _of_training(self, step: Step, folder: Path) -> list[str]:
        training = step.training
        lines = [
            *of_settings(training, self.config),
            *of_run(training, _read(folder / checkpoint.CONFIG)),
            *of_training_data(self.protocol, training, step.data),
        ]
        if training.teacher:
            lines += [f"teacher: {line}" for line in self._deviations[training.teacher] if line not in lines]
        return lines

    def _train_config(self, step: Step) -> TrainConfig:
        training, config = step.training, self.config
        if training.teacher and training.teacher not in self._runs:
            raise UsageError(f"its teacher, {training.teacher}, was not trained")
        # A student starts from nothing in the paper, whatever weights its teacher has.
        starts = paper_weights(training.detector) is not None
        return TrainConfig(
            model=training.detector,
            data=(step.data.name,),
            quality=training.quality,
            methods=training.methods or None,
            splits=step.data.splits,
            recipe=config.recipe,
            teacher=self._runs[training.teacher] if training.teacher else None,
            unpaired="drop" if training.teacher else "error",
            pretrained=config.pretrained if starts else None,
            options=dict(training.options),
            epochs=config.epochs,
            limit=config.limit,
            seed=config.seed,
            num_workers=config.num_workers,
            engine=config.engine,
            address=config.address,
        )

    def _name(self, training: Training) -> str:
        return f"reproduce-{self.config.recipe}-{training.name}{seed_word(self.config)}"

    def _free_name(self, training: Training, digest: str) -> str:
        """The run's name; numbered where a run of this name is bound to other settings or data."""
        for number in count(1):
            name = self._name(training) + (f"-{number}" if number > 1 else "")
            job = self.workspace.model_run(training.detector, name) / "job.json"
            if not job.exists() or stored_digest(job) == digest:
                return name
        raise AssertionError

    def _measured(self, run: Path, step: Step, measurement: Measurement) -> Mapping[str, Any]:
        """The evaluation.json of the measurement, made now or before."""
        test, data = measurement.test, measurement.data
        config = EvaluateConfig(
            data=data.name,
            quality=test.quality,
            methods=measurement.methods or None,
            splits=data.splits,
            frames_per_video=test.frames,
            replicates=self.config.replicates,
            seed=self.config.seed,
            batch_size=self.config.batch_size,
            arithmetic=self.config.arithmetic,
            # Only where the owner ships crops are pictures measured that were cut otherwise than in training.
            accept_crops=data.kind != step.data.kind and data.kind == self.protocol.sources[test.source].kind,
        )
        group = self.workspace.dataset(data.name)
        # Measuring again would only open the test split again.
        if done := find_finished(run, config, data_digest([group]), alike=True):
            self.say(f"measured before: {done.directory.name} of {done.name}")
            return done.facts
        with self._meter(f"test {step.training.name}") as advance:
            made = evaluate(str(run), config, self.workspace, self.say, advance)
        return load_finished(made.directory).facts


def _result(figure: Printed, rows: list[dict[str, Any]], told: dict[str, Any]) -> Result:
    """The figure beside the row that it is compared with; a set may be called by its reals as well."""
    level = [row for row in rows if row["level"] in _LEVELS and row.get("kind", _METHOD) == _METHOD]
    named = [
        row for row in level if row["name"] == figure.subset or row["name"].endswith(f"/{figure.subset}")
    ]
    if len(named) != 1:
        what = "no row" if not named else f"several rows ({', '.join(row['name'] for row in named)})"
        return Result(figure, reason=f"the evaluation has {what} of {figure.subset}", **told)
    return Result.of(figure, named[0], **told)


def seed_word(config: ReproduceConfig) -> str:
    """What names carry of a seed other than the first."""
    return f"-seed{config.seed}" if config.seed else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: cannot be read: {error}") from error
