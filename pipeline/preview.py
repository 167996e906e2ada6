"""The preview job: faces of a training run on a contact sheet, each as stored, as blended, and as training draws it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.shards import write_atomic
from ffpipe.models.registry import detector_info, list_detectors
from ffpipe.pipeline import log, provenance
from ffpipe.pipeline.batches import NetworkInput, TrainBatches
from ffpipe.pipeline.config import PreviewConfig
from ffpipe.pipeline.contact_sheet import Cell, Row, draw_sheet, with_provenance
from ffpipe.pipeline.faces import Face
from ffpipe.pipeline.output import Say, inert
from ffpipe.pipeline.recipe_book import recipes_of
from ffpipe.pipeline.recipe_choice import adjust
from ffpipe.pipeline.recipes import Recipe
from ffpipe.pipeline.stored_media import labelled_media
from ffpipe.pipeline.training_data import choose_media, pseudo_fakes
from ffpipe.pipeline.training_job import TrainingJob, prepare
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.augment import numpy_generator
from ffpipe.stages.infer import to_input
from ffpipe.stages.self_blend import self_blend

Pixels = npt.NDArray[np.uint8]

#: Epochs that are looked through for draws of a face: with some balances an epoch leaves faces out.
_EPOCHS = 50


class Draw(NamedTuple):
    """A draw of a face: in which epoch, which copy, and whether a fake is made of it."""

    epoch: int
    copy: int
    blended: bool


@dataclass(frozen=True, slots=True)
class Sheet:
    """The file, and for each row what it shows."""

    path: Path
    faces: list[dict[str, Any]]


def preview(config: PreviewConfig, workspace: Workspace, out: Path, say: Say) -> Sheet:
    """Write a contact sheet of what training with these settings would draw, as PNG.

    Raises UsageError (settings, data, a file that is no .png), StorageError where the file cannot be written.
    """
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out {out}: the sheet is a PNG, so give a name that ends in .png")
    began = provenance.now()
    job, paths = _job(config, workspace, say)
    size = detector_info(config.model).resolve(job.recipe.options).get("input_size")
    network = NetworkInput(int(size or detector_info(config.model).input_size), False, job.fit)
    batches, _ = prepare(job, job.faces(verify=False), network)
    shown = _Shown(batches, network, paths)
    found = shown.faces(config.faces, config.draws)
    rows = [shown.row(row, draws) for row, draws in found.items()]
    origin = provenance.finish(provenance.collect(config, seed=config.seed, started=began))
    write_atomic(out, with_provenance(draw_sheet(_title(job), rows), origin))
    log.note(workspace, "preview", origin, [out])
    say(
        f"{len(rows)} faces of {', '.join(root.name for root in job.datasets)}, {job.recipe.name} recipe: {out}"
    )
    return Sheet(out, [shown.facts(row, draws) for row, draws in found.items()])


def _job(config: PreviewConfig, workspace: Workspace, say: Say) -> tuple[TrainingJob, dict[str, str]]:
    """The run that training would make of these settings, without a folder; and the path of each medium."""
    recipe, pseudo = _recipe(config), pseudo_fakes(config)
    media = choose_media(
        workspace,
        config.data,
        config.quality,
        recipe.left_out,
        config.seed,
        pseudo,
        splits=config.splits,
        methods=config.methods,
    )
    for note in media.notes:
        say(note)
    job = TrainingJob(
        folder=Path(),
        datasets=tuple(workspace.dataset(name).root for name in media.datasets),
        train=media.train,
        validation=media.validation,
        model=config.model,
        recipe=recipe,
        seed=config.seed,
        limit=config.limit,
        fit=media.crop.fit,
        balance=config.balance,
        pseudo=pseudo,
    )
    stored = [m for name in media.datasets for m in labelled_media(workspace.dataset(name))]
    return job, {m.media_id: m.path for m in stored}


def _recipe(config: PreviewConfig) -> Recipe:
    """The recipe, without its weights: a sheet needs none."""
    if config.model not in list_detectors():
        raise UsageError(f"--model {config.model}: there are {', '.join(list_detectors())}")
    paper, quick = recipes_of(config.model)
    by_name = {"paper": paper, "quick": quick, "auto": paper if torch.cuda.is_available() else quick}
    recipe = adjust(by_name[config.recipe], config)
    try:
        detector_info(config.model).resolve(config.options)
    except ValueError as error:
        raise UsageError(str(error)) from None
    return replace(recipe, options={**recipe.options, **config.options})


def _title(job: TrainingJob) -> str:
    words = job.recipe.augmentation.describe() or "no augmentation"
    made = "; self-blended fakes" if job.pseudo else ""
    return f"{job.model}, {job.recipe.name} recipe, seed {job.seed}{made}. Augmentation: {words}"


@dataclass(frozen=True, slots=True)
class _Shown:
    """Makes the rows of a sheet out of the batches of a run."""

    batches: TrainBatches
    network: NetworkInput
    paths: dict[str, str]

    def faces(self, most: int, draws: int) -> dict[int, list[Draw]]:
        """The first faces of the first epoch, of as many media as there are, each with its first draws."""
        order = self.batches.sampler.order(0)
        table = self.batches.source.table
        _, first = np.unique(table.medium[order.rows], return_index=True)
        later = np.setdiff1d(np.arange(len(order.rows)), first)
        places = np.concatenate([np.sort(first), later])
        rows = list(dict.fromkeys(order.rows[places].tolist()))[:most]
        found: dict[int, list[Draw]] = {row: [] for row in rows}
        for epoch in range(_EPOCHS):
            self._add_draws(found, epoch)
            if all(len(drawn) >= draws for drawn in found.values()):
                break
        return {row: drawn[:draws] for row, drawn in found.items()}

    def _add_draws(self, found: dict[int, list[Draw]], epoch: int) -> None:
        order = self.batches.sampler.order(epoch)
        for place in np.flatnonzero(np.isin(order.rows, list(found))):
            draw = Draw(epoch, int(order.copies[place]), bool(order.blended[place]))
            found[int(order.rows[place])].append(draw)
        for drawn in found.values():
            drawn.sort()

    def row(self, row: int, draws: list[Draw]) -> Row:
        """The stored face, what the first blend is made of, and the draws as the network gets them."""
        (face,) = self.batches.source.fetch([row])
        label = "fake" if self.batches.source.table.label[row] else "real"
        cells = [Cell(f"stored, {label}", face.crop)]
        for draw in islice((draw for draw in draws if draw.blended), 1):
            cells += self._blend(face, row, draw)
        cells += [Cell(_caption(draw, label), self._drawn(face, row, draw)) for draw in draws]
        facts = self.facts(row, draws)
        height, width = face.crop.shape[:2]
        return Row(f"{inert(facts['path'])}, frame {facts['frame']}, {width} x {height} pixels", cells)

    def facts(self, row: int, draws: list[Draw]) -> dict[str, Any]:
        """Which face a row is, and its draws."""
        table = self.batches.source.table
        path = self.paths[table.media[table.medium[row]]]
        return {
            "path": path,
            "frame": int(table.frame[row]),
            "label": int(table.label[row]),
            "draws": [draw._asdict() for draw in draws],
        }

    def _blend(self, face: Face, row: int, draw: Draw) -> Iterator[Cell]:
        random = numpy_generator(self.batches.generator(draw.epoch, row, draw.copy, draw.blended))
        made = self_blend(face.crop, self.batches.source.table.shape(row), random)
        changed = {made.changed: ", changed"}
        yield Cell(f"source{changed.get('source', '')}", made.source)
        yield Cell(f"target{changed.get('target', '')}", made.target)
        grey = np.rint(255 * made.mask).astype(np.uint8)
        yield Cell(f"{made.part}, ratio {made.ratio:g}", np.repeat(grey[..., None], 3, axis=2))
        yield Cell(f"blend of epoch {draw.epoch + 1}", made.pixels)

    def _drawn(self, face: Face, row: int, draw: Draw) -> Pixels:
        """A draw as it goes into the network."""
        drawn = self.batches.drawn(face, draw.epoch, row, draw.copy, draw.blended, self.network)
        image = to_input(drawn.crop, self.network.size, self.network.fit)  # (3,S,S)
        pixels: Pixels = (255 * image).round().byte().permute(1, 2, 0).numpy()
        return pixels


def _caption(draw: Draw, label: str) -> str:
    return f"drawn {'self-blended' if draw.blended else label}, epoch {draw.epoch + 1}"
