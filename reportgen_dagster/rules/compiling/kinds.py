"""What a column holds, over all its rows: the type that every cell keeps, and how its cells read in the short form.

What belongs here: the grammar of each inferred type in SQL, the queries that survey a file, and what their answers mean. What
does not: what a kind or type is good for (cells.py, evaluation.py), which columns are asked for (`Plan.asked`).

A survey goes in rounds. A look at the first rows rules most types out at little cost, and is the answer where there are no
more; else what is left is tested on every row, and only a column that then turns out otherwise than it began is read once
more. The answer always holds for every row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import TypeName
from reportgen_dagster.rules.compiling.plan import Asked
from reportgen_dagster.rules.values.cells import cast_of, number_of
from reportgen_dagster.rules.values.typed import (
    DIALECT,
    all_of,
    any_of,
    binary,
    call,
    case,
    cast,
    column,
    is_present,
    negated,
    text,
    try_cast,
)

LARGEST_FAST_INTEGER = 2.0**62
SAMPLE_ROWS = 10_000

CellKind = Literal["blank", "integer", "number", "text", "mixed"]
_WHOLE = "0|-?[1-9][0-9]{0,18}"
_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?"
_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_DATETIME = rf"{_DATE}[T ]([01][0-9]|2[0-3]):[0-9]{{2}}:[0-9]{{2}}(\.[0-9]{{1,6}})?"
_YEAR_ONE = "0001"
# Narrower before wider, as a column's type is the first whose grammar every cell keeps.
_INFERRED: tuple[TypeName, ...] = ("integer", "number", "boolean", "date", "datetime")
_MEASURED: frozenset[TypeName] = frozenset(("integer", "number"))

AskedColumns = Mapping[str, frozenset[Asked]]
Possible = Mapping[str, tuple[TypeName, ...]]
Query = Callable[[str], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class ColumnKind:
    """What a column holds.

    Attributes:
        kind: How its cells read in the short form. `integer`: each cell is a whole number of 64 bits; `number`: each is a number;
            `text`: none is; `mixed`: some may be; `blank`: there is no cell. Empty cells do not count.
        largest: The largest magnitude among the numbers; 0.0 if there is none, infinite if nobody asked.
        type: What every cell is by the grammar of the long form: `integer`, `number`, `boolean`, `date`, `datetime`, else `text`;
            `null` without any cell, `any` if nobody asked.
    """

    kind: CellKind
    largest: float = 0.0
    type: TypeName = "any"


_TEXT = ColumnKind("mixed", float("inf"), "text")
_CELL: frozenset[Asked] = frozenset(("cell",))


def find_kinds(query: Query, relation: str, asked: AskedColumns) -> dict[str, ColumnKind]:
    """Survey a relation in as few and as cheap passes as its cells allow.

    Args:
        query: Runs a SELECT and returns its one row.
        relation: Name of a table or view whose columns are texts, null where the cell is empty.
        asked: The columns, each with what is asked about it.
    """
    asked = {name: questions for name, questions in asked.items() if questions}
    if not asked:
        return {}
    everything: Possible = dict.fromkeys(asked, _INFERRED)
    row_count, *figures = query(_types_sql(relation, everything, limit=SAMPLE_ROWS))
    first = _answers(everything, figures)
    if row_count < SAMPLE_ROWS:
        return _with_cells(query, relation, asked, {name: kind for name, types, kind in first if types})
    found: dict[str, ColumnKind] = {}
    pending: dict[str, tuple[TypeName, ...]] = {}
    later: dict[str, tuple[TypeName, ...]] = {}
    for name, types, kind in first:
        alone = types if kind.kind == "blank" else types[:1]
        pending[name], later[name] = alone, types[len(alone) :]
    while pending := {name: types for name, types in pending.items() if types}:
        for name, types, kind in _answers(pending, query(_types_sql(relation, pending))):
            pending[name], later[name] = ((), ()) if types else (later[name][:1], later[name][1:])
            if types:
                found[name] = kind
    return _with_cells(query, relation, asked, found)


def _with_cells(
    query: Query, relation: str, asked: AskedColumns, found: Mapping[str, ColumnKind]
) -> dict[str, ColumnKind]:
    """Add the columns that keep no type but text, read cell by cell if that is asked."""
    mixed = {name: _CELL for name, asks in asked.items() if name not in found and "cell" in asks}
    cells = read_kinds(mixed, query(kinds_sql(relation, mixed))) if mixed else {}
    texts = {name: replace(kind, type="text") for name, kind in cells.items()}
    return {name: found.get(name) or texts.get(name, _TEXT) for name in asked}


def kinds_sql(relation: str, asked: AskedColumns) -> str:
    """Return the query of one row that `read_kinds` understands; it makes no use of a sample.

    Args:
        relation: Name of a table or view whose columns are texts, null where the cell is empty.
        asked: The columns, at least one, each with what is asked about it.
    """
    layers = _Layers(relation)
    for name, questions in asked.items():
        if "cell" in questions:
            layers.ask_cells(name)
        if "type" in questions:
            layers.ask_types(name, _INFERRED)
    return layers.sql()


def read_kinds(asked: AskedColumns, row: Sequence[Any]) -> dict[str, ColumnKind]:
    """Return the kinds of the columns from the row that `kinds_sql` gave."""
    figures = iter(row)
    found = {}
    for name, questions in asked.items():
        cells = _read_cells(figures) if "cell" in questions else None
        typed = _read_types(figures, _INFERRED)[1] if "type" in questions else None
        if cells is None:
            found[name] = typed or ColumnKind("mixed", float("inf"))
        else:
            found[name] = ColumnKind(cells.kind, cells.largest, typed.type if typed else "any")
    return found


def _types_sql(relation: str, possible: Possible, *, limit: int | None = None) -> str:
    layers = _Layers(relation)
    if limit is not None:
        layers.count_rows()
    for name, types in possible.items():
        layers.ask_types(name, types)
    return layers.sql(limit)


def _answers(possible: Possible, row: Sequence[Any]) -> list[tuple[str, tuple[TypeName, ...], ColumnKind]]:
    """Return for each column the types that its rows keep, and what that makes of it; all types where it has no cell."""
    figures = iter(row)
    return [(name, *_read_types(figures, types)) for name, types in possible.items()]


class _Layers:
    """A query of three layers: the texts, what they are when cast, and the figures; so that nothing is computed twice."""

    def __init__(self, relation: str) -> None:
        self._relation = relation
        self._raws: dict[str, str] = {}
        self._casts: list[Expr] = []
        self._checked: list[Expr] = []
        self._figures: list[Expr] = []

    def sql(self, limit: int | None = None) -> str:
        """Return the query, over the first rows alone if there is a limit."""
        texts = exp.select(*(_named(column(name), raw) for name, raw in self._raws.items()), copy=False)
        texts = texts.from_(exp.Table(this=exp.to_identifier(self._relation, quoted=True)), copy=False)
        if limit is not None:
            texts = texts.limit(limit, copy=False)
        casts = _over(texts, "texts", exp.Star(), *self._casts)
        checked = _over(casts, "casts", exp.Star(), *self._checked)
        return _over(checked, "cells", *self._figures).sql(DIALECT)

    def count_rows(self) -> None:
        """Count the rows."""
        self._figures.append(call("count", exp.Star()))

    def ask_types(self, name: str, types: Sequence[TypeName]) -> None:
        """Count the cells, those that keep each of the types, and find the largest magnitude if there may be one."""
        raw = self._raw(name)
        self._figures.append(call("count", raw))
        measured: list[Expr] = []
        for type_name in types:
            value = self._cast(_CASTS[type_name](raw))
            if type_name in _MEASURED:
                measured.append(call("abs", cast(value, "DOUBLE")))
            is_kept = call("isfinite", value) if type_name == "number" else is_present(value)
            self._figures.append(_count_of(is_kept))
        if measured:
            self._figures.append(call("max", measured[-1]))

    def ask_cells(self, name: str) -> None:
        """Count the cells, the numbers and the whole numbers among them, and find the largest magnitude."""
        raw = self._raw(name)
        found = self._cast(cast_of(raw))
        number = exp.to_identifier(f"cell{len(self._checked)}")
        self._checked.append(exp.Alias(this=number_of(raw, found), alias=number))
        value = column(number.name)
        plain = [negated(call("contains", raw, text(mark))) for mark in (".", "e", "E")]
        self._figures += [
            call("count", raw),
            call("count", value),
            _count_of(all_of((is_present(value), *plain))),
            call("max", call("abs", value)),
        ]

    def _raw(self, name: str) -> Expr:
        return column(self._raws.setdefault(name, f"raw{len(self._raws)}"))

    def _cast(self, value: Expr) -> Expr:
        name = f"cast{len(self._casts)}"
        self._casts.append(_named(value, name))
        return column(name)


def _over(rows: exp.Select, name: str, *selected: Expr) -> exp.Select:
    """Select from the rows of another query; nothing is copied, for the tree grows large."""
    return exp.select(*selected, copy=False).from_(rows.subquery(name, copy=False), copy=False)


def _named(value: Expr, name: str) -> Expr:
    return exp.Alias(this=value, alias=exp.to_identifier(name, quoted=True))


def _count_of(condition: Expr) -> Expr:
    return exp.Filter(this=call("count", exp.Star()), expression=exp.Where(this=condition))


def _where(raw: Expr, pattern: str, to: str, *more: Expr) -> Expr:
    """Cast a text that a pattern matches; failing casts cost fifteen times as much as telling them beforehand."""
    matches = call("regexp_full_match", raw, text(pattern))
    return case((all_of((matches, *more)), try_cast(raw, to)))


def _boolean(raw: Expr) -> Expr:
    is_word = any_of(binary(exp.EQ, raw, text(word)) for word in ("true", "false"))
    return case((is_word, exp.Boolean(this=True)))


def _day(raw: Expr, pattern: str, to: str) -> Expr:
    return _where(raw, pattern, to, binary(exp.GTE, raw, text(_YEAR_ONE)))


# The value of a text that a type's grammar allows, else null; a number may still be infinite.
_CASTS: dict[TypeName, Callable[[Expr], Expr]] = {
    "integer": lambda raw: _where(raw, _WHOLE, "BIGINT"),
    "number": lambda raw: _where(raw, _NUMBER, "DOUBLE"),
    "boolean": _boolean,
    "date": lambda raw: _day(raw, _DATE, "DATE"),
    "datetime": lambda raw: _day(raw, _DATETIME, "TIMESTAMP"),
}


def _read_types(figures: Iterator[Any], types: Sequence[TypeName]) -> tuple[tuple[TypeName, ...], ColumnKind]:
    cells = next(figures)
    counts = [next(figures) for _ in types]
    largest = float(next(figures) or 0.0) if _MEASURED & set(types) else 0.0
    if not cells:
        return tuple(types), ColumnKind("blank", 0.0, "null")
    kept = tuple(name for name, count in zip(types, counts, strict=True) if count == cells)
    if not kept:
        return kept, _TEXT
    if kept[0] not in _MEASURED:
        return kept, ColumnKind("text", 0.0, kept[0])
    is_whole = kept[0] == "integer" and largest < LARGEST_FAST_INTEGER
    return kept, ColumnKind("integer" if is_whole else "number", largest, kept[0])


def _read_cells(figures: Iterator[Any]) -> ColumnKind:
    cells, numbers, wholes, largest = next(figures), next(figures), next(figures), next(figures)
    return ColumnKind(_cell_kind(cells, numbers, wholes, float(largest or 0.0)), float(largest or 0.0))


def _cell_kind(cells: int, numbers: int, wholes: int, largest: float) -> CellKind:
    if not cells:
        return "blank"
    if not numbers:
        return "text"
    if numbers < cells:
        return "mixed"
    return "integer" if wholes == cells and largest < LARGEST_FAST_INTEGER else "number"
