"""What of a report's rows is another now: exactly, or beyond the tolerance of the arithmetic that scored them."""

from __future__ import annotations

import math
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from ffpipe.manifests.inputs import display_path
from ffpipe.manifests.schemas import ADDED
from ffpipe.pipeline import credentials_text

#: Largest difference of times in seconds, and of a detector's box in pixels, that other processors explain.
_SECONDS, _PIXELS = 1e-6, 0.01
#: The same of a distance from the training faces, in shares of it: moments of all but equal pixels differ more.
_DISTANCE = 1e-3
#: A logit may differ by this many times a score's tolerance, of its own size where that is above one: a score moves
#: by a quarter of what its logit does at most, and saturates.
_LOGIT = 10
#: A number in a sentence is rounded to three places.
_ROUNDED = 1.1e-3

_SCORES = {"score", "worst_window_score", "worst_score"}
_PLACES = {"box"}
_NUMBER = re.compile(r"\d+\.\d+")
#: What tells the rows of a table of a medium apart.
_KEYS = {"tracks": ("track_id",), "scores": ("frame_index", "track_id")}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that was recorded and is another now; `table` and `row` say where."""

    table: str
    name: str
    then: Any
    now: Any
    row: str = ""

    def __str__(self) -> str:
        where = f"{self.table} {self.row}: " if self.row else ""
        return f"{where}{self.name} {_text(self.then)} then, {_text(self.now)} now"


def _text(value: Any) -> str:
    return "none" if value is None else display_path(str(value))


def added_later(name: str, table: pa.Table) -> frozenset[str]:
    """The columns that a table got after this one was written, which holds nothing but nulls in them."""
    return frozenset(each for each in ADDED.get(name, ()) if table.column(each).null_count == table.num_rows)


def compare_report(then: Row, now: Row, tolerance: float, apart: Collection[str] = ()) -> list[Difference]:
    """The differences of a report row from the one that the same input has now, whatever it is called now.

    The columns `apart` are not compared.
    """
    name = display_path(os.fsdecode(then["path_bytes"]))
    expected = {**now, "path": name, "path_bytes": then["path_bytes"]}
    return list(_compare("report", then, expected, tolerance, apart))


def compare_tables(
    then: Mapping[str, pa.Table], now: Mapping[str, pa.Table], tolerance: float
) -> dict[str, list[Difference]]:
    """The differences of the tables beside the report, by medium; of media that are in `now`, or in both."""
    found: defaultdict[str, list[Difference]] = defaultdict(list)
    for table, keys in _KEYS.items():
        if table not in then:
            continue
        apart = added_later(table, then[table])
        before, after = (_by_medium(tables[table], keys) for tables in (then, now))
        for medium in {**before, **after}:
            pairs = before.get(medium, {}), after.get(medium, {})
            found[medium] += _compare_rows(table, keys, *pairs, tolerance, apart)
    return found


def _by_medium(table: pa.Table, keys: Sequence[str]) -> dict[str, dict[tuple[Any, ...], list[Row]]]:
    found: defaultdict[str, defaultdict[tuple[Any, ...], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in table.to_pylist():
        found[row["media_id"]][tuple(row[key] for key in keys)].append(row)
    return {medium: dict(rows) for medium, rows in found.items()}


def _compare_rows(
    table: str,
    keys: Sequence[str],
    then: Mapping[tuple[Any, ...], list[Row]],
    now: Mapping[tuple[Any, ...], list[Row]],
    tolerance: float,
    apart: Collection[str],
) -> Iterator[Difference]:
    for key in sorted({*then, *now}):
        name = ", ".join(f"{column} {value}" for column, value in zip(keys, key, strict=True))
        before, after = then.get(key, []), now.get(key, [])
        if len(before) != len(after):
            yield Difference(table, "rows", len(before), len(after), name)
            continue
        for old, new in zip(before, after, strict=True):
            yield from _compare(table, old, new, tolerance, apart, name)


def _compare(
    table: str, then: Row, now: Row, tolerance: float, apart: Collection[str], name: str = ""
) -> Iterator[Difference]:
    for column, value in then.items():
        if column not in apart and not _equal(column, value, now[column], tolerance):
            yield Difference(table, column, value, now[column], name)


def _equal(column: str, then: Any, now: Any, tolerance: float) -> bool:
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(
            _equal(column, *pair, tolerance) for pair in zip(then, now, strict=True)
        )
    if isinstance(then, float) and isinstance(now, float):
        return abs(then - now) <= _allowed(column, now, tolerance) or (math.isnan(then) and math.isnan(now))
    if column == credentials_text.COLUMN:
        return credentials_text.same(then, now)
    if column == "reason" and then is not None and now is not None:
        return _same_sentence(then, now, tolerance)
    return bool(then == now)


def _allowed(column: str, now: float, tolerance: float) -> float:
    if column in _SCORES:
        return tolerance
    if column == "logit":
        return _LOGIT * tolerance * max(1.0, abs(now))
    if column == "domain_distance":
        return _DISTANCE * max(1.0, abs(now))
    return _PIXELS if column in _PLACES else _SECONDS


def _same_sentence(then: str, now: str, tolerance: float) -> bool:
    """Whether two reasons say the same, the scores in them being equal."""
    if _NUMBER.split(then) != _NUMBER.split(now):
        return False
    pairs = zip(_NUMBER.findall(then), _NUMBER.findall(now), strict=True)
    return all(abs(float(old) - float(new)) <= tolerance + _ROUNDED for old, new in pairs)
