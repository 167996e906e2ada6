"""Files found against files expected, as a table of plain lines, with the names of what is missing or too much."""

from __future__ import annotations

from collections.abc import Sequence

from ffpipe.manifests.datasets import Count

_HEADER = ("part", "found", "expected", "missing", "surplus")
#: Marks an expected number that was never checked against the owner's files.
_DOUBT = "?"


def counts_lines(counts: Sequence[Count]) -> list[str]:
    """The table, a row a part; below it a line for each part of which names are known. Empty without counts."""
    if not counts:
        return []
    cells = [_HEADER, *map(_cells, counts)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rows = [_row(row, widths) for row in cells]
    doubt = (
        [f"{_DOUBT} not verified against the owner's files"] if not all(c.verified for c in counts) else []
    )
    return [*rows, *doubt, *(str(count) for count in counts if count.missing or count.surplus)]


def _cells(count: Count) -> tuple[str, ...]:
    expected = f"{count.expected}{'' if count.verified else _DOUBT}"
    return count.part, str(count.found), expected, str(count.n_missing), str(count.n_surplus)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers = cells
    aligned = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
    return "  ".join([first.ljust(widths[0]), *aligned])
