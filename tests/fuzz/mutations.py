"""Mutants of sound files, told by a seed's name and a number alone: `mutant("mp4", 17)` is always the same bytes.

A test that fails prints both; write_bytes(mutant(name, number)) puts the file before whatever should be looked into.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz.seeds import SEEDS, seed
from fuzz.structure import Element, elements

#: Sizes and counts that readers trip over, as numbers to be cut to a field's width: 0, 1, odd, the largest, negative.
_AWKWARD = (0, 1, 2, 7, 8, 0x7F, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, (1 << 63) - 1, (1 << 64) - 1)
#: Longest range that is moved, repeated, removed or wiped, in bytes.
_RANGE = 512

Mutation = Callable[[random.Random, bytes], bytes]


def mutant(name: str, number: int) -> bytes:
    """The mutant of a seed with this number: one to three mutations of it, drawn from both alone."""
    return mutated(seed(name), f"{name} {number}")


def mutated(content: bytes, text: str, others: Callable[[random.Random], bytes] | None = None) -> bytes:
    """One to three mutations of any content, drawn from the text alone; splices take from `others`, else a seed."""
    rng = random.Random(text)
    donor = others or (lambda rng: seed(rng.choice(sorted(SEEDS))))
    changed, left = content, rng.choice((1, 1, 1, 2, 3))
    while left > 0 or changed == content:
        change = rng.choice(_MUTATIONS)
        changed = _splice(rng, changed, donor(rng)) if change is None else change(rng, changed)
        left -= 1
    return changed


def rotation(count: int, names: tuple[str, ...] = tuple(SEEDS)) -> list[tuple[str, int]]:
    """So many mutants, as name and number, the seeds in turn."""
    return [(names[k % len(names)], k // len(names)) for k in range(count)]


# ---------------------------------------------------------------- on any bytes


def _span(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(start + rng.randint(1, _RANGE), len(content))


def _flip_bits(rng: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 32)) if content else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _flip_in_head(rng: random.Random, content: bytes) -> bytes:
    return _flip_bits(rng, content[:64]) + content[64:]


def _truncate(rng: random.Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _insert(rng: random.Random, content: bytes) -> bytes:
    at, _ = _span(rng, content)
    return content[:at] + rng.randbytes(rng.randint(1, _RANGE)) + content[at:]


def _repeat(rng: random.Random, content: bytes) -> bytes:
    start, end = _span(rng, content)
    return content[:end] + content[start:end] * rng.choice((1, 2, 16)) + content[end:]


def _remove(rng: random.Random, content: bytes) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + content[end:]


def _wipe(rng: random.Random, content: bytes) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + rng.choice((b"\0", b"\xff")) * (end - start) + content[end:]


def _scramble(rng: random.Random, content: bytes) -> bytes:
    start, end = _span(rng, content)
    return content[:start] + rng.randbytes(end - start) + content[end:]


def _awkward_number(rng: random.Random, content: bytes) -> bytes:
    """Any aligned field of 2, 4 or 8 bytes becomes an awkward number."""
    width = rng.choice((2, 4, 8))
    if len(content) < width:
        return content
    at = rng.randrange(0, len(content) - width + 1, 2)
    number = rng.choice(_AWKWARD) & ((1 << 8 * width) - 1)
    return content[:at] + number.to_bytes(width, rng.choice(("big", "little"))) + content[at + width :]


def _header_again(rng: random.Random, content: bytes) -> bytes:
    head = content[: rng.choice((16, 64, _RANGE))]
    at = rng.choice((0, len(head), len(content)))
    return content[:at] + head + content[at:]


def _splice(rng: random.Random, content: bytes, other: bytes) -> bytes:
    """The beginning of one file and the end of another."""
    return content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]


# ---------------------------------------------------------------- on the elements of a container


def _write_size(rng: random.Random, content: bytes) -> bytes:
    """An element's size becomes an awkward number, or a little more or less than it is."""
    one = _element(rng, content)
    if one is None or not one.size[1]:
        return _flip_bits(rng, content)
    at, width = one.size
    bits = 7 * width if one.vint else 8 * width
    near = one.end - one.start + rng.choice((-9, -1, 1, 9, 4096))
    number = rng.choice((*_AWKWARD, near)) & ((1 << bits) - 1)
    marker = 1 << bits if one.vint else 0
    field = (number | marker).to_bytes(width, "little" if one.order == "little" else "big")
    return content[:at] + field + content[at + width :]


def _write_kind(rng: random.Random, content: bytes) -> bytes:
    """An element is called like another one, or like nothing known."""
    one, other = _element(rng, content), _element(rng, content)
    if one is None or other is None:
        return _flip_bits(rng, content)
    at, width = one.kind
    theirs = content[other.kind[0] : sum(other.kind)]
    name = rng.choice((theirs, theirs, bytes(width), b"\xff" * width, rng.randbytes(width)))
    return content[:at] + name + content[at + width :]


def _swap_elements(rng: random.Random, content: bytes) -> bytes:
    one, other = _element(rng, content), _element(rng, content)
    if one is None or other is None:
        return _flip_bits(rng, content)
    first, second = sorted((one, other), key=lambda element: element.start)
    if first.end > second.start:  # one holds the other: the inner one takes its place
        return content[: first.start] + content[second.start : second.end] + content[first.end :]
    between = content[first.end : second.start]
    parts = content[second.start : second.end] + between + content[first.start : first.end]
    return content[: first.start] + parts + content[second.end :]


def _repeat_element(rng: random.Random, content: bytes) -> bytes:
    one, place = _element(rng, content), _element(rng, content)
    if one is None or place is None:
        return _repeat(rng, content)
    copies = content[one.start : one.end] * rng.choice((1, 1, 70))
    return content[: place.start] + copies + content[place.start :]


def _remove_element(rng: random.Random, content: bytes) -> bytes:
    one = _element(rng, content)
    return _remove(rng, content) if one is None else content[: one.start] + content[one.end :]


def _awkward_in_element(rng: random.Random, content: bytes) -> bytes:
    """A field of four bytes in the first 64 of an element's content becomes an awkward number."""
    one = _element(rng, content)
    if one is None or one.end - one.start < 16:
        return _awkward_number(rng, content)
    at = rng.randrange(one.start + 8, min(one.end, one.start + 72) - 3)
    number = rng.choice(_AWKWARD) & 0xFFFF_FFFF
    return content[:at] + number.to_bytes(4, "little" if one.order == "little" else "big") + content[at + 4 :]


def _element(rng: random.Random, content: bytes) -> Element | None:
    found = elements(content)
    return rng.choice(found) if found else None


#: None stands for a splice, which takes a second file. What knows the format comes as often as what does not.
_MUTATIONS: tuple[Mutation | None, ...] = (
    _flip_bits,
    _flip_in_head,
    _truncate,
    _insert,
    _repeat,
    _remove,
    _wipe,
    _scramble,
    _awkward_number,
    _header_again,
    None,
    *(_write_size, _write_kind, _swap_elements, _repeat_element, _remove_element, _awkward_in_element) * 2,
)
