"""The page of columns holds every column of every stored table, with its type, and no other."""

from __future__ import annotations

import pytest
from doc_pages import DOCS, headings, tables

from ffpipe.manifests.schemas import SCHEMAS

PAGE = DOCS / "columns.md"


def test_every_table_has_a_section() -> None:
    assert sorted(headings(PAGE)[1:]) == sorted(SCHEMAS)


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_columns_and_types_are_those_of_the_schema(table: str) -> None:
    rows = tables(PAGE, table)
    told = [(name.strip("`"), kind) for name, kind, *_ in rows]
    assert told == [(field.name, str(field.type)) for field in SCHEMAS[table]]
    assert all(len(row) == 5 and all(row) for row in rows), "a cell is empty"
