"""Brings an evaluated argument into the form in which functions take its sort.

What belongs here: the contract between sorts of arguments and `Function.build`. What does not: which argument fits (table.py),
what functions make of them (functions/).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from reportgen_dagster.contracts.types import Type
from reportgen_dagster.rules.functions.table import Sort
from reportgen_dagster.rules.values import numbers, operators
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    Value,
    binary,
    call,
    case,
    cast,
    double,
    is_null,
    literal_integer,
    negated,
    sql_type,
    text,
    value_of_type,
    whole,
)

MAX_COUNT = 1_000_000
_TEXTS = ("text", "pattern", "literal", "format", "unit", "zone")
_MOMENTS: dict[Sort, Type] = {"date": Type("date"), "time": Type("time"), "datetime": Type("datetime")}


def prepared(layers: Layers, sort: Sort, value: Value) -> Value:
    """Return an argument as functions take this sort: never of kind `any`, unless it may be anything."""
    if sort in _TEXTS:
        return value if value.kind == "text" else operators.as_text(layers, value)
    if sort == "count":
        return counted(layers, value)
    if sort in _MOMENTS:
        return _moment(layers, _MOMENTS[sort], value)
    if sort == "boolean" and value.kind in ("null", "any"):
        return unknown_boolean(value.checks)
    if sort == "number" and value.kind == "any":
        return operators.as_number(layers, value)
    return value


def unknown_boolean(checks: Sequence[Check] = ()) -> Value:
    """Return the condition that is neither true nor false."""
    return Value("boolean", cast(exp.Null(), "BOOLEAN"), checks=tuple(checks))


def _moment(layers: Layers, type_: Type, value: Value) -> Value:
    if value.kind in ("date", "time", "datetime", "text"):
        return value
    if value.kind in ("null", "any"):
        return value_of_type(type_, cast(exp.Null(), sql_type(type_))).with_checks(value.checks)
    return operators.as_text(layers, value)


def counted(layers: Layers, value: Value) -> Value:
    """Return a number as a whole one, at most a million; what is no whole number is an error."""
    number = operators.as_number(layers, value)
    literal = literal_integer(number.sql)
    if literal is not None:
        return Value("integer", whole(max(min(literal, MAX_COUNT), -MAX_COUNT)), number.largest)
    amount = layers.bind(numbers.as_double(number), "count")
    odd = Check(binary(exp.NEQ, amount, call("trunc", amount)), text("a whole number is needed"))
    clamped = call("greatest", call("least", amount, double(float(MAX_COUNT))), double(-float(MAX_COUNT)))
    found = case((negated(is_null(amount)), cast(call("trunc", clamped), "BIGINT")))
    return Value("integer", layers.bind(found, "count"), MAX_COUNT, checks=(*number.checks, odd))
