"""What a calibration leaves in its folder: figures as Markdown and JSON, every score, reliability and Tippett plots.

result.json is written last: a folder that has it is complete.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ffpipe.manifests.sealed import sealed
from ffpipe.manifests.shards import write_atomic
from ffpipe.pipeline import tables
from ffpipe.pipeline.calibration.plots import calibration_plots
from ffpipe.pipeline.calibration.scores import FoldScores
from ffpipe.pipeline.calibration.stored import RESULT, TEXT
from ffpipe.pipeline.calibration.tables import markdown
from ffpipe.pipeline.evaluation.plots import write_plots
from ffpipe.pipeline.provenance_text import as_markdown
from ffpipe.stages.calibration_choice import Choice
from ffpipe.stages.calibration_figures import Measured
from ffpipe.stages.score_maps import log_odds

if TYPE_CHECKING:
    from ffpipe.pipeline.calibration.job import CalibrateResult


def write_files(result: CalibrateResult, scores: FoldScores, choice: Choice, measured: Measured) -> None:
    """Write them all. Raises StorageError."""
    folder, origin = result.directory, result.facts["provenance"]
    table = scores.table(choice.held_out / np.log(10))
    tables.write_table(folder / "scores.parquet", tables.with_provenance(table, origin))
    text = f"{markdown(result.facts, measured)}\n\n{as_markdown(origin)}"
    write_atomic(folder / TEXT, text.encode())
    write_plots(folder, _plots(result, scores, choice), origin)
    facts: Mapping[str, Any] = json.loads(json.dumps(result.facts))
    write_atomic(folder / RESULT, sealed(facts, indent=1))


def _plots(result: CalibrateResult, scores: FoldScores, choice: Choice) -> dict[str, Any]:
    title = f"{scores.level} level, cross-validated\n{', '.join(result.calibration.scope.datasets)}"
    return calibration_plots(
        scores.labels, log_odds(scores.scores), choice.held_out, title, result.calibration.method
    )
