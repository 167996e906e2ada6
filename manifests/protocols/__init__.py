"""Protocols by name: how a paper, or the field, divides a dataset into train, validation and test.

A protocol is a function over what is known of the media, registered with the options that it takes. Its docstring says
where it comes from; the first line of it is what `ffpipe splits protocols` shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ffpipe.manifests.errors import UsageError
from ffpipe.manifests.protocols.contract import PROTOCOLS, Division, Material, Options, Protocol
from ffpipe.manifests.records import Entry, Label, Split

# Each of these files registers its protocols when it is imported; they are listed in this order.
from ffpipe.manifests.protocols import general, ffpp, celeb_df, leave_one_out, dfdc  # isort: skip

__all__ = [
    "Division",
    "Material",
    "Options",
    "Protocol",
    "apply_protocol",
    "celeb_df",
    "dfdc",
    "ffpp",
    "general",
    "leave_one_out",
    "list_protocols",
]

#: The options of a protocol that are called otherwise on the command line.
_FLAGS = {"official": "splits"}


def list_protocols() -> list[Protocol]:
    """Every registered protocol."""
    return list(PROTOCOLS.values())


def apply_protocol(name: str, material: Material, options: Options) -> Division:
    """The material as the protocol of this name divides it.

    Raises:
        UsageError: no protocol has the name, it does not take an option that was given, or it cannot be followed
            with this material; the reason and the ways out are said.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"--protocol {name!r}: known are {', '.join(PROTOCOLS)}")
    protocol = PROTOCOLS[name]
    for option in ("ratios", "method", "links", "official"):
        if getattr(options, option) is not None and option not in protocol.takes:
            takes = ", ".join(_flag(taken) for taken in sorted(protocol.takes)) or "no options"
            raise UsageError(f"{_flag(option)} means nothing to the protocol {name}, which takes {takes}")
    division = protocol.divide(material, options)
    if not division.placed:
        raise UsageError(f"the protocol {name} puts no medium of this data in any split")
    return replace(division, notes=[*division.notes, *_missing_classes(division.placed)])


def _flag(option: str) -> str:
    return f"--{_FLAGS.get(option, option)}"


def _missing_classes(placed: Sequence[Entry]) -> list[str]:
    """Which splits that have media lack a class that the data have."""
    labels = {entry.label for entry in placed} - {None}
    return [
        f"warning: {split} has no {label.name.lower()} media"
        for split in Split
        for label in Label
        if label in labels
        and (found := {entry.label for entry in placed if entry.split is split})
        and label not in found
    ]
