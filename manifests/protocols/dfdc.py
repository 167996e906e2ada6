"""DFDC by the parts of its training set."""

from __future__ import annotations

import re
from dataclasses import replace

from ffpipe.manifests.datasets.dfdc import PARTS, split_of_part
from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import Division, Material, Options, register
from ffpipe.manifests.records import Split

_PART = re.compile(r"dfdc_train_part_(\d+)/")


@register("dfdc-parts")
def _dfdc_parts(material: Material, _: Options) -> Division:
    """DFDC's training parts 0-34, 35-39 and 40-49 as train, validation and test.

    In common use since the challenge (Dolhansky et al., 2020), whose owners divide it otherwise. A real video and its
    fakes lie in one part; actors are not told by the dataset, and may be in several.
    """
    entries = [replace(entry, split=_split_of(entry.path)) for entry in material.entries]
    if not any(entry.split for entry in entries):
        raise UsageError("dfdc-parts needs the folders dfdc_train_part_0 to dfdc_train_part_49; none is here")
    return Division(entries)


def _split_of(path: str) -> Split | None:
    found = _PART.search(path)
    return split_of_part(int(found[1])) if found and int(found[1]) < PARTS else None
