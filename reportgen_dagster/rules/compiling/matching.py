"""How rows find the rows of a reference: keys by their text or by value, and tables in which each key is there once.

What belongs here: keys. What does not: which columns come along (lookups.py, relations.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.compiling.draft import Draft, table
from reportgen_dagster.rules.compiling.file_columns import field_of
from reportgen_dagster.rules.compiling.plan import ROW, TableShape
from reportgen_dagster.rules.compiling.scopes import Column, Scope
from reportgen_dagster.rules.reading.positions import Path
from reportgen_dagster.rules.values.layers import BASE, Names
from reportgen_dagster.rules.values.typed import all_of, binary, call, cast, column, is_present, whole

_FIGURES = ("integer", "decimal", "number")
_MOMENTS = ("date", "datetime")
TIMES = "\x1ftimes"  # no column of a file is called so


@dataclass(frozen=True, slots=True)
class Match:
    """A column of the rows and the column of the reference that it must equal.

    Attributes:
        own: The column of the rows.
        name: The reference's column.
        left: What it is on the rows.
        right: What it is in the reference, of the reference's columns.
        by_text: They are compared as they are written.
    """

    own: Column
    name: str
    left: Expr
    right: Expr
    by_text: bool


def matches(
    draft: Draft, scope: Scope, reference: str, keys: Mapping[str, str], path: Path
) -> list[Match] | None:
    """Return how keys match, None if one is not there.

    Args:
        draft: The plan in the making.
        scope: The columns of the rows.
        reference: The reference.
        keys: Each column of the rows with the reference's.
        path: The place of the keys in the document.
    """
    shape = draft.shape(reference)
    found: list[Match] = []
    missing = False
    for own_name, name in keys.items():
        column_ = scope.find(own_name)
        is_there = shape.columns is None or name in shape.columns
        if column_ is not None and is_there:
            found.append(_match(draft, column_, shape, name, path))
            continue
        missing = True
        if column_ is None:
            both = own_name == name and not is_there
            known = [*scope.names(), *(shape.columns or ())] if both else scope.names()
            draft.unknown(path, own_name, known, where=f"here, nor in `{reference}`" if both else "")
        if not is_there and (column_ is not None or own_name != name):
            draft.unknown(path, name, shape.columns or (), where=f"in `{reference}`")
    return None if missing else found


def _match(draft: Draft, own: Column, shape: TableShape, name: str, path: Path) -> Match:
    field = field_of(shape, name)
    if field is None or field.type.name == "text" or not own.is_typed or own.type.name in ("cell", "any"):
        return Match(own, name, own.key(), column(name), by_text=True)
    to = _common(own.type, field.type)
    if to is None:
        what = f"`{own.name}` is {own.type} and `{name}` of the reference is {field.type}"
        draft.refuse(path, f"{what}: such keys are never equal")
        return Match(own, name, own.key(), column(name), by_text=True)
    left, right = own.value().sql, field.cast(column(name))[0]
    if to:
        left, right = cast(left, to), cast(right, to)
    return Match(own, name, left, right, by_text=False)


def _common(own: Type, other: Type) -> str | None:
    """Return what keys of two types are cast to, nothing if they compare as they are, None if they never do."""
    if own.name == other.name or (
        own.name in ("integer", "decimal") and other.name in ("integer", "decimal")
    ):
        return ""
    if own.name in _FIGURES and other.name in _FIGURES:
        return "DOUBLE"
    return "TIMESTAMP" if own.name in _MOMENTS and other.name in _MOMENTS else None


def first_of_each(
    draft: Draft, reference: str, found: Sequence[Match], keep: Literal["first", "last"]
) -> exp.Table:
    """Return a table with the first or last row of each key of a reference, and in `TIMES` how many have the key.

    Rows with a blank key are left out.
    """
    shape = draft.shape(reference)
    number = number_name(shape)
    order = exp.Ordered(this=column(number, BASE), desc=keep == "last", nulls_first=False)
    place = exp.Window(
        this=call("row_number"),
        partition_by=[in_reference(match.right) for match in found],
        order=exp.Order(expressions=[order]),
    )
    times = exp.Window(
        this=call("count", exp.Star()), partition_by=[in_reference(match.right) for match in found]
    )
    rows = exp.select(exp.Star(), exp.alias_(times, TIMES, quoted=True))
    rows = rows.from_(numbered_rows(shape, number).subquery(BASE)).where(_present(found))
    return draft.prepare(rows.qualify(binary(exp.EQ, place, whole(1))), f"{reference}_{keep}")


def each_key(
    draft: Draft, relation: str, found: Sequence[Match], wish: str, *, is_input: bool = False
) -> exp.Table:
    """Return a table with each key of a reference once, in the columns `key1`, `key2`, ..."""
    keys = [
        exp.alias_(in_reference(match.right), f"key{number}", quoted=True)
        for number, match in enumerate(found, start=1)
    ]
    rows = exp.select(*keys).distinct().from_(exp.alias_(table(relation), BASE, table=True))
    return draft.prepare(rows.where(_present(found)), wish, reads_input=is_input)


def _present(found: Sequence[Match]) -> Expr:
    return all_of(is_present(in_reference(match.right)) for match in found)


def in_reference(value: Expr) -> Expr:
    """Return an expression of a reference's columns where the reference is called like the rows of any query."""
    copied = value.copy()
    for found in copied.find_all(exp.Column):
        found.set("table", exp.to_identifier(BASE))
    return copied


def number_name(shape: TableShape) -> str:
    """Return a name for the numbers of a reference's rows that none of its columns has."""
    return Names(shape.columns or ()).new(ROW)


def numbered_rows(shape: TableShape, number: str) -> exp.Select:
    """Return the rows of a reference with their numbers in the file's order."""
    counted = exp.alias_(exp.Window(this=call("row_number")), number, quoted=True)
    return exp.select(exp.Star(), counted).from_(table(shape.relation))
