"""What a protocol is, what it is given and what it returns; the registry that the files of this package fill."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffpipe.manifests.division import LINKS, Ratios, shares
from ffpipe.manifests.records import Entry


@dataclass(frozen=True, slots=True)
class Material:
    """What is known of a dataset's media: the layout, its own split and where that comes from.

    contents maps an entry's path to an id of its content, as far as contents are known.
    """

    layout: str
    entries: Sequence[Entry]
    split_source: str = "none"
    contents: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_own_split(self) -> bool:
        """Whether the split is the owner's or was given, and not drawn by ffpipe."""
        return self.split_source.split(maxsplit=1)[0] in ("official", "given")


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may say of a division; None where nothing was said.

    official is a folder of the owner's split files, which the material's own split then comes from.
    """

    seed: int = 0
    ratios: Ratios | None = None
    method: str | None = None
    links: str | None = None
    official: Path | None = None


@dataclass(frozen=True, slots=True)
class Division:
    """The media of a protocol, each with its split; what is left out has none. `notes` are lines for the user."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)

    @property
    def placed(self) -> list[Entry]:
        """The media that are in a split."""
        return [entry for entry in self.entries if entry.split is not None]


Divide = Callable[[Material, Options], Division]


@dataclass(frozen=True, slots=True)
class Protocol:
    """A registered protocol: `takes` names the options that mean something to it."""

    name: str
    divide: Divide
    takes: frozenset[str]

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.text.partition("\n")[0]

    @property
    def text(self) -> str:
        """What it is and where it comes from."""
        return re.sub(r"\n +", "\n", self.divide.__doc__ or "").strip()


PROTOCOLS: dict[str, Protocol] = {}


def register(name: str, *takes: str) -> Callable[[Divide], Divide]:
    """Decorate a function over media: it becomes the protocol of this name, and takes these of the Options."""

    def add(function: Divide) -> Divide:
        PROTOCOLS[name] = Protocol(name, function, frozenset(takes))
        return function

    return add


def shares_line(entries: Sequence[Entry], ratios: Ratios) -> str:
    """The shares of the media that the splits got, and those that were asked for."""

    def listed(values: Ratios) -> str:
        return " : ".join(f"{100 * value:.1f}" for value in values)

    return f"{listed(shares(entries))} percent of the media, {listed(ratios)} asked for"


def link_notes(entries: Sequence[Entry], links: str | None) -> list[str]:
    """What --links did, where it was not the default."""
    if links in (None, "whole"):
        return []
    dropped = sum(entry.split is None for entry in entries)
    return [f"--links {links}: {LINKS[str(links)]}" + (f"; {dropped} media left out" if dropped else "")]
