"""The report's columns in the forms that writers take: as texts, as typed values, each row as JSON.

What belongs here: the SQL of these forms, and which of its columns is what. What does not: what a value is worth (values/), which
format takes which form (engine/writers/).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.compiling.plan import Form, RowForms
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import Layers, Names, key_of
from reportgen_dagster.rules.values.typed import Value, call, cast, sql_type, text, type_of

_VERBATIM = ("integer", "number", "wide", "decimal", "boolean")  # written as JSON writes them, digit by digit


@dataclass(frozen=True, slots=True)
class ReportColumns:
    """What the last block selects for the report.

    Attributes:
        typed: Each column's value, by its name.
        wanted: The columns in the wanted forms.
        forms: Which of `wanted` is what.
    """

    typed: list[tuple[str, Expr]]
    wanted: list[tuple[str, Expr]]
    forms: RowForms


def report_columns(
    layers: Layers, values: Sequence[tuple[str, Value]], wanted: Collection[Form]
) -> ReportColumns:
    """Return the report's columns in the wanted forms.

    Args:
        layers: Of the last block.
        values: What each column is worth, by its name.
        wanted: The forms.
    """
    typed = [(name, typed_value(layers, value)) for name, value in values]
    written = [(name, _written(layers, value)) for name, value in values]
    columns = list(written if "texts" in wanted else typed)
    names = Names(name for name, _ in columns)
    places: list[int] = []
    if "values" in wanted:
        for place, (name, value) in enumerate(typed):
            is_there = key_of(value) == key_of(columns[place][1])
            places.append(place if is_there else len(columns))
            if not is_there:
                columns.append((names.new(f"{name}:value"), value))
    json_place = len(columns) if "json" in wanted else None
    if json_place is not None:
        columns.append((names.new("json"), _json_line(values, written)))
    return ReportColumns(typed, columns, RowForms(len(typed), tuple(places), json_place))


def typed_value(layers: Layers, value: Value) -> Expr:
    """Return a value with the type that its column promises."""
    if value.kind in ("cell", "null"):
        return operators.written(layers, value)
    is_column = isinstance(value.sql, exp.Column)
    return value.sql if is_column else cast(value.sql, sql_type(type_of(value)))


def _written(layers: Layers, value: Value) -> Expr:
    """Return what is written of a value: a text; whole numbers stay numbers, as all writers write them alike."""
    is_computed = value.kind == "integer" and value.raw is None
    return typed_value(layers, value) if is_computed else operators.written(layers, value)


def _json_line(values: Sequence[tuple[str, Value]], written: Sequence[tuple[str, Expr]]) -> Expr:
    """Return a row as JSON with a line end behind it; a number has the digits that it is written with."""
    parts: list[Expr] = []
    for number, ((name, value), (_, shown)) in enumerate(zip(values, written, strict=True)):
        key = json.dumps(name, ensure_ascii=False)
        parts.append(text(f"{',' if number else '{'}{key}:"))
        member = cast(shown if value.kind in _VERBATIM else call("to_json", shown), "VARCHAR")
        parts.append(call("coalesce", member, text("null")))
    return call("concat", *parts, text("}\n"))
