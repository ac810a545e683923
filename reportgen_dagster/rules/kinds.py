"""What kind of cells a column holds, over all its rows.

What belongs here: which columns need a kind, the query that finds kinds. What does not: what a kind is good for (cells.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.cells import cast_of, number_of
from reportgen_dagster.rules.loading import Ruleset
from reportgen_dagster.rules.values import DIALECT, all_of, call, column, is_present, negated, text

LARGEST_FAST_INTEGER = 2.0**62
_FIGURES = 4


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """What a column holds.

    Attributes:
        kind: `integer`: each cell is a whole number of 64 bits; `number`: each is a number; `text`: none is; `mixed`: some are;
            `blank`: there is no cell. Empty cells do not count.
        largest: The largest magnitude among the numbers; 0.0 if there is none.
    """

    kind: Literal["blank", "integer", "number", "text", "mixed"]
    largest: float = 0.0


def columns_needing_kinds(
    ruleset: Ruleset, columns: Sequence[str], *, defaults: bool = True
) -> tuple[str, ...]:
    """Return those of a file's columns whose kind the compiler asks for, in the file's order.

    Args:
        ruleset: The rules.
        columns: The file's columns.
        defaults: Also those that are only copied: the kind of a reference's column decides its default.
            For the input False is enough.
    """
    needed = {use.column for use in ruleset.uses if defaults or use.context != "text"}
    return tuple(name for name in columns if name in needed)


def kinds_sql(relation: str, columns: Sequence[str]) -> str:
    """Return the query of one row that `read_kinds` understands.

    Args:
        relation: Name of a table or view whose columns are texts, null where the cell is empty.
        columns: The columns, at least one.
    """
    casts: list[Expr] = []
    figures: list[Expr] = []
    counts: list[Expr] = []
    for position, name in enumerate(columns):
        raw, number = f"raw{position}", f"number{position}"
        casts += [_named(column(name), raw), _named(cast_of(column(name)), number)]
        figures += [column(raw), _named(number_of(column(raw), column(number)), number)]
        counts += _counts(column(raw), column(number))
    table = exp.Table(this=exp.to_identifier(relation, quoted=True))
    inner = exp.select(*casts, copy=False).from_(table)
    middle = exp.select(*figures, copy=False).from_(inner.subquery("texts"))
    return exp.select(*counts, copy=False).from_(middle.subquery("cells")).sql(DIALECT)


def _named(value: Expr, name: str) -> Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def _counts(raw: Expr, number: Expr) -> list[Expr]:
    plain = [negated(call("contains", raw, text(mark))) for mark in (".", "e", "E")]
    wholes = all_of((is_present(number), *plain))
    return [
        call("count", raw),
        call("count", number),
        exp.Filter(this=call("count", exp.Star()), expression=exp.Where(this=wholes)),
        call("max", call("abs", number)),
    ]


def read_kinds(columns: Sequence[str], row: Sequence[Any]) -> dict[str, ColumnKind]:
    """Return the kinds of the columns from the row that `kinds_sql` gave."""
    found = {}
    for position, name in enumerate(columns):
        cells, numbers, wholes, largest = row[position * _FIGURES : (position + 1) * _FIGURES]
        found[name] = _kind(cells, numbers, wholes, float(largest or 0.0))
    return found


def _kind(cells: int, numbers: int, wholes: int, largest: float) -> ColumnKind:
    if not cells:
        return ColumnKind("blank")
    if not numbers:
        return ColumnKind("text")
    if numbers < cells:
        return ColumnKind("mixed", largest)
    if wholes == cells and largest < LARGEST_FAST_INTEGER:
        return ColumnKind("integer", largest)
    return ColumnKind("number", largest)
