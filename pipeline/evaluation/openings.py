"""The log of how often a run's weights were shown a test split: each look makes the next one worth a little less.

Its lines are chained like those of the workspace's log; those of older versions are not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ffpipe.pipeline import chain, log, provenance
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.workspace import Workspace

LOG = log.OPENINGS
#: What is logged of the facts of an evaluation.
_LOGGED = ("data_digest", "split", "split_source", "model_id", "evaluation")


def log_opening(run: Path, data: str, facts: dict[str, Any]) -> int:
    """Append an opening of a dataset's test split to the run's log; returns its number among those of the dataset.

    Raises StorageError where the log cannot be written or is damaged: no test data are then read.
    """
    number = 1 + len([opening for opening in read_openings(run) if opening.get("data") == data])
    chain.append(run / LOG, {"opening": number, "data": data, **facts})
    return number


def open_test(
    run: Path, data: str, facts: Mapping[str, Any], evaluation_id: str, workspace: Workspace, say: Say
) -> int:
    """The number of this opening of a test split, which is logged unless it was before an interruption.

    It is logged beside the run's weights, where it goes with them, and in the workspace. Raises StorageError.
    """
    number = opening_of(run, evaluation_id)
    if number is None:
        logged = {key: facts[key] for key in _LOGGED}
        logged |= {"evaluation_id": evaluation_id, "time": provenance.now()}
        number = log_opening(run, data, logged)
        told = {**logged, "opening": number, "data": data, "run": log.shown(run)}
        log.note(workspace, "open test split", facts["provenance"], **told)
    say(f"opening {number} of the test split of {data} by this run")
    return number


def read_openings(run: Path) -> list[dict[str, Any]]:
    """Every opening in the run's log, oldest first. Raises StorageError where the log is damaged."""
    return [entry for entry in chain.read_entries(run / LOG) if "opening" in entry]


def opening_of(run: Path, evaluation_id: str) -> int | None:
    """The number of the opening that an evaluation has logged; None where it has not yet."""
    found = [o for o in read_openings(run) if o.get("evaluation_id") == evaluation_id]
    return int(found[-1]["opening"]) if found else None
