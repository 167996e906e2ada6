"""The robustness job: a split's stored faces damaged in kinds and degrees and scored, and the controls beside."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

import numpy as np

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.records import Split
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.config import RobustnessConfig
from ffpipe.pipeline.evaluation.media import ChosenMedia, choose_split
from ffpipe.pipeline.evaluation.parts import EvaluationFolder
from ffpipe.pipeline.evaluation.subject import Subject, prepare
from ffpipe.pipeline.faces import rows_of_media
from ffpipe.pipeline.loader import ShardFaces
from ffpipe.pipeline.output import Advance, Say
from ffpipe.pipeline.robustness.controls import Setting, controls, painter
from ffpipe.pipeline.robustness.files import FOLDER, RESULT, Robustness, write_files
from ffpipe.pipeline.robustness.scores import Faces, Pixels, Scored, Treatment, score_treated
from ffpipe.pipeline.stored_media import crop_settings, stored_job
from ffpipe.pipeline.weights import find_run
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.evaluation import above
from ffpipe.stages.infer import Scorer
from ffpipe.stages.perturb import Perturbation
from ffpipe.stages.robustness import STORED, Control, Point, point

_BACKGROUND = "background"
#: A score's threshold where validation set none, as for the papers' accuracies.
_EVEN = 0.5
_UNSET = "validation set none"
_LIMIT = "the network is driven to its limit there, and an AUC of 0.5 says nothing else"


def robustness(
    run: str, config: RobustnessConfig, workspace: Workspace, say: Say, advance: Advance | None = None
) -> Robustness:
    """Score a split's faces under damage of every kind and degree, measure the controls, and write it all.

    A run that was interrupted goes on where it was, and is one opening of the test split.
    `run` is a model's folder, or `<model>/<run>` in the workspace. Raises as `evaluate.evaluate`.
    """
    subject = prepare(find_run(run, workspace), config, workspace, say)
    setting = _setting(config, workspace, subject.chosen)
    depends = _depends(config, subject, setting)
    folder = EvaluationFolder.open(subject.run, subject.name, depends, kind=FOLDER, result=RESULT)
    with folder.work(say):
        facts = subject.facts(f"{FOLDER}/{folder.path.name}") | {
            "threshold": _EVEN if subject.threshold is None else subject.threshold,
            "threshold_is": _UNSET if subject.threshold is None else "chosen on validation",
        }
        subject.open(folder, facts, say)
        result = _measure(config, setting, subject.scorer, facts, folder, say, advance)
        result.facts["provenance"] = provenance.finish(facts["provenance"])
        write_files(result)
    log.note(workspace, "robustness", result.facts["provenance"], [folder.path / RESULT])
    say(f"curves and controls: {folder.path}")
    return result


def _depends(config: RobustnessConfig, subject: Subject, setting: Setting) -> dict[str, Any]:
    """All that single scores depend on."""
    faces = hashlib.sha256(setting.faces.rows.astype("<i8").tobytes())
    for medium in setting.faces.source.table.media:
        faces.update(medium.encode())
    return {
        **subject.depends(),
        "faces": faces.hexdigest(),
        "treatments": list(_treatments(config, setting)),
        "seed": config.seed,
    }


def _measure(
    config: RobustnessConfig,
    setting: Setting,
    scorer: Scorer,
    facts: dict[str, Any],
    folder: EvaluationFolder,
    say: Say,
    advance: Advance | None,
) -> Robustness:
    faces = setting.faces
    facts |= {"level": faces.level, "faces": len(faces.rows)}
    lossy = faces.table.downscaled(faces.rows)
    if lossy:
        facts["notes"] = [
            *facts["notes"],
            f"{lossy} of {len(faces.rows)} faces were stored smaller than they were: their statistics under damage are "
            "of the stored face, those of the untouched ones of the original",
        ]
    treatments = _treatments(config, setting)
    say(f"{len(faces.rows)} faces, each in {len(treatments)} states")
    logits = score_treated(faces, treatments, scorer, advance, folder.parts)
    scored = {name: faces.scored(found) for name, found in logits.items()}

    # The papers call fake what reaches 0.5, a verdict what exceeds the threshold.
    bar = _EVEN if facts["threshold_is"] == _UNSET else above(facts["threshold"])

    def measured(name: str, kind: str, strength: float | None) -> Point:
        return _point(config, scored[name], kind, strength, bar)

    points = [measured(_name(p), p.kind, p.strength) for levels in config.curves().values() for p in levels]
    if flat := [_name(Perturbation(p.kind, p.strength or 0.0)) for p in points if p.scores == 1]:
        facts["notes"] = [*facts["notes"], f"all scores are the same at {', '.join(flat)}: {_LIMIT}"]
    found: list[Control] = []
    if config.controls:
        say("controls")
        found = controls(setting, scored[STORED], scored.get(_BACKGROUND))
    return Robustness(folder.path, measured(STORED, STORED, None), points, found, facts)


def _setting(config: RobustnessConfig, workspace: Workspace, chosen: ChosenMedia) -> Setting:
    trained, reason = None, ""
    if config.controls:
        trained, reason = _trained(config, workspace)
    labelled = chosen.labelled() | (trained.labelled() if trained else {})
    source = ShardFaces.index([chosen.group], labelled)
    rows = rows_of_media(source.table, [m.media_id for m in chosen.media])
    faces = Faces.of(source, rows, config.frames_per_video, config.faces, config.seed)
    cut = crop_settings([chosen.name], [stored_job(chosen.group)])
    return Setting(chosen, faces, cut, trained, reason, config.replicates, config.seed)


def _trained(config: RobustnessConfig, workspace: Workspace) -> tuple[ChosenMedia | None, str]:
    """The dataset's own train split, to fit references to; or why there is none."""
    if config.split in (Split.TRAIN, "all"):
        return None, f"references are fitted to the train split, which --split {config.split} measures"
    try:
        return choose_split(workspace, config, Split.TRAIN), ""
    except UsageError as error:
        return None, error.message


def _treatments(config: RobustnessConfig, setting: Setting) -> dict[str, Treatment | None]:
    treatments: dict[str, Treatment | None] = {STORED: None}
    for levels in config.curves().values():
        treatments |= {_name(p): _damage(p, config.seed) for p in levels}
    if config.controls and (paint := painter(setting)) is not None:
        treatments[_BACKGROUND] = paint
    return treatments


def _name(perturbation: Perturbation) -> str:
    return f"{perturbation.kind} {perturbation.strength:g}"


def _damage(perturbation: Perturbation, seed: int) -> Treatment:
    """The same numbers are drawn for a face at every strength, so that a curve shows the strength alone."""
    kind = zlib.crc32(perturbation.kind.encode())

    def treat(crop: Pixels, row: int) -> Pixels:
        return perturbation.apply(crop, np.random.default_rng([seed, kind, row]))

    return treat


def _point(
    config: RobustnessConfig, scored: Scored, kind: str, strength: float | None, threshold: float
) -> Point:
    return point(
        kind,
        strength,
        scored.label,
        scored.score,
        scored.group,
        threshold=threshold,
        unscored=scored.unscored,
        replicates=config.replicates,
        seed=config.seed,
    )
