"""FaceForensics++'s official split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ffpipe.manifests.datasets.ffpp import DFD, METHODS, ORIGINS
from ffpipe.manifests.datasets.ffpp_splits import OFFICIAL_FILES
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import Division, Material, Options, register
from ffpipe.manifests.records import Entry, Split

LAYOUT = "ffpp"
#: Videos in train, validation and test, of each method as of the originals.
VIDEOS = {Split.TRAIN: 720, Split.VAL: 140, Split.TEST: 140}


@register("ffpp-720-140-140", "official")
def _ffpp(material: Material, _: Options) -> Division:
    """FaceForensics++'s official 720 : 140 : 140 videos, by the owner's train.json, val.json and test.json.

    Roessler et al., ICCV 2019; the split of SFCL-HCMF's tables and of most papers. A fake belongs where both of its
    videos belong. DeepFakeDetection is no part of it and is left out.
    """
    if material.layout != LAYOUT:
        raise UsageError(
            f"ffpp-720-140-140 is a split of FaceForensics++; the layout here is {material.layout}"
        )
    if not material.split_source.startswith("official"):
        raise UsageError(
            f"ffpp-720-140-140 needs the owner's {', '.join(OFFICIAL_FILES.values())} "
            "(https://github.com/ondyari/FaceForensics, in dataset/splits): put them beside the data or in splits/, "
            "or give their folder with --splits DIR"
        )
    entries = [replace(entry, split=None) if entry.subset == DFD else entry for entry in material.entries]
    dfd = sum(entry.subset == DFD for entry in entries)
    left_out = {
        "videos belong to no official split": sum(entry.split is None for entry in entries) - dfd,
        "videos of DeepFakeDetection are no part of the protocol": dfd,
    }
    notes = [f"{count} {what} and are left out" for what, count in left_out.items() if count]
    return Division(entries, notes + _ffpp_counts(entries))


def _ffpp_counts(entries: Sequence[Entry]) -> list[str]:
    """Videos found of each split, of the originals and of each method, where they are not the official number."""
    notes = []
    for method in (None, *METHODS):
        found = {
            split: len({e.pair_id for e in entries if e.split is split and e.method == method})
            for split in Split
        }
        if any(found.values()) and found != VIDEOS:
            counts = " : ".join(str(found[split]) for split in Split)
            notes.append(f"{method or next(iter(ORIGINS))}: {counts} videos, officially 720 : 140 : 140")
    return notes
