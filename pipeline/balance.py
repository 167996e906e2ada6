"""How often an epoch draws real faces, fakes of each method, and fakes that are made of real faces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ffpipe.pipeline.faces import FaceTable, Rows, balancing_copies

#: As the recipe says; every face once; both classes equally often; each method as often as the largest, and real
#: faces as often as all fakes.
Balance = Literal["recipe", "none", "class", "method"]

#: Names of the parts of an epoch that are not a method's.
REAL, FAKE, SELF_BLENDED = "real", "fake", "self-blended"


@dataclass(frozen=True, slots=True)
class PseudoFakes:
    """Fakes made of real faces in training, by blending each with itself (`stages.self_blend`).

    share: of an epoch's fakes, where there are labelled ones too; 1 leaves those out.
    """

    share: float = 0.5
    kind: str = "selfblend"


@dataclass(frozen=True, slots=True)
class Part:
    """Faces that an epoch draws so many times in all: every one equally often, or once more for some at random.

    blended: they are drawn as fakes made of them.
    """

    name: str
    rows: Rows
    draws: int
    blended: bool = False


class Entries(NamedTuple):
    """What a sampler draws from: faces (each once for every part that it is in), copies of each, and its part.

    extra: for each part how many of its entries are drawn once more.
    """

    rows: Rows
    copies: Rows
    part: npt.NDArray[np.int16]
    extra: Rows
    blended: npt.NDArray[np.bool_]


def parts_of_epoch(
    table: FaceTable, rows: Rows, balance: Balance, balanced: bool, pseudo: PseudoFakes | None
) -> tuple[Part, ...]:
    """The parts of an epoch over some faces, real ones first.

    balanced: what `recipe` means; it then draws the rarer class a whole number of times, as the papers do, and with
    pseudo-fakes both classes equally often. Of the fakes of an epoch `pseudo.share` are made of real faces, all of
    them where no fake is labelled.
    """
    if pseudo is not None and pseudo.share == 1:
        rows = rows[table.label[rows] == 0]
    labels = table.label[rows]
    if balance == "recipe" and balanced and pseudo is None:
        copies = balancing_copies(labels)
        found = _by_class(rows, labels)
        return tuple(replace(p, draws=len(p.rows) * copies[int(p.name != REAL)]) for p in found)
    if balance == "recipe":
        balance = "class" if balanced else "none"
    real, *fakes = _by_method(table, rows) if balance == "method" else _by_class(rows, labels)
    if balance != "none":
        most = max((len(fake.rows) for fake in fakes), default=0)
        real = replace(real, draws=max(len(real.rows), most * len(fakes)))
        fakes = _scaled([replace(fake, draws=most) for fake in fakes], real.draws)
    return (real, *fakes) if pseudo is None else _with_blends(real, fakes, pseudo.share, balance != "none")


def _with_blends(real: Part, fakes: list[Part], share: float, balanced: bool) -> tuple[Part, ...]:
    """Fakes made of the real faces beside the labelled ones; in their place, so far as the classes are balanced."""
    labelled = sum(fake.draws for fake in fakes)
    if not labelled:
        blends = real.draws
    elif balanced:
        blends = round(labelled * share)
        fakes = _scaled(fakes, labelled - blends)
    else:
        blends = round(labelled * share / (1 - share))
    return (real, *fakes, Part(SELF_BLENDED, real.rows, blends, blended=True))


def _scaled(parts: Sequence[Part], total: int) -> list[Part]:
    """The parts with so many draws in all, in the same proportions up to one draw."""
    sums = np.cumsum([0, *(part.draws for part in parts)])
    ends = np.rint(sums * (total / max(1, sums[-1]))).astype(np.int64)
    return [replace(p, draws=int(d)) for p, d in zip(parts, np.diff(ends), strict=True)]


def _by_class(rows: Rows, labels: npt.NDArray[np.int8]) -> list[Part]:
    parts = {REAL: rows[labels == 0], FAKE: rows[labels == 1]}
    return [Part(name, part, len(part)) for name, part in parts.items() if name == REAL or len(part)]


def _by_method(table: FaceTable, rows: Rows) -> list[Part]:
    """Real faces, and the fakes of each method."""
    real, *fakes = _by_class(rows, table.label[rows])
    found: list[Part] = []
    for fake in fakes:
        names = np.array([name or FAKE for name in table.methods])[table.medium[fake.rows]]
        parts = {str(name): fake.rows[names == name] for name in np.unique(names)}
        found += [Part(name, part, len(part)) for name, part in parts.items()]
    return [real, *found]


def entries(parts: Sequence[Part]) -> Entries:
    """The faces of parts as a sampler takes them, in order of the table."""
    rows = np.concatenate([part.rows for part in parts])
    number = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part.rows) for part in parts])
    whole, rest = zip(*(divmod(part.draws, max(1, len(part.rows))) for part in parts), strict=True)
    order = np.argsort(rows, kind="stable")
    of = number[order]
    return Entries(
        rows[order],
        np.array(whole, dtype=np.int64)[of],
        of,
        np.array(rest, dtype=np.int64),
        np.array([part.blended for part in parts])[of],
    )


def draws_per_face(parts: Sequence[Part]) -> Mapping[str, float]:
    """How often an epoch draws a real face and a labelled fake as it is, on average; 1 where there is none."""
    found = {}
    for name, chosen in (
        (REAL, [p for p in parts if p.name == REAL]),
        (FAKE, [p for p in parts if p.name != REAL and not p.blended]),
    ):
        faces = sum(len(part.rows) for part in chosen)
        mean = sum(part.draws for part in chosen) / faces if faces else 1
        found[name] = int(mean) if mean == int(mean) else round(mean, 3)
    return found


def draws_in_words(parts: Sequence[Part]) -> str:
    """How an epoch differs from drawing every face once, in brackets behind the number of faces."""
    whole = [(part, part.draws // max(1, len(part.rows))) for part in parts if not part.blended]
    if len(whole) == len(parts) and all(part.draws == times * len(part.rows) for part, times in whole):
        often = [f"{part.name} ones drawn {times} times an epoch" for part, times in whole if times > 1]
        return f" ({', '.join(often)})" if often else ""
    return f" (an epoch draws {', '.join(f'{part.draws} {part.name}' for part in parts)})"
