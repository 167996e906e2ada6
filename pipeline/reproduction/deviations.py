"""In what a run of ours differs from what its paper did, as far as it can be told: said beside every figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffpipe.manifests.datasets.forensynths import PROGAN_CLASSES
from ffpipe.manifests.records import Split
from ffpipe.models.registry import detector_info
from ffpipe.pipeline.config import ReproduceConfig
from ffpipe.pipeline.recipe_book import recipes_of
from ffpipe.pipeline.reproduction.data import Holding, Need, incomplete
from ffpipe.pipeline.reproduction.protocols.protocol import Protocol, Training, Trial
from ffpipe.pipeline.reproduction.protocols.sources import Source
from ffpipe.pipeline.training_job import counted

REHEARSAL = "a rehearsal with the quick recipe: small networks, few epochs, small images"


def of_training_data(protocol: Protocol, training: Training, held: Holding) -> list[str]:
    """How the pictures that a training learns from differ from the paper's."""
    source = protocol.sources[training.source]
    need = Need(source, Split.TRAIN, training.frames, training.quality, training.methods)
    return [*_of_data(protocol, need, held), *_of_classes(source, held)]


def of_test_data(protocol: Protocol, test: Trial, held: Holding) -> list[str]:
    """How the pictures of a test differ from the paper's."""
    need = Need(protocol.sources[test.source], Split.TEST, test.frames, test.quality, test.methods)
    return _of_data(protocol, need, held)


def of_settings(training: Training, config: ReproduceConfig) -> list[str]:
    """What the user's settings change in the paper's recipe."""
    lines = [REHEARSAL] if config.recipe == "quick" else []
    paper, quick = recipes_of(training.detector)
    own = quick if config.recipe == "quick" else paper
    if config.epochs is not None and config.epochs != own.epochs:
        lines.append(f"{counted(config.epochs, 'epoch')} in place of {own.epochs}")
    if config.limit is not None:
        lines.append(f"at most {config.limit} faces an epoch")
    if config.num_workers > 1:
        lines.append(f"{config.num_workers} workers, so that a step has as many times the paper's batch")
    return lines


def paper_weights(detector: str) -> str | None:
    """The published weights that a paper's training starts from; None where it starts from random ones."""
    return recipes_of(detector)[0].pretrained if detector_info(detector).pretrained else None


def of_run(training: Training, facts: Mapping[str, Any]) -> list[str]:
    """What the config.json of a finished run tells: its first weights, and whether anything validated it."""
    lines = []
    wanted, had = paper_weights(training.detector), facts["recipe"]["pretrained"]
    if wanted != had:
        lines.append(
            f"{'random weights' if had is None else f'weights of {had}'} in place of {wanted or 'random'} ones"
        )
    if not facts.get("validated"):
        lines.append("nothing validated the run: its weights are those of the last epoch")
    return lines


def _of_data(protocol: Protocol, need: Need, held: Holding) -> list[str]:
    lines = [*incomplete(held, need), *_of_split(need.source, held)]
    if need.frames and held.kind != "whole" and held.frames < need.frames:
        lines.append(f"{held.name}: at most {held.frames} frames a video, the paper takes {need.frames}")
    if held.kind == "face" and protocol.face_detector and held.detector != protocol.face_detector:
        lines.append(
            f"{held.name}: faces found by {held.detector or 'what is not on record'}, "
            f"the paper's by {protocol.face_detector}"
        )
    if held.kind != need.source.kind:
        lines.append(
            f"{held.name}: pictures of kind {held.kind}, the protocol's are of kind {need.source.kind}"
        )
    return lines


def _of_split(source: Source, held: Holding) -> list[str]:
    if source.protocol and held.split_source != source.protocol:
        return [f"{held.name}: its split is {held.split_source}, the paper's is {source.protocol}"]
    if not source.protocol and not held.split_source.startswith("official"):
        return [f"{held.name}: the split is not its owner's ({held.split_source})"]
    return []


def _of_classes(source: Source, held: Holding) -> list[str]:
    if not source.classes:
        return []
    absent = [name for name in source.classes if name not in held.folders]
    others = sorted(held.folders & PROGAN_CLASSES - set(source.classes))
    lines = [f"{held.name}: not trained on {', '.join(absent)}"] if absent else []
    return lines + ([f"{held.name}: trained on {', '.join(others)} as well"] if others else [])
