"""How the arguments of a function reach its SQL: their checks, their types, what was written out, what is not known yet.

What belongs here: what builders of several topics need. What does not: what a function makes of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.functions.table import Build
from reportgen_dagster.rules.values import decimals, numbers, operators
from reportgen_dagster.rules.values.decimals import TOO_MANY_DIGITS
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    MAX_TEXT,
    TEXT_TOO_LONG,
    Check,
    Value,
    all_of,
    any_value,
    binary,
    call,
    case,
    cast,
    decimal_type,
    double,
    is_null,
    is_present,
    literal_integer,
    negated,
    sql_type,
    text,
    try_cast,
    type_of,
    value_of_type,
    whole,
)

NEEDS_WHOLE = "a whole number is needed"
_SAFE_WHOLE = 9e15


def checks_of(values: Sequence[Value]) -> tuple[Check, ...]:
    """Return the checks of all arguments, in order."""
    return tuple(check for value in values for check in value.checks)


def sql_of(values: Sequence[Value]) -> list[Expr]:
    """Return the SQL of all arguments."""
    return [value.sql for value in values]


def is_unknown(values: Sequence[Value]) -> bool:
    """Tell whether the type of an argument is not known before data."""
    return any(value.kind == "any" for value in values)


def written_out(value: Value) -> str | int | float | None:
    """Return what is written out for an argument, None if it is computed."""
    if isinstance(value.literal, Decimal):
        return float(value.literal)
    if value.literal is not None:
        return value.literal
    if isinstance(value.sql, exp.Literal):
        return str(value.sql.this) if value.sql.is_string else float(str(value.sql.this))
    return literal_integer(value.sql)


def written_integer(value: Value, otherwise: int = 0) -> int:
    """Return the whole number that is written out for an argument."""
    found = written_out(value)
    return int(found) if isinstance(found, (int, float)) else otherwise


def written_text(value: Value) -> str:
    """Return the text that is written out for an argument."""
    return str(written_out(value) or "")


def figure(value: Value) -> Value:
    """Return a number without decimals' digits: a decimal as DOUBLE, what is not known as a null number."""
    if value.kind == "decimal":
        sql = cast(value.sql, "DOUBLE")
        return Value("number", sql, 10.0 ** (value.precision - value.scale), checks=value.checks)
    if value.kind == "any":
        return Value("number", cast(exp.Null(), "DOUBLE"), 0.0, checks=value.checks)
    return value


def numeric(build: Callable[..., Value]) -> Build:
    """Make a function of floating-point numbers: null for a null, an error for a text."""

    def made(layers: Layers, values: Sequence[Value]) -> Value:
        figures = [figure(value) for value in values]
        return operators.arithmetic(layers, figures, lambda *found: build(layers, *found))

    return made


def by_kind(figures: Build, decimals: Build) -> Build:
    """Make a function that keeps decimals exact: `decimals` has its first argument as one."""

    def made(layers: Layers, values: Sequence[Value]) -> Value:
        if values[0].kind == "any":
            return any_value().with_checks(checks_of(values))
        return (decimals if values[0].kind == "decimal" else figures)(layers, values)

    return made


def whole_number(layers: Layers, value: Value, outside: str) -> tuple[Expr, tuple[Check, ...]]:
    """Return a number as BIGINT, and the checks that it is whole and not far beyond what anything counts.

    Args:
        layers: Names for what is used more than once.
        value: The number.
        outside: What is wrong with a number far beyond.
    """
    number = operators.as_number(layers, figure(value))
    amount = layers.bind(numbers.as_double(number), "amount")
    odd = Check(binary(exp.NEQ, amount, call("trunc", amount)), text(NEEDS_WHOLE))
    near = layers.bind(exp.Between(this=amount, low=double(-_SAFE_WHOLE), high=double(_SAFE_WHOLE)), "near")
    far = Check(negated(near), text(outside))
    return layers.bind(case((near, try_cast(amount, "BIGINT"))), "amount"), (*number.checks, odd, far)


def sized(values: Sequence[Value], size: Expr, made: Expr) -> Value:
    """Make a text unless it would be too long."""
    fits = binary(exp.LTE, size, whole(MAX_TEXT))
    check = Check(negated(fits), text(TEXT_TOO_LONG))
    return Value("text", case((fits, made)), checks=(*checks_of(values), check))


def decimal_of(sql: Expr, precision: int, scale: int) -> Value:
    """Make a decimal of SQL that is of any decimal type and fits."""
    return decimals.decimal_value(cast(sql, decimal_type(precision, scale)), precision, scale)


def fitted(layers: Layers, source: Expr, type_: Type) -> Value:
    """Bring a decimal or whole number to a type; what does not fit is an error."""
    name = layers.bind(source, "given")
    sql = layers.bind(try_cast(name, sql_type(type_)), "fitted")
    too_large = Check(all_of((is_present(name), is_null(sql))), text(TOO_MANY_DIGITS))
    return value_of_type(type_, sql).with_checks((too_large,))


def converted(layers: Layers, value: Value, type_: Type) -> Value:
    """Widen a value to the common type of several; checks stay in front."""
    if type_of(value) == type_ and value.kind != "wide":
        return value
    if value.kind == "null":
        return value_of_type(type_, cast(exp.Null(), sql_type(type_))).with_checks(value.checks)
    if type_.name == "number":
        return Value("number", numbers.as_double(figure(value)), value.largest, checks=value.checks)
    if type_.name == "decimal":
        return fitted(layers, value.sql, type_).with_checks(value.checks)
    if type_.name == "datetime":
        return Value("datetime", cast(value.sql, "TIMESTAMP"), checks=value.checks)
    return operators.as_text(layers, value)
