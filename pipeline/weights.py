"""A model folder as scoring needs it: the network, how its faces are cut, what its scores and its faces are held to."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch

from ffpipe.manifests.content import read_file
from ffpipe.manifests.errors import UsageError, WeightsError
from ffpipe.models import checkpoint
from ffpipe.models.errors import CheckpointError
from ffpipe.pipeline.calibration.stored import read_stored
from ffpipe.pipeline.output import Say
from ffpipe.pipeline.workspace import Workspace
from ffpipe.stages.aggregate import Thresholds
from ffpipe.stages.calibration import Calibration
from ffpipe.stages.crop import CropSettings, Kind
from ffpipe.stages.domain import Reference
from ffpipe.stages.reference_file import MAX_BYTES, REFERENCE, from_bytes

#: Key of config.json with the sha256 of the model's reference; absent where it has none.
REFERENCE_HASH = "reference_sha256"
#: Key of config.json that says whether its crop settings are those of training; absent where they are.
CROPS_KNOWN = "crops_known"
_TRAINED_ON: dict[Kind, str] = {
    "face": "these weights read faces that ffpipe cuts itself ({})",
    "crop": "these weights were trained on ready-made face crops, cut nobody knows how, which --cropped scores",
    "whole": "these weights were trained on whole images, which they score without --cropped",
}
_REFUSED: dict[Kind, str] = {
    "face": "--accept-crops scores faces that ffpipe cuts itself ({})",
    "crop": "--cropped: nothing says how these faces were cut; --accept-crops scores them all the same",
    "whole": "--whole: images that are not cut to a face; --accept-crops scores them all the same",
}


@dataclass(frozen=True, slots=True)
class Weights:
    """Loaded weights with crop settings, thresholds and calibration (None: uncalibrated).

    Foreign ones may not say how their faces were cut. reference: what their training faces were like; None for foreign
    ones, and where an older version trained them.
    """

    loaded: checkpoint.LoadedModel
    crop: CropSettings
    thresholds: Thresholds
    crops_known: bool = True
    calibration: Calibration | None = None
    reference: Reference | None = None

    @classmethod
    def load(cls, directory: Path, device: str | torch.device = "cpu", *, calibrated: bool = True) -> Self:
        """The weights in a folder, with their calibration unless that is not wanted.

        Raises WeightsError where the folder is no whole model, or what lies in it is damaged or does not belong
        together.
        """
        try:
            loaded = checkpoint.load(directory, device)
        except CheckpointError as error:
            raise WeightsError(str(error)) from None
        crop = _crop(loaded.config, directory)
        known = loaded.config.get(CROPS_KNOWN, True) is True
        stored = read_stored(directory, loaded.model_id) if calibrated else None
        return cls(
            loaded,
            crop,
            Thresholds.from_json(loaded.config.get("thresholds")),
            known,
            stored.calibration if stored else None,
            _reference(loaded),
        )

    @property
    def model_id(self) -> str:
        """Identity of the weights: the sha256 of their file."""
        return self.loaded.model_id

    @property
    def name(self) -> str:
        """The detector and the folder of its run, for people."""
        return f"{self.loaded.config['detector']} in {self.loaded.directory}"

    def inputs(self, asked: Kind | None) -> CropSettings:
        """How pictures are taken for these weights: as was asked; whole for weights of whole images; else faces."""
        return replace(self.crop, kind=asked or ("whole" if self.crop.kind == "whole" else "face"))

    def calibration_for(self, crop: CropSettings) -> Calibration | None:
        """The calibration, where faces so cut are what it was fitted to; it says nothing of others."""
        fits = self.calibration and self.calibration.scope.crop_fingerprint == crop.fingerprint()
        return self.calibration if fits else None

    def accepts(self, kind: Kind, accept_crops: bool) -> bool:
        """Whether pictures are scored that are of another kind than those of training; the rows then say so.

        Raises UsageError where that was not accepted.
        """
        if kind == self.crop.kind and self.crops_known:
            return False
        if accept_crops:
            return True
        self.require_known()
        raise UsageError(
            f"{_TRAINED_ON[self.crop.kind].format(self._cut)}; {_REFUSED[kind].format(self._cut)}"
        )

    def require_known(self) -> None:
        """Raises UsageError for foreign weights that come without a word on how their faces were cut."""
        if not self.crops_known:
            raise UsageError(
                f"{self.name}: foreign weights, and nothing says how their faces were cut; --accept-crops scores "
                "them all the same, or import them again with --crops"
            )

    @property
    def _cut(self) -> str:
        return f"margin {self.crop.margin:g}, fingerprint {self.crop.fingerprint()}"


def find_run(given: str | Path, workspace: Workspace, option: str = "RUN") -> Path:
    """The folder of a trained model: given as such, by the weights file in it, or as MODEL/RUN in the workspace.

    Raises UsageError, naming the command-line `option` and the runs that there are.
    """
    for path in (Path(given), workspace.root / "models" / given):
        directory = path.parent if path.name == checkpoint.WEIGHTS and path.is_file() else path
        if directory.is_dir():
            return Path(os.path.abspath(directory))  # noqa: PTH100 - symlinks stay as the user named them
    known = [f"{path.parent.name}/{path.name}" for path in workspace.finished_models()]
    raise UsageError(
        f"{option} {given}: no such folder or run; give the folder of a trained model, or one of "
        f"{', '.join(known) or '(none yet)'} in {workspace.root}"
    )


def choose_run(given: str | Path | None, workspace: Workspace, say: Say, option: str = "RUN") -> Path:
    """`find_run`, or the workspace's newest model where none was given; says which. Raises UsageError."""
    directory = find_run(given, workspace, option) if given else workspace.newest_model()
    say(f"weights: {directory}" + ("" if given else ", the newest in the workspace"))
    return directory


def _reference(loaded: checkpoint.LoadedModel) -> Reference | None:
    """The reference that config.json, under its own hash, names by a hash: a lost or foreign one is told."""
    stored = loaded.config.get(REFERENCE_HASH)
    if stored is None:
        return None
    path = loaded.directory / REFERENCE
    try:
        data = read_file(path, MAX_BYTES)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from None
    if checkpoint.content_id(data) != stored:
        raise WeightsError(f"{path} is damaged: its sha256 is not the one in {checkpoint.CONFIG}")
    try:
        return from_bytes(data, loaded.model_id)
    except ValueError as error:
        raise WeightsError(f"{path} is no reference of these weights: {error}") from None


def _crop(config: dict[str, Any], directory: Path) -> CropSettings:
    try:
        crop = CropSettings.from_json(config["crop"])
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{directory}: config.json says nothing valid of how faces are cut: {error}"
        ) from None
    if crop.fingerprint() != config.get("crop_fingerprint"):
        raise WeightsError(
            f"{directory}: config.json's crop settings do not have its crop_fingerprint "
            f"{config.get('crop_fingerprint')!r}; it was written by another version of ffpipe"
        )
    return crop
