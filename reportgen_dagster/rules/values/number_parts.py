"""What a number is worth as DOUBLE and as BIGINT, whichever kind it has.

What belongs here: reading the parts of one number. What does not: what two numbers make (numbers.py).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.typed import (
    EXACT,
    Value,
    all_of,
    case,
    cast,
    double,
    false,
    is_present,
    literal_integer,
    true,
    try_cast,
)


def as_double(value: Value) -> Expr:
    """Return a number as DOUBLE."""
    if value.kind == "integer":
        literal = literal_integer(value.sql)
        return double(float(literal)) if literal is not None else cast(value.sql, "DOUBLE")
    return cast(value.sql, "DOUBLE") if value.kind == "decimal" else value.sql


def without_decimals(*values: Value) -> list[Value]:
    """Return the values, decimals as numbers."""
    return [
        Value("number", as_double(value), value.largest, checks=value.checks)
        if value.kind == "decimal"
        else value
        for value in values
    ]


def integer_part(value: Value) -> Expr:
    """Return a number as BIGINT where it is a whole number by its type, else null."""
    if value.kind == "integer":
        return value.sql
    if value.integer is not None:
        return value.integer
    if value.is_whole is None:
        return cast(exp.Null(), "BIGINT")
    return case((value.is_whole(), try_cast(value.sql, "BIGINT")))


def is_whole(value: Value) -> Expr:
    """Return the condition that the number is a whole number by its type."""
    if value.kind == "integer":
        return true()
    if value.integer is not None:
        return is_present(value.integer)
    return value.is_whole() if value.is_whole else false()


def may_be_whole(value: Value) -> bool:
    """Tell whether any row may hold a whole number by type."""
    return value.kind in ("integer", "wide") or value.is_whole is not None


def both_whole(left: Value, right: Value) -> Callable[[], Expr] | None:
    """Return the builder of the condition that both are whole, None if that can never be."""
    if not (may_be_whole(left) and may_be_whole(right)):
        return None
    parts = [value for value in (left, right) if value.kind != "integer"]
    return lambda: all_of(is_whole(value) for value in parts)


def is_exact(value: Value) -> bool:
    """Tell whether the DOUBLE of a number says all there is to say about it."""
    return value.kind == "number" or (value.kind == "integer" and value.largest <= EXACT)
