"""Arithmetic on numbers: Python's meaning in SQL, exact for whole numbers of 64 bits, in DOUBLE where that is as exact.

What belongs here: what two numbers make. What does not: what a text among the operands means (operators.py), decimals among
themselves (decimals.py), quotients that are whole (quotients.py, floors.py).

Kinds of numbers (see `Value`): `integer` in BIGINT, `number` in DOUBLE, `wide`, which carries both, and `decimal`. A `number`
that may be a whole number by its type is kept only while its magnitude is known to be exact in DOUBLE; past that the
operation makes a `wide`. A decimal with a `number` is a `number`, unless that is written out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values import decimal_quotients, decimals
from reportgen_dagster.rules.values.decimals import DIVISION_BY_ZERO
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.number_parts import (
    as_double,
    both_whole,
    integer_part,
    is_exact,
    is_whole,
    may_be_whole,
    without_decimals,
)
from reportgen_dagster.rules.values.typed import (
    EXACT,
    LARGEST_INTEGER,
    LARGEST_NUMBER,
    Check,
    Value,
    all_of,
    any_of,
    binary,
    call,
    case,
    cast,
    double,
    is_null,
    literal_integer,
    negated,
    text,
    try_cast,
    whole,
)

__all__ = [
    "DIVISION_BY_ZERO", "NOT_FINITE", "TOO_LARGE", "absolute", "as_double", "bound", "choose", "compare", "divide", "extreme",
    "finite", "fit", "integer_part", "is_exact", "linear", "may_be_whole", "mode_of", "negate", "power", "round_half_even",
    "wide", "written",
]  # fmt: skip

TOO_LARGE = "the result is too large for a whole number of 64 bits"
NOT_FINITE = "the result is not a finite number"
_SAFE_INTEGER = 9.2e18  # bounds are DOUBLE and may be rounded
_POWER_PART_LIMIT = 4e9  # its square times 2**63 fits into 128 bits


def mode_of(left: Value, right: Value, bound: float) -> Literal["integer", "number", "wide"]:
    """Return the kind of a result whose magnitude is bound so."""
    if left.kind == right.kind == "integer":
        return "integer"
    if both_whole(left, right) is None:
        return "number"
    if bound <= EXACT and max(left.largest, right.largest) <= EXACT and is_exact(left) and is_exact(right):
        return "number"
    return "wide"


def finite(layers: Layers, value: Value) -> Value:
    """Add the check that a DOUBLE is finite, unless its magnitude is known."""
    if value.largest <= LARGEST_NUMBER:
        return value
    sql = layers.bind(value.sql)
    check = Check(negated(call("isfinite", sql)), text(NOT_FINITE))
    return Value("number", sql, value.largest, value.is_whole, checks=(*value.checks, check))


def fit(layers: Layers, exact: Expr) -> tuple[Expr, Check]:
    """Bring a HUGEINT into 64 bits: the value, null where it does not fit, and the check of that."""
    name = layers.bind(exact)
    limits = exp.Between(this=name, low=whole(-LARGEST_INTEGER), high=whole(LARGEST_INTEGER))
    return try_cast(case((limits, name)), "BIGINT"), Check(negated(limits), text(TOO_LARGE))


def wide(layers: Layers, integer: Expr, number: Expr, largest: float, *checks: Check) -> Value:
    """Make a wide number of its whole values and its DOUBLE for the other rows."""
    part = layers.bind(integer)
    sql = layers.bind(call("coalesce", cast(part, "DOUBLE"), number))
    value = Value("wide", sql, largest, integer=part, checks=checks)
    if largest <= LARGEST_NUMBER:
        return value
    return Value(
        "wide",
        sql,
        largest,
        integer=part,
        checks=(*checks, Check(negated(call("isfinite", sql)), text(NOT_FINITE))),
    )


def _exact(operator: type[exp.Binary], left: Expr, right: Expr) -> Expr:
    return binary(operator, cast(left, "HUGEINT"), cast(right, "HUGEINT"))


def linear(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> Value:
    """Add, subtract or multiply."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimals.linear(layers, operator, *exact)
    left, right = without_decimals(left, right)
    product = operator is exp.Mul
    bound = left.largest * right.largest if product else left.largest + right.largest
    bound = math.inf if math.isnan(bound) else bound
    mode = mode_of(left, right, bound)
    if mode == "integer":
        if bound < _SAFE_INTEGER:
            return Value("integer", binary(operator, left.sql, right.sql), bound)
        sql, check = fit(layers, _exact(operator, left.sql, right.sql))
        return Value("integer", layers.bind(sql), float(LARGEST_INTEGER), checks=(check,))
    number = binary(operator, as_double(left), as_double(right))
    if mode == "number":
        return finite(layers, Value("number", number, bound, both_whole(left, right)))
    integer, check = fit(layers, _exact(operator, integer_part(left), integer_part(right)))
    return wide(layers, integer, number, bound, check)


def divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide, never as whole numbers."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimal_quotients.divide(layers, *exact)
    left, right = without_decimals(left, right)
    divisor = as_double(right)
    quotient = layers.bind(binary(exp.Div, as_double(left), divisor))
    reason = case((binary(exp.EQ, divisor, double(0.0)), text(DIVISION_BY_ZERO)), default=text(NOT_FINITE))
    literal = literal_integer(right.sql) if right.kind == "integer" else None
    if literal and left.largest <= LARGEST_NUMBER:
        return Value("number", quotient, left.largest)
    return Value("number", quotient, checks=(Check(negated(call("isfinite", quotient)), reason),))


def power(layers: Layers, left: Value, right: Value) -> Value:
    """Raise to a power; a whole number to a whole number from 0 on is a whole number."""
    left, right = without_decimals(left, right)
    base, exponent = layers.bind(as_double(left)), layers.bind(as_double(right))
    number = layers.bind(call("pow", base, exponent), "power")
    reason = case(
        (
            all_of((binary(exp.EQ, base, double(0.0)), binary(exp.LT, exponent, double(0.0)))),
            text(DIVISION_BY_ZERO),
        ),
        default=text(NOT_FINITE),
    )
    infinite = Check(negated(call("isfinite", number)), reason)
    both = both_whole(left, right)
    if both is None:
        return Value("number", number, checks=(infinite,))
    literal = literal_integer(right.sql) if right.kind == "integer" else None
    if (
        literal is not None
        and 0 <= literal <= 64
        and is_exact(left)
        and max(left.largest, 1.0) ** literal <= EXACT
    ):
        bound = max(left.largest, 1.0) ** literal
        if left.kind == "integer":
            return Value("integer", try_cast(number, "BIGINT"), bound)
        return Value("number", number, bound, both)
    wholes = layers.bind(all_of((both(), binary(exp.GTE, exponent, double(0.0)))), "whole")
    large = all_of((wholes, binary(exp.GTE, call("abs", number), double(2.0**63))))
    half = layers.bind(call("pow", base, call("floor", binary(exp.Div, exponent, double(2.0)))), "half")
    small = binary(exp.LT, call("abs", half), double(_POWER_PART_LIMIT))
    part = layers.bind(case((small, try_cast(half, "HUGEINT"))), "half")
    odd = case(
        (
            binary(exp.EQ, binary(exp.Mod, exponent, double(2.0)), double(1.0)),
            cast(integer_part(left), "HUGEINT"),  # not from the DOUBLE, which is inexact past 2**53
        ),
        default=cast(whole(1), "HUGEINT"),
    )
    limited = all_of((wholes, binary(exp.LT, call("abs", number), double(2.0**63))))
    exact = case((limited, binary(exp.Mul, binary(exp.Mul, part, part), _safe_factor(layers, odd))))
    integer, check = fit(layers, exact)
    return wide(layers, integer, number, math.inf, Check(large, text(TOO_LARGE)), check, infinite)


def _safe_factor(layers: Layers, factor: Expr) -> Expr:
    """Null a factor that cannot be part of a result of 64 bits, so that no product of it overflows."""
    name = layers.bind(factor, "factor")
    return case((binary(exp.LT, call("abs", name), cast(whole(2**63), "HUGEINT")), name))


def compare(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> Expr:
    """Compare two numbers; a decimal with a `number` as one."""
    if left.kind == right.kind == "integer":
        return binary(operator, left.sql, right.sql)
    exact = decimals.aligned((left, right))
    if exact:
        return decimals.compare(operator, *exact)
    left, right = without_decimals(left, right)
    doubles = binary(operator, as_double(left), as_double(right))
    if both_whole(left, right) is None or (is_exact(left) and is_exact(right)):
        large = [value for value in (left, right) if may_be_whole(value) and not is_exact(value)]
        return _compare_large(layers, operator, left, right, doubles) if large else doubles
    return call(
        "coalesce",
        binary(operator, layers.bind(integer_part(left)), layers.bind(integer_part(right))),
        doubles,
    )


def _compare_large(
    layers: Layers, operator: type[exp.Binary], left: Value, right: Value, doubles: Expr
) -> Expr:
    """Compare a large whole number with a DOUBLE: where they are the same as DOUBLE both are whole, and compared as such."""
    sides = [layers.bind(as_double(value)) for value in (left, right)]
    wholes = [
        cast(integer_part(value), "HUGEINT") if may_be_whole(value) else try_cast(value.sql, "HUGEINT")
        for value in (left, right)
    ]
    same = call("coalesce", binary(operator, *wholes), doubles)
    return case((binary(exp.EQ, *sides), same), default=doubles)


def choose(layers: Layers, branches: Sequence[tuple[Expr, Value]], default: Value | None) -> Value:
    """Return the CASE of numbers; conditions are names."""
    values = [value for _, value in branches] + ([default] if default else [])
    exact = decimals.aligned(values)
    if exact:
        rest = exact[-1] if default else None
        return decimals.choose([(name, exact[at]) for at, (name, _) in enumerate(branches)], rest)
    values = without_decimals(*values)
    branches = [(name, values[at]) for at, (name, _) in enumerate(branches)]
    default = values[-1] if default else None
    largest = max(value.largest for value in values)
    if all(value.kind == "integer" for value in values):
        return Value("integer", _case(branches, default, lambda value: value.sql), largest)
    number = _case(branches, default, as_double)
    if all(is_exact(value) for value in values):
        chosen = None
        if any(may_be_whole(value) for value in values):
            chosen = lambda: _case(branches, default, is_whole)  # noqa: E731 - built only when asked for
        return Value("number", number, largest, chosen)
    integer = layers.bind(_case(branches, default, integer_part))
    return Value("wide", layers.bind(number), largest, integer=integer)


def _case(
    branches: Sequence[tuple[Expr, Value]], default: Value | None, part: Callable[[Value], Expr]
) -> Expr:
    parts = [(condition, part(value)) for condition, value in branches]
    return case(*parts, default=part(default) if default else None)


def extreme(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> Value:
    """Return the larger (`operator` GTE) or smaller (LTE) of two numbers, null if one is null."""
    left, right = bound(layers, left), bound(layers, right)
    other = exp.LT if operator is exp.GTE else exp.GT
    chosen = compare(layers, operator, left, right)
    not_chosen = compare(layers, other, left, right)
    return bound(layers, choose(layers, [(chosen, left), (not_chosen, right)], None))


def bound(layers: Layers, value: Value) -> Value:
    """Give a number a name, because it is needed more than once."""
    return replace(value, sql=layers.bind(value.sql), raw=None)


def _sign_checks(value: Value) -> tuple[Check, ...]:
    """Make the check that a BIGINT has a counterpart of the other sign; the lowest has none."""
    if value.kind != "integer" or value.largest < LARGEST_INTEGER:
        return ()
    lowest = binary(exp.Sub, whole(-LARGEST_INTEGER), whole(1))
    return (Check(binary(exp.EQ, value.sql, lowest), text(TOO_LARGE)),)


def _safe(value: Value) -> Expr:
    """Return a BIGINT whose sign can be changed, null for the lowest."""
    if not _sign_checks(value):
        return value.sql
    return call("nullif", value.sql, binary(exp.Sub, whole(-LARGEST_INTEGER), whole(1)))


def negate(value: Value) -> Value:
    """Change the sign."""
    if value.kind == "decimal":
        return decimals.decimal_value(
            exp.Neg(this=exp.Paren(this=value.sql)), value.precision, value.scale, value.checks
        )
    integer = exp.Neg(this=exp.Paren(this=value.integer)) if value.integer is not None else None
    checks = (*value.checks, *_sign_checks(value)) if value.literal is None else value.checks
    inner = _safe(value) if value.literal is None else value.sql
    plain = isinstance(inner, (exp.Column, exp.Literal, exp.Cast))
    sql = exp.Neg(this=inner if plain else exp.Paren(this=inner))
    return Value(value.kind, sql, value.largest, value.is_whole, integer, checks=checks)


def absolute(value: Value) -> Value:
    """Drop the sign."""
    if value.kind == "decimal":
        return decimals.magnitude(value)
    integer = call("abs", value.integer) if value.integer is not None else None
    checks = (*value.checks, *_sign_checks(value))
    return Value(value.kind, call("abs", _safe(value)), value.largest, value.is_whole, integer, checks=checks)


def round_half_even(layers: Layers, value: Value, digits: int | None) -> Value:
    """Round half to even at so many decimal digits, on the exact value as Python does."""
    (value,) = without_decimals(value)
    if digits is not None and digits < 0:
        return _round_left(layers, value, 10**-digits)
    if value.kind == "integer":
        return value
    value = bound(layers, value)
    if not digits:
        sql = call("round_even", value.sql, whole(0))
        return Value(value.kind, sql, value.largest + 1, value.is_whole, value.integer, checks=value.checks)
    scale = double(10.0**digits)
    scaled = layers.bind(binary(exp.Mul, value.sql, scale), "scaled")
    distance = call(
        "abs", binary(exp.Sub, call("abs", binary(exp.Sub, scaled, call("trunc", scaled))), double(0.5))
    )
    clear = all_of(
        (binary(exp.LT, call("abs", scaled), double(1e12)), binary(exp.GT, distance, double(1e-3)))
    )
    quick = binary(exp.Div, call("round_even", scaled, whole(0)), scale)
    exact = try_cast(call("format", text(f"{{:.{digits}f}}"), value.sql), "DOUBLE")
    unknown = any_of((is_null(value.sql), negated(call("isfinite", value.sql))))
    sql = case((clear, quick), (unknown, value.sql), default=exact)
    return Value(value.kind, sql, value.largest + 1, value.is_whole, value.integer, checks=value.checks)


def _round_left(layers: Layers, value: Value, step: int) -> Value:
    """Round half to even at a power of ten left of the decimal point."""
    if value.kind == "integer":
        sql, check = fit(layers, _rounded(layers, cast(value.sql, "HUGEINT"), whole(step), whole(2)))
        return Value(
            "integer", sql, min(value.largest + step, float(LARGEST_INTEGER)), checks=(*value.checks, check)
        )
    number = _rounded(layers, value.sql, double(float(step)), double(2.0))
    largest = value.largest + step
    if largest <= EXACT or not may_be_whole(value):
        return finite(layers, Value("number", number, largest, value.is_whole, checks=value.checks))
    integer, check = fit(
        layers, _rounded(layers, cast(integer_part(value), "HUGEINT"), whole(step), whole(2))
    )
    return wide(layers, integer, number, largest, *value.checks, check)


def _rounded(layers: Layers, value: Expr, step: Expr, two: Expr) -> Expr:
    size = layers.bind(call("abs", value), "size")
    rest = layers.bind(binary(exp.Mod, size, step), "rest")
    floor = layers.bind(binary(exp.Sub, size, rest), "floor")
    doubled = binary(exp.Mul, rest, two)
    odd = binary(exp.NEQ, binary(exp.Mod, floor, binary(exp.Mul, step, two)), whole(0))
    up = any_of((binary(exp.GT, doubled, step), all_of((binary(exp.EQ, doubled, step), odd))))
    rounded = case((up, binary(exp.Add, floor, step)), default=floor)
    return binary(exp.Mul, rounded, call("sign", value))


def written(layers: Layers, value: Value) -> Expr:
    """Write a number as the shortest text that reads back the same, whole ones without `.0`."""
    if value.kind == "integer":
        return cast(value.sql, "VARCHAR")
    if value.kind == "decimal":
        return decimals.written(value)
    sql = layers.bind(value.sql)
    is_round = binary(exp.EQ, call("trunc", sql), sql)
    if value.largest >= 1e16:
        is_round = all_of((is_round, binary(exp.LT, call("abs", sql), double(1e16))))
    digits = cast(try_cast(sql, "BIGINT"), "VARCHAR")
    shortest = case((is_round, digits), (_is_plain(sql), _plainly(sql)), default=cast(sql, "VARCHAR"))
    if value.integer is not None:
        return call("coalesce", cast(value.integer, "VARCHAR"), shortest)
    return shortest


def _is_plain(sql: Expr) -> Expr:
    """Test that a number is written without an exponent, by its magnitude."""
    size = call("abs", sql)
    return all_of((binary(exp.GTE, size, double(1e-4)), binary(exp.LT, size.copy(), double(1e16))))


def _plainly(sql: Expr) -> Expr:
    """Write a DOUBLE as JSON does: the same digits as a cast to text where there is no exponent, in a third of the time."""
    return cast(call("to_json", sql), "VARCHAR")
