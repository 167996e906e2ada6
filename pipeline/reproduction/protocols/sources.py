"""The datasets of the papers as a protocol needs them: layout, parts, counts, split, and how to extract them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ffpipe.manifests.records import Split
from ffpipe.stages.crop import Kind

#: The four methods that the FaceForensics++ paper came with, by the abbreviations of the papers' tables.
FOUR_METHODS = {"DF": "Deepfakes", "FS": "FaceSwap", "F2F": "Face2Face", "NT": "NeuralTextures"}
#: What the layouts call uncompressed video.
RAW = "c0"


@dataclass(frozen=True, slots=True)
class Expected:
    """Media of a split: real ones, and fakes of each method."""

    real: int
    fake: int


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset of a protocol.

    key: what `--use KEY=NAME` and `--splits KEY=FILE` call it. layout: as extract records it. version: of those that
    share a layout. folder: stands for the user's copy in commands. only: globs of what is extracted. classes: object
    classes of the training pictures. protocol: the split by its name of `ffpipe splits make`, where the owner has
    none. expected: media of each split, and under None of the whole, as far as they are known.
    """

    key: str
    title: str
    layout: str
    folder: str
    version: str | None = None
    kind: Kind = "face"
    only: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    protocol: str | None = None
    split_files: bool = False
    expected: Mapping[Split | None, Expected] = field(default_factory=dict)

    def extract_command(self, frames: int | None, detector: str | None, workspace: Sequence[str]) -> str:
        """The command that brings the dataset into the workspace; `workspace` are words that name it."""
        words = ["ffpipe", "extract", self.folder]
        words += ["--frames", str(frames)] if frames and self.kind != "whole" else []
        words += ["--detector", detector] if detector and self.kind == "face" else []
        words += [word for glob in self.only for word in ("--only", glob)]
        words += ["--splits", "SPLITS/"] if self.split_files else []
        return shlex.join([*words, *workspace])


_FFPP_SPLIT: dict[Split | None, Expected] = {
    Split.TRAIN: Expected(720, 720),
    Split.VAL: Expected(140, 140),
    Split.TEST: Expected(140, 140),
}
_PROGAN_CLASSES = ("horse", "chair", "car", "cat")

FFPP = Source(
    "ffpp", "FaceForensics++", "ffpp", "FF++/", split_files=True, expected=_FFPP_SPLIT
)  # 360, 70 and 70 pairs of the owners' files
CELEB_DF_V1 = Source(
    "celeb-df-v1",
    "Celeb-DF v1",
    "celeb-df",
    "Celeb-DF/",
    version="v1",
    protocol="sffb-celeb-df-6-1-1",
    expected={None: Expected(408, 795)},
)
CELEB_DF_V2 = Source(
    "celeb-df-v2",
    "Celeb-DF v2",
    "celeb-df",
    "Celeb-DF-v2/",
    version="v2",
    expected={None: Expected(890, 5639), Split.TEST: Expected(178, 340)},
)
DFDC = Source("dfdc", "DFDC", "dfdc", "DFDC/")
WILD_DEEPFAKE = Source(
    "wilddeepfake",
    "WildDeepfake",
    "wilddeepfake",
    "WildDeepfake/",
    kind="crop",
    expected={None: Expected(3805, 3509)},
)
FORENSYNTHS = Source(
    "forensynths",
    "ForenSynths",
    "forensynths",
    "ForenSynths/",
    kind="whole",
    only=(*(f"train/*/{name}" for name in _PROGAN_CLASSES), "val", "test"),
    classes=_PROGAN_CLASSES,
    expected={Split.TRAIN: Expected(72_000, 72_000)},
)
DIFFUSION_FAKES = Source(
    "diffusion-fakes",
    "the diffusion sets of Ojha et al. and DIRE",
    "diffusion-fakes",
    "diffusion_datasets/",
    kind="whole",
)


def by_key(*sources: Source) -> dict[str, Source]:
    """Sources by their keys."""
    return {source.key: source for source in sources}
