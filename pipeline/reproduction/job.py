"""The reproduce job: a paper's protocol on the datasets of the workspace, its printed figures beside ours.

Every training and every test is a run of the ordinary jobs. What is finished is taken as it is, where it is bound to
the very settings and data that are asked for; so the same command goes on after an interruption.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ffpipe.manifests.run_lock import RunLock
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.reproduction.data import Holdings
from ffpipe.pipeline.reproduction.plan import Plan, make_plan, select
from ffpipe.pipeline.reproduction.protocols import get_protocol
from ffpipe.pipeline.reproduction.report import plan_lines, write_results
from ffpipe.pipeline.reproduction.results import RESULTS, Outcome, Result, headline, read_results
from ffpipe.pipeline.reproduction.runner import Meter, Runner, seed_word
from ffpipe.pipeline.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Reproduction:
    """The plan, the comparisons of all figures that were asked for, and the folder of the files."""

    directory: Path
    plan: Plan
    states: dict[str, str]
    deviations: dict[str, list[str]]
    results: list[Result] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 where every figure was measured, 3 where some were, 4 where none was; 0 for a plan alone."""
        outcomes = [result.outcome is Outcome.NOT_RUN for result in self.results]
        return 0 if not any(outcomes) else 4 if all(outcomes) else 3


def reproduce(
    name: str, config: ReproduceConfig, workspace: Workspace, say: Say, meter: Meter | None = None
) -> Reproduction:
    """Run what of a paper's protocol the workspace has data for; with `dry_run` say what that would be.

    An experiment that cannot be run costs its figures alone, with the reason beside them. Raises UsageError (no such
    protocol, table or experiment; `use` of what is not there), LockedError where the same is being run elsewhere,
    StorageError and IntegrityError.
    """
    protocol, began = get_protocol(name), provenance.now()
    figures = select(protocol, config.table, config.only)
    kept = workspace.root / "reproductions"
    with TemporaryDirectory() if config.dry_run else nullcontext(str(kept)) as place:
        plan = make_plan(protocol, Holdings(workspace, protocol, config, Path(place) / "splits"), figures)
    runner = Runner(protocol, config, workspace, say, meter or (lambda _: nullcontext()))
    states = {step.training.name: runner.state(step) for step in plan.steps}
    deviations = {step.training.name: runner.known_deviations(step) for step in plan.steps}
    for line in plan_lines(plan, states, deviations):
        say(line)
    say("how long a training takes is not known before its first steps, which say it")
    if config.recipe == "paper" and config.address == "local" and not torch.cuda.is_available():
        say("no CUDA device here, which the papers' recipes are made for; --recipe quick is a rehearsal")
    folder = kept / f"{protocol.name}-{config.recipe}{seed_word(config)}"
    result = Reproduction(folder, plan, states, deviations)
    if config.dry_run:
        return result
    folder.mkdir(parents=True, exist_ok=True)
    with RunLock(folder / "_lock"):
        origin = _run(runner, plan, folder, result.results, began)
    log.note(workspace, "reproduce", origin, [folder / RESULTS])
    return result


def _run(runner: Runner, plan: Plan, folder: Path, results: list[Result], began: str) -> dict[str, Any]:
    """Work through the plan, the files of the folder up to date after each step; fills `results`.

    Returns the provenance of the files.
    """
    protocol, config = runner.protocol, runner.config
    found = {figure: Result(figure, reason="not asked for yet") for figure in protocol.printed}
    found |= read_results(folder, protocol)
    origin = provenance.collect(config, seed=config.seed, started=began)

    def write() -> None:
        all_of_it = list(found.values())
        write_results(
            folder,
            protocol,
            all_of_it,
            headline(all_of_it, config.recipe == "quick"),
            provenance.finish(origin),
        )

    for figure, lacks in plan.missing.items():
        commands = tuple(command for lack in lacks for command in lack.commands)
        found[figure] = Result(figure, reason="; ".join(lack.reason for lack in lacks), commands=commands)
    write()
    for number, step in enumerate(plan.steps, start=1):
        runner.say(f"experiment {number} of {len(plan.steps)}: {step.training.name}")
        for result in runner.results(step):
            found[result.figure] = result
            write()
    results += [found[figure] for figure in plan.figures]
    return origin
