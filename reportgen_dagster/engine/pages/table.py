"""The rows of a report that its pages show: the first ones in the order of the presentation, as texts.

What belongs here: which rows and columns, and their texts. What does not: how wide columns are (layout.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from reportgen_dagster.engine.pages.rows import Rows, column, source
from reportgen_dagster.engine.pages.values import Writer

_BATCH_ROWS = 2_048


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of the table.

    Attributes:
        name: Its name.
        is_right: It stands on the right of its cells, as numbers do.
        cells: The texts of the rows that are shown.
        total: What is told of all rows; empty for nothing.
    """

    name: str
    is_right: bool
    cells: list[str]
    total: str = ""


def first_rows(
    rows: Rows, columns: Mapping[str, Writer], sort: Sequence[str], count: int
) -> dict[str, list[str]]:
    """Return the first rows as texts, by column.

    Args:
        rows: The report.
        columns: The columns to show with what writes their values.
        sort: What they are ordered by, as in `presentation.sort`; rows that are equal in it stay in the report's order.
        count: How many.
    """
    keys = [_key(written, rows.names) for written in sort]
    chosen = exp.select(*(exp.alias_(column(name), f"c{place}") for place, name in enumerate(columns)))
    chosen = chosen.from_(source()).limit(count)
    if keys:
        chosen = chosen.order_by(*keys, rows.number)
    texts: list[list[str]] = [[] for _ in columns]
    writers = list(columns.values())
    with rows.query(chosen, [*columns, *(key.this.name for key in keys)]) as found:
        for batch in found.to_arrow_reader(_BATCH_ROWS):
            for cells, write, values in zip(texts, writers, batch.columns, strict=True):
                cells += map(write, values.to_pylist())
    return dict(zip(columns, texts, strict=True))


def is_right(type_: pa.DataType) -> bool:
    """Tell whether values stand on the right, digit under digit."""
    return bool(pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_))


def _key(written: str, names: Sequence[str]) -> exp.Ordered:
    """Return what `-total` and the like order by; nulls come last both ways, as in the step `sort`."""
    descending = written.startswith("-") and written not in names
    name = written.removeprefix("-") if descending else written
    return exp.Ordered(this=column(name), desc=descending, nulls_first=False)
