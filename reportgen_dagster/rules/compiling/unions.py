"""Values of one type out of values of several: what unpivot, append and full joins need.

What belongs here: the common type of columns, converting to it. What does not: which rows there are (relations.py, joins.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import TEXT, Type
from reportgen_dagster.rules.compiling.scopes import Column
from reportgen_dagster.rules.values import operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Value,
    call,
    case,
    cast,
    common_type,
    sql_type,
    type_of,
    value_of_type,
)


def common_column(columns: Sequence[Column]) -> Type:
    """Return the type of a column that holds the values of several."""
    found = common_type([type_of(column.value()) for column in columns])
    return TEXT if found.name in ("cell", "null") else found


def converted(layers: Layers, value: Value, type_: Type) -> Value:
    """Return a value as one of a type that holds it; it keeps the text that it was read with."""
    if type_ == TEXT:
        written = operators.written(layers, value)
        return Value("text", written, raw=written if value.raw is not None else None)
    if value.kind == "null":
        return value_of_type(type_, cast(exp.Null(), sql_type(type_)))
    if type_of(value) == type_ and value.kind != "wide":
        return value_of_type(type_, value.sql, value.raw)
    return value_of_type(type_, cast(value.sql, sql_type(type_)), value.raw)


def _texts(layers: Layers, values: Sequence[Value], type_: Type) -> list[Expr] | None:
    """Return the texts as which values are written, if one of them was read."""
    if type_ == TEXT or all(value.raw is None for value in values):
        return None
    return [value.raw if value.raw is not None else operators.written(layers, value) for value in values]


def chosen(layers: Layers, type_: Type, branches: Sequence[tuple[Expr, Value]]) -> Value:
    """Return the value of the first condition that is true; all values are of the type."""
    conditions = [condition for condition, _ in branches]
    values = [value for _, value in branches]
    texts = _texts(layers, values, type_)
    sql = case(*zip(conditions, [value.sql for value in values], strict=True))
    return value_of_type(type_, sql, case(*zip(conditions, texts, strict=True)) if texts else None)


def first_there(layers: Layers, type_: Type, values: Sequence[Value]) -> Value:
    """Return the first value that is not null; all values are of the type."""
    texts = _texts(layers, values, type_)
    sql = call("coalesce", *(value.sql for value in values))
    return value_of_type(type_, sql, call("coalesce", *texts) if texts else None)
