"""`cast(x as type)`: what each kind of value becomes as another type; where it cannot become one the row is an error.

What belongs here: casts that a user writes. What does not: casts of contracts, which are stricter (contracts/), how texts read as
numbers (cells.py).

A number becomes a whole number by rounding half away from zero; a decimal with fewer digits behind the point likewise.
"""

from __future__ import annotations

import math

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.values import cells, decimals, numbers, operators, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    UnfitError,
    Value,
    all_of,
    binary,
    call,
    case,
    decimal_type,
    is_null,
    is_present,
    sql_type,
    text,
    try_cast,
    value_of_type,
    whole,
)
from reportgen_dagster.rules.values.typed import cast as sql_cast

_FIGURES = ("integer", "number", "decimal")
_ALLOWED: dict[str, tuple[str, ...]] = {
    "integer": ("text", "integer", "number", "decimal", "wide", "boolean"),
    "number": ("text", "integer", "number", "decimal", "wide"),
    "decimal": ("text", "integer", "number", "decimal", "wide"),
    "boolean": ("text", "boolean"),
    "date": ("text", "date", "datetime"),
    "time": ("text", "time", "datetime"),
    "datetime": ("text", "date", "datetime"),
}


def cast(layers: Layers, value: Value, to: Type) -> Value:
    """Return a value as another type.

    Raises:
        UnfitError: If no value of its kind can be of that type, or what is written out is not.
    """
    if value.kind in ("null", "any"):
        nothing = value_of_type(to, sql_cast(exp.Null(), sql_type(to)))
        return nothing.with_checks(value.checks)
    if to.name == "text":
        return operators.as_text(layers, value)
    if value.kind == "cell":
        value = operators.as_text(layers, value)
    if value.kind not in _ALLOWED[to.name]:
        raise UnfitError(f"{operators.word_for(value)} cannot be cast to {to}")
    if to.name in temporal.KINDS:
        return _as_moment(layers, value, to.name)
    if to.name == "boolean":
        return _as_boolean(layers, value)
    if value.kind == "text":
        return _number_of_text(layers, value, to)
    return _number_of_number(layers, value, to)


def _as_moment(layers: Layers, value: Value, kind: str) -> Value:
    if value.kind == "text":
        if isinstance(value.literal, str):
            found = temporal.read_text(value.literal, kind)
            if found is None:
                raise UnfitError(f"{value.literal[:60]!r} is not {temporal.EXPECTED[kind]}")
            return found
        return temporal.read(layers, value, kind)
    sql = sql_cast(value.sql, sql_type(Type(kind)))  # type: ignore[arg-type]  # one of the three kinds
    return value_of_type(Type(kind), sql).with_checks(value.checks)  # type: ignore[arg-type]  # one of the three kinds


def _as_boolean(layers: Layers, value: Value) -> Value:
    if value.kind == "boolean":
        return value
    plain = layers.bind(value.sql)
    small = call("lower", plain)
    found = layers.bind(
        case(
            (binary(exp.EQ, small, text("true")), exp.true()),
            (binary(exp.EQ, small, text("false")), exp.false()),
        )
    )
    return Value("boolean", found, checks=(*value.checks, _wrong(plain, found, "neither true nor false")))


def _wrong(given: Expr, found: Expr, reason: str) -> Check:
    return Check(all_of((is_present(given), is_null(found))), text(reason))


def _number_of_text(layers: Layers, value: Value, to: Type) -> Value:
    """Read a text as the number that it plainly is."""
    plain = layers.bind(value.sql)
    number = layers.bind(cells.number_of(plain, layers.bind(cells.cast_of(plain), "read")), "read")
    no_number = _wrong(plain, number, "text where a number is needed")
    checks = (*value.checks, no_number)
    if to.name == "number":
        return Value("number", number, checks=checks)
    if to.name == "decimal":
        exact = case((is_present(number), try_cast(plain, decimal_type(to.precision, to.scale))))
        return _fitted(layers, exact, number, to, checks)
    whole_text = case((cells.is_written_whole(plain), try_cast(plain, "BIGINT")))
    found = call("coalesce", whole_text, _rounded(number))
    return _fitted(layers, found, number, to, checks)


def _rounded(number: Expr) -> Expr:
    return try_cast(call("round", number, whole(0)), "BIGINT")


def _fitted(layers: Layers, found: Expr, given: Expr, to: Type, checks: tuple[Check, ...]) -> Value:
    sql = layers.bind(found, to.name)
    reason = numbers.TOO_LARGE if to.name == "integer" else f"too large for {to}"
    return value_of_type(to, sql).with_checks((*checks, _wrong(given, sql, reason)))


def _number_of_number(layers: Layers, value: Value, to: Type) -> Value:
    if value.kind == to.name and to.name != "decimal":
        return Value(value.kind, value.sql, value.largest, value.is_whole, checks=value.checks)
    if to.name == "number":
        return Value("number", numbers.as_double(value), value.largest, checks=value.checks)
    given = layers.bind(value.sql)
    if to.name == "decimal":
        if value.kind in ("number", "integer") and value.literal is not None:
            value = decimals.as_decimal(value) or value
            given = value.sql
        return _fitted(layers, try_cast(given, sql_type(to)), given, to, value.checks)
    if value.kind == "boolean":
        return Value("integer", sql_cast(given, "BIGINT"), 1.0, checks=value.checks)
    if value.kind == "decimal":
        return _fitted(layers, try_cast(given, "BIGINT"), given, to, value.checks)
    found = _rounded(given)
    if value.integer is not None:
        found = call("coalesce", value.integer, found)
    made = _fitted(layers, found, given, to, value.checks)
    return (
        made
        if math.isinf(value.largest)
        else Value("integer", made.sql, value.largest + 1, checks=made.checks)
    )
