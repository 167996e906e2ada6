"""ffpipe: a video face-forensics pipeline. The command line's jobs, callable from Python.

import ffpipe

ffpipe.extract("FF++/")
ffpipe.train(model="sfcl-hcmf")
report = ffpipe.score(["videos/"])  # a pandas DataFrame, one row an input
ffpipe.report("report.parquet")  # the same as pages, one of the run and one of each video
ffpipe.explain("videos/a.mp4", out="a-explained")  # where the model looked: heat maps and an annotated video
ffpipe.verify("report.parquet")  # the same inputs, weights and scores, once more
figures = ffpipe.evaluate("sfcl-hcmf/paper-001", "FF++")  # AUC, EER, AP, … of the test split
ffpipe.calibrate("sfcl-hcmf/paper-001")  # scores then come with likelihood ratios
ffpipe.compare(["sida-linear/quick-001", "sfcl-hcmf/paper-001"], "FF++")
ffpipe.robustness("sfcl-hcmf/paper-001", "FF++")  # the same under damage, and controls
ffpipe.degrade("FF++/", "FF++/", crf=[23, 40])  # the qualities that lack
ffpipe.export("sfcl-hcmf/paper-001", out="net.onnx")
ffpipe.reproduce("sfcl-hcmf", dry_run=True)  # what of the paper's tables can be run on the workspace's datasets
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

    from ffpipe.pipeline.calibration.job import CalibrateResult
    from ffpipe.pipeline.degrade.job import DegradeResult
    from ffpipe.pipeline.evaluation.compare import Comparison
    from ffpipe.pipeline.evaluation.job import Evaluation
    from ffpipe.pipeline.explaining.result import Explanation
    from ffpipe.pipeline.export import ExportResult
    from ffpipe.pipeline.extract import ExtractResult
    from ffpipe.pipeline.importing import ImportResult
    from ffpipe.pipeline.preview import Sheet
    from ffpipe.pipeline.reproduction.job import Reproduction
    from ffpipe.pipeline.robustness.files import Robustness
    from ffpipe.pipeline.splits import Checked, Made
    from ffpipe.pipeline.train_result import TrainResult
    from ffpipe.pipeline.verification.job import Verification

__version__ = "0.1.0"
__all__ = [
    "__version__",
    "calibrate",
    "check_splits",
    "compare",
    "degrade",
    "evaluate",
    "explain",
    "export",
    "extract",
    "import_weights",
    "make_splits",
    "preview",
    "report",
    "reproduce",
    "robustness",
    "score",
    "train",
    "verify",
]

StrPath = str | PathLike[str]


def extract(source: StrPath, *, workspace: StrPath | None = None, **settings: Any) -> ExtractResult:
    """Extract the faces of a dataset; `settings` are those of `ffpipe extract`.

    The result has the dataset's `name` and folder (`root`), the number of `faces`, and how inputs ended: `statuses`,
    a counter, and `failures`, of each failed input its path, status and reason.
    Raises ffpipe.manifests.errors.UsageError and StorageError.

    >>> result = ffpipe.extract("clips", frames=2)  # real/ and fake/, a clip in each
    >>> result.name, dict(result.statuses), result.failures
    ('clips', {'ok': 2}, [])
    """
    from ffpipe.pipeline.config import ExtractConfig
    from ffpipe.pipeline.extract import extract as job

    return job(Path(source), ExtractConfig.build(settings), _workspace(workspace), _say)


def degrade(
    source: StrPath, out: StrPath, crf: Sequence[int], *, workspace: StrPath | None = None, **settings: Any
) -> DegradeResult:
    """Make copies of a dataset's videos at rate factors; `settings` are those of `ffpipe degrade`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import DegradeConfig
    from ffpipe.pipeline.degrade.job import degrade as job

    config = DegradeConfig.build({"crf": tuple(crf), **settings})
    return job(Path(source), Path(out), config, _workspace(workspace), _say)


def train(model: str = "sfcl-hcmf", *, workspace: StrPath | None = None, **settings: Any) -> TrainResult:
    """Train a detector on extracted faces; `settings` are those of `ffpipe train`.

    The result has the model's folder (`directory`), and `metrics`, which are those of the validation split.
    Raises ffpipe.manifests.errors.UsageError and StorageError.

    >>> result = ffpipe.train("sida-linear", data=("faces",), recipe="quick", epochs=1)
    >>> result.directory.name, sorted(file.name for file in result.directory.glob("*.safetensors"))
    ('quick-001', ['model.safetensors', 'reference.safetensors'])
    """
    from ffpipe.pipeline.config import TrainConfig
    from ffpipe.pipeline.train import train as job

    return job(TrainConfig.build({"model": model, **settings}), _workspace(workspace), _say)


def preview(out: StrPath, *, workspace: StrPath | None = None, **settings: Any) -> Sheet:
    """Draw what a training would draw as a contact sheet, PNG; `settings` are those of `ffpipe preview`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import PreviewConfig
    from ffpipe.pipeline.preview import preview as job

    return job(PreviewConfig.build(settings), _workspace(workspace), Path(out), _say)


def score(
    paths: StrPath | Sequence[StrPath],
    weights: StrPath | None = None,
    *,
    out: StrPath | None = None,
    report: StrPath | None = None,
    workspace: StrPath | None = None,
    **settings: Any,
) -> pandas.DataFrame:
    """Score media and return the report, one row an input; `settings` are those of `ffpipe score`.

    `weights` is a model folder; None takes the newest of the workspace. `out` also writes the report there, with the
    tables of tracks and of faces' scores beside it, and `report` is a folder for its pages. Of the data frame, status
    and verdict are categories, whole numbers that may be missing are nullable integers, and `.attrs["provenance"]` is
    who made it with what, a dictionary. An input that fails has a row like any other: no exception is raised for it.
    Raises ffpipe.manifests.errors.UsageError and StorageError.

    >>> report = ffpipe.score("videos", frames=2)
    >>> report[["path", "status", "verdict", "n_faces"]]
                     path   status             verdict  n_faces
    0   videos/anchor.mp4       ok  likely_manipulated        2
    1  videos/scenery.mp4  no_face      not_assessable        0
    >>> report.attrs["provenance"]["model"]["detector"]
    'meso4'
    """
    from ffpipe.pipeline import reporting
    from ffpipe.pipeline.config import ScoreConfig
    from ffpipe.pipeline.data_frames import data_frame
    from ffpipe.pipeline.score import score as job

    given = [paths] if isinstance(paths, str | PathLike) else list(paths)
    config = ScoreConfig.build({"weights": weights, **settings})
    place = _workspace(workspace)
    if report is not None:
        reporting.check_folder(Path(report))
    result = job(given, config, place, out=Path(out) if out else None, say=_say)
    if report is not None:
        reporting.report_scoring(result, Path(report), place, _say)
    return data_frame(result.report)


def report(table: StrPath, out: StrPath | None = None, *, workspace: StrPath | None = None) -> list[Path]:
    """Show a report that `score` wrote as pages, as `ffpipe report` does; returns them, the run's first.

    `out` is their folder, by default `<report>-pages` beside the report.
    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.reporting import report as job

    return job(Path(table), Path(out) if out else None, _workspace(workspace), _say)


def explain(
    path: StrPath,
    weights: StrPath | None = None,
    *,
    out: StrPath | None = None,
    workspace: StrPath | None = None,
    **settings: Any,
) -> Explanation:
    """Show where a detector looked in a video or image; `settings` are those of `ffpipe explain`.

    `weights` and `out` are folders; None takes the newest model, and a new folder in the workspace. Raises
    ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import ExplainConfig
    from ffpipe.pipeline.explaining.job import explain as job

    config = ExplainConfig.build({"weights": weights, **settings})
    return job(path, config, _workspace(workspace), out=Path(out) if out else None, say=_say)


def verify(report: StrPath, *, workspace: StrPath | None = None, **settings: Any) -> Verification:
    """Compare a report with its inputs, weights and scores as of now; `settings` are those of `ffpipe verify`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import VerifyConfig
    from ffpipe.pipeline.verification.job import verify as job

    return job(Path(report), VerifyConfig.build(settings), _workspace(workspace), _say)


def evaluate(run: StrPath, data: str, *, workspace: StrPath | None = None, **settings: Any) -> Evaluation:
    """Measure a run (its folder, or `<model>/<run>`) on a dataset; `settings` are those of `ffpipe evaluate`.

    The result has `rows`, one for each level, subset and metric, with an interval, and the folder with its files
    (`directory`). Raises ffpipe.manifests.errors.UsageError and StorageError.

    >>> result = ffpipe.evaluate("meso4/quick-001", "faces", replicates=100)
    >>> sorted({row.level for row in result.rows})
    ['frame', 'track', 'video']
    """
    from ffpipe.pipeline.config import EvaluateConfig
    from ffpipe.pipeline.evaluation.job import evaluate as job

    return job(str(run), EvaluateConfig.build({"data": data, **settings}), _workspace(workspace), _say)


def calibrate(run: StrPath, *, workspace: StrPath | None = None, **settings: Any) -> CalibrateResult:
    """Calibrate a run on media that it has not seen; `settings` are those of `ffpipe calibrate`.

    The result has the `calibration`, which `score` uses from then on, and the folder with its tables and plots
    (`directory`).
    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.calibration.job import calibrate as job
    from ffpipe.pipeline.config import CalibrateConfig

    return job(str(run), CalibrateConfig.build(settings), _workspace(workspace), _say)


def robustness(run: StrPath, data: str, *, workspace: StrPath | None = None, **settings: Any) -> Robustness:
    """Measure a run on a dataset's damaged faces, with controls; `settings` are those of `ffpipe robustness`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import RobustnessConfig
    from ffpipe.pipeline.robustness.job import robustness as job

    return job(str(run), RobustnessConfig.build({"data": data, **settings}), _workspace(workspace), _say)


def compare(
    runs: Sequence[StrPath], data: str, *, workspace: StrPath | None = None, **settings: Any
) -> Comparison:
    """Compare runs (or folders of evaluations) with the first on a dataset; `settings` are those of `ffpipe compare`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import CompareConfig
    from ffpipe.pipeline.evaluation.compare import compare as job

    config = CompareConfig.build({"data": data, **settings})
    return job([str(run) for run in runs], config, _workspace(workspace), _say)


def export(
    run: StrPath | None = None,
    *,
    out: StrPath | None = None,
    workspace: StrPath | None = None,
    **settings: Any,
) -> ExportResult:
    """Write a run's network (the newest by default) for another runtime; `settings` are those of `ffpipe export`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import ExportConfig
    from ffpipe.pipeline.export import export as job

    given = Path(run) if run else None
    return job(given, ExportConfig.build(settings), _workspace(workspace), Path(out) if out else None, _say)


def import_weights(
    file: StrPath,
    model: str,
    *,
    out: StrPath | None = None,
    name: str | None = None,
    workspace: StrPath | None = None,
    **settings: Any,
) -> ImportResult:
    """Take over a foreign checkpoint as a run, or as a file for `pretrained`; `settings` are the command line's.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import ImportConfig
    from ffpipe.pipeline.importing import import_weights as job

    config = ImportConfig.build({"model": model, **settings})
    place = Path(out) if out else None
    return job(Path(file), config, _workspace(workspace), out=place, name=name, say=_say)


def make_splits(target: StrPath, out: StrPath, *, workspace: StrPath | None = None, **settings: Any) -> Made:
    """Divide a source tree or a stored dataset by a protocol; `settings` are those of `ffpipe splits make`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import SplitsConfig
    from ffpipe.pipeline.splits import make_splits as job

    return job(str(target), Path(out), SplitsConfig.build(settings), _workspace(workspace), _say)


def check_splits(
    target: StrPath, of: StrPath | None = None, *, workspace: StrPath | None = None, **settings: Any
) -> Checked:
    """What stands in more than one split; `settings` are those of `ffpipe splits check`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import SplitsConfig
    from ffpipe.pipeline.splits import check_splits as job

    media = None if of is None else str(of)
    return job(str(target), SplitsConfig.build(settings), _workspace(workspace), _say, media)


def reproduce(paper: str, *, workspace: StrPath | None = None, **settings: Any) -> Reproduction:
    """Run a paper's protocol on the datasets of the workspace; `settings` are those of `ffpipe reproduce`.

    Raises ffpipe.manifests.errors.UsageError and StorageError.
    """
    from ffpipe.pipeline.config import ReproduceConfig
    from ffpipe.pipeline.reproduction.job import reproduce as job

    return job(paper, ReproduceConfig.build(settings), _workspace(workspace), _say)


def _workspace(given: StrPath | None) -> Any:
    from ffpipe.pipeline.workspace import Workspace

    return Workspace.find(Path(given) if given else None)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
