"""Functions that make one type of another, and tests whether that works.

What belongs here: reading texts, writing numbers. What does not: `cast` (casts.py), formats of dates (formats.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.types import BOOLEAN, DATE, DATETIME, INTEGER, TIME, Type
from reportgen_dagster.rules.functions.figures import rounded
from reportgen_dagster.rules.functions.given import (
    checks_of,
    figure,
    written_integer,
    written_text,
)
from reportgen_dagster.rules.functions.table import Build, Function, scalar
from reportgen_dagster.rules.values import casts, cells, numbers, operators, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    MAX_PRECISION,
    Check,
    UnfitError,
    Value,
    all_of,
    binary,
    call,
    case,
    cast,
    decimal_type,
    double,
    is_present,
    negated,
    text,
    try_cast,
    whole,
)

_LONGEST_INTEGER = 9.2e18


def as_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Read a text as a number."""
    read = cells.read_text(layers, values[0].sql, "given", math.inf)
    return operators.as_number(layers, read).with_checks(values[0].checks)


def as_text(_: Layers, values: Sequence[Value]) -> Value:
    """Return what is written."""
    return values[0]


def as_type(type_: Type) -> Build:
    """Make a value of a type, as `cast` does."""
    return lambda layers, values: casts.cast(layers, values[0], type_)


def as_decimal(layers: Layers, values: Sequence[Value]) -> Value:
    """Make a decimal of a precision and scale that are written out."""
    precision, scale = (written_integer(value) for value in values[1:])
    if not 1 <= precision <= MAX_PRECISION or not 0 <= scale <= precision:
        raise UnfitError(
            f"a decimal has 1 to {MAX_PRECISION} digits, and at most all of them behind the point"
        )
    return casts.cast(layers, values[0], Type("decimal", precision, scale))


def is_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a text reads as a number."""
    return Value("boolean", cells.is_number(layers, values[0].sql), checks=values[0].checks)


def is_integer(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a text reads as a whole number of 64 bits."""
    plain = layers.bind(values[0].sql)
    made = case((is_present(plain), cells.is_written_whole(plain)))
    return Value("boolean", made, checks=values[0].checks)


def is_moment(kind: str) -> Build:
    """Tell whether a text is a date, time or datetime in ISO form."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        plain = layers.bind(values[0].sql)
        read = temporal.read(layers, Value("text", plain), kind)
        return Value("boolean", case((is_present(plain), is_present(read.sql))), checks=values[0].checks)

    return build


def format_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Write a number with a fixed count of decimals and a mark between thousands."""
    digits = max(written_integer(values[1]), 0)
    group = written_text(values[2]) if len(values) > 2 else ","
    mark = written_text(values[3]) if len(values) > 3 else "."
    if values[0].kind in ("any", "null"):
        return Value("text", cast(exp.Null(), "VARCHAR"), checks=checks_of(values))
    value = operators.as_number(layers, rounded(layers, values[:2]))
    exact = layers.bind(try_cast(value.sql, decimal_type(MAX_PRECISION, digits)), "exact")
    size = layers.bind(call("abs", exact), "size")
    near = binary(exp.LT, numbers.as_double(figure(value)), double(_LONGEST_INTEGER))
    near = all_of(
        (near, binary(exp.GT, numbers.as_double(figure(value)), double(-_LONGEST_INTEGER)), is_present(exact))
    )
    near = layers.bind(near, "near")
    wrong = Check(
        all_of((is_present(value.sql), negated(near))), text("the number is too large to be written so")
    )
    return Value(
        "text", case((near, _grouped(exact, size, digits, group, mark))), checks=(*value.checks, wrong)
    )


def _grouped(exact: Expr, size: Expr, digits: int, group: str, mark: str) -> Expr:
    sign = case((binary(exp.LT, exact, whole(0)), text("-")), default=text(""))
    wholes = call("format", text("{:,}"), try_cast(call("trunc", size), "BIGINT"))
    parts = [sign, call("replace", wholes, text(","), text(group))]
    if digits:
        parts += [text(mark), call("right", cast(size, "VARCHAR"), whole(digits))]
    joined = parts[0]
    for part in parts[1:]:
        joined = exp.DPipe(this=joined, expression=part)
    return joined


ENTRIES: tuple[Function, ...] = scalar(
    "conversion",
    (
        ("number", "text:text", "number",
         "The number that a text reads as; an error where it reads as none.",
         "number('007') + 8", "15", as_number),
        ("integer", "value:any", "integer",
         "The whole number that a text reads as or a number rounds to, half away from zero; an error where there is none of 64"
         " bits. True is 1, false 0.",
         "integer('2.5')", "3", as_type(INTEGER)),
        ("decimal", "value:any precision:precision scale:precision", "decimal",
         "The decimal of so many digits, so many of them behind the point, rounded half away from zero; an error where it does"
         " not fit.",
         "decimal('12.345', 10, 2)", "12.35", as_decimal),
        ("text", "value:text", "text",
         "The text that a value is written as.",
         "text(1.50) || ' EUR'", "1.5 EUR", as_text),
        ("boolean", "value:any", "true or false",
         "What the text true or false means, in small letters or capitals; an error for any other.",
         "boolean('TRUE')", "true", as_type(BOOLEAN)),
        ("date", "value:any", "date",
         "The date of an ISO text or of a date with a time; an error where there is none.",
         "date('2024-01-31')", "2024-01-31", as_type(DATE)),
        ("time", "value:any", "time",
         "The time of an ISO text or of a date with a time; an error where there is none.",
         "time('10:30')", "10:30:00", as_type(TIME)),
        ("datetime", "value:any", "datetime",
         "The date with a time of an ISO text, or of a date at midnight; an error where there is none.",
         "datetime('2024-01-31 10:30')", "2024-01-31T10:30:00", as_type(DATETIME)),
        ("format_number", "number:number digits:digits group:literal? mark:literal?", "text",
         "The number with so many digits behind the point, and marks between thousands and before the digits, else `,` and `.`.",
         "format_number(1234567.891, 2)", "1,234,567.89", format_number),
        ("is_number", "text:text", "true or false",
         "Whether it reads as a number; null for null.",
         "is_number('1_000')", "false", is_number),
        ("is_integer", "text:text", "true or false",
         "Whether it reads as a whole number of 64 bits; null for null.",
         "is_integer('12.5')", "false", is_integer),
        ("is_date", "text:text", "true or false",
         "Whether it is a date such as 2024-01-31; null for null.",
         "is_date('2024-02-30')", "false", is_moment("date")),
        ("is_datetime", "text:text", "true or false",
         "Whether it is a date or a date with a time such as 2024-01-31T10:00:00; null for null.",
         "is_datetime('2024-01-31T10:00:00')", "true", is_moment("datetime")),
        ("is_time", "text:text", "true or false",
         "Whether it is a time such as 10:00:00; null for null.",
         "is_time('25:00')", "false", is_moment("time")),
    ),
)  # fmt: skip
