"""The log of how often a run's weights were shown a test split: each look makes the next one worth a little less."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ffpipe.manifests.durable import writing
from ffpipe.manifests.errors import StorageError
from ffpipe.pipeline.output import Say

LOG = "openings.jsonl"
#: What is logged of the facts of an evaluation.
_LOGGED = ("data_digest", "split", "split_source", "model_id", "evaluation")


def log_opening(run: Path, data: str, facts: dict[str, Any]) -> int:
    """Append an opening of a dataset's test split to the run's log; returns its number among those of the dataset.

    Raises StorageError where the log cannot be written or is damaged: no test data are then read.
    """
    path = run / LOG
    number = 1 + len([opening for opening in read_openings(run) if opening.get("data") == data])
    line = json.dumps({"opening": number, "data": data, **facts}, sort_keys=True)
    with writing(path), path.open("ab") as file:
        before = file.tell()
        try:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        except OSError:
            # Half a line, on a full disk, would make the whole log unreadable.
            os.truncate(path, before)
            raise
    return number


def open_test(run: Path, data: str, facts: Mapping[str, Any], evaluation_id: str, say: Say) -> int:
    """The number of this opening of a test split, which is logged unless it was before an interruption.

    Raises StorageError.
    """
    number = opening_of(run, evaluation_id)
    if number is None:
        logged = {key: facts[key] for key in _LOGGED}
        logged |= {"evaluation_id": evaluation_id, "time": datetime.now(UTC).isoformat(timespec="seconds")}
        number = log_opening(run, data, logged)
    say(f"opening {number} of the test split of {data} by this run")
    return number


def read_openings(run: Path) -> list[dict[str, Any]]:
    """Every opening in the run's log, oldest first. Raises StorageError where the log is damaged."""
    path = run / LOG
    if not path.exists():
        return []
    try:
        return [dict(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError, TypeError) as error:
        raise StorageError(f"{path}: damaged: {error}") from error


def opening_of(run: Path, evaluation_id: str) -> int | None:
    """The number of the opening that an evaluation has logged; None where it has not yet."""
    found = [o for o in read_openings(run) if o.get("evaluation_id") == evaluation_id]
    return int(found[-1]["opening"]) if found else None
