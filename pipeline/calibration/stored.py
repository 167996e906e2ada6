"""The calibration in a model's folder: one sealed file, bound to the weights beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffpipe.manifests.errors import StorageError, WeightsError
from ffpipe.manifests.sealed import read_sealed, sealed
from ffpipe.manifests.shards import write_atomic
from ffpipe.stages.calibration import Calibration

#: The file in a model's folder. The weights' own hashes do not cover it: it comes later, and may be replaced.
FILE = "calibration.json"
#: The result of a finished calibration, in a folder of its own, and its tables.
RESULT, TEXT = "result.json", "calibration.md"


@dataclass(frozen=True, slots=True)
class StoredCalibration:
    """A calibration with the media (and clips) that it was fitted to, and what it is bound to.

    `folder` has its figures and is relative to the model's.
    """

    calibration: Calibration
    media: frozenset[str]
    clips: frozenset[str]
    folder: str
    bound: Mapping[str, Any]
    provenance: Mapping[str, Any]

    def write(self, directory: Path) -> Path:
        """Write it into a model's folder; returns the file. Raises StorageError."""
        facts = {
            "id": self.calibration.id,
            "calibration": self.calibration.to_json(),
            "media": sorted(self.media),
            "clips": sorted(self.clips),
            "folder": self.folder,
            "bound": dict(self.bound),
            "provenance": dict(self.provenance),
        }
        write_atomic(directory / FILE, sealed(facts, indent=1))
        return directory / FILE


def read_stored(directory: Path, model_id: str) -> StoredCalibration | None:
    """The calibration in the folder of the weights with this model_id; None where there is none.

    Raises WeightsError where it is damaged, or of other weights: scores would mean what nobody measured.
    """
    path = directory / FILE
    if not path.exists():
        return None
    mend = f"`ffpipe calibrate {directory} --overwrite` makes it anew"
    try:
        stored = read_sealed(path)
        calibration = Calibration.from_json(stored["calibration"])
        found = StoredCalibration(
            calibration,
            frozenset(map(str, stored["media"])),
            frozenset(map(str, stored["clips"])),
            str(stored["folder"]),
            dict(stored["bound"]),
            dict(stored["provenance"]),
        )
    except StorageError as error:
        raise WeightsError(f"{error.message}; {mend}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: damaged: {error!r}; {mend}") from None
    if stored.get("id") != calibration.id:
        raise WeightsError(f"{path}: damaged: its calibration has another id than it says; {mend}")
    if calibration.model_id != model_id:
        raise WeightsError(
            f"{path}: calibrates the weights {calibration.model_id[:16]}, not those beside it, {model_id[:16]}; {mend}"
        )
    return found
