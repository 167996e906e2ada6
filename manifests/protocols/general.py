"""Protocols that fit any dataset: a seeded division, and the dataset's own."""

from __future__ import annotations

from ffpipe.manifests.division import divide
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import Division, Material, Options, link_notes, register, shares_line
from ffpipe.manifests.splits import RATIOS


@register("seeded", "seed", "ratios", "links")
def _seeded(material: Material, options: Options) -> Division:
    """Whole groups divided by seed, 72 : 14 : 14 unless --ratios says otherwise.

    The shares are FaceForensics++'s own (Roessler et al., ICCV 2019); the division is ffpipe's, and no paper's.
    """
    ratios = options.ratios or RATIOS
    entries = divide(material.entries, material.contents, options.seed, ratios, options.links or "whole")
    return Division(entries, [shares_line(entries, ratios), *link_notes(entries, options.links)])


@register("official")
def _official(material: Material, _: Options) -> Division:
    """The dataset's own split, as its layout reads it from the owner's files and folders.

    Nothing is moved: where the owners' split has one person on both sides, so has this one, and `check` says so.
    """
    if not material.has_own_split:
        raise UsageError(
            f"there is no official split here (the split is {material.split_source}); "
            "--protocol seeded draws one, extract's --splits takes the owner's files"
        )
    return Division(list(material.entries), [f"the split is {material.split_source}"])
