"""Arithmetic on numbers: Python's meaning in SQL, exact for whole numbers of 64 bits, in DOUBLE where that is as exact.

What belongs here: what two numbers make. What does not: what a text among the operands means (operators.py).

Three kinds of numbers (see `Value`): `integer` in BIGINT, `number` in DOUBLE, and `wide`, which carries both. A `number`
that may be a whole number by its type is kept only while its magnitude is known to be exact in DOUBLE; past that the
operation makes a `wide`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.layers import Layers
from reportgen_dagster.rules.values import (
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
    false,
    is_null,
    is_present,
    literal_integer,
    negated,
    text,
    true,
    try_cast,
    whole,
)

TOO_LARGE = "the result is too large for a whole number of 64 bits"
NOT_FINITE = "the result is not a finite number"
DIVISION_BY_ZERO = "division by zero"
_SAFE_INTEGER = 9.2e18  # bounds are DOUBLE and may be rounded
_POWER_PART_LIMIT = 4e9  # its square times 2**63 fits into 128 bits


def as_double(value: Value) -> Expr:
    """Return a number as DOUBLE."""
    if value.kind == "integer":
        literal = literal_integer(value.sql)
        return double(float(literal)) if literal is not None else cast(value.sql, "DOUBLE")
    return value.sql


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


def _mode(left: Value, right: Value, bound: float) -> str:
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


def _wide(layers: Layers, integer: Expr, number: Expr, largest: float, *checks: Check) -> Value:
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
    product = operator is exp.Mul
    bound = left.largest * right.largest if product else left.largest + right.largest
    bound = math.inf if math.isnan(bound) else bound
    mode = _mode(left, right, bound)
    if mode == "integer":
        if bound < _SAFE_INTEGER:
            return Value("integer", binary(operator, left.sql, right.sql), bound)
        sql, check = fit(layers, _exact(operator, left.sql, right.sql))
        return Value("integer", layers.bind(sql), float(LARGEST_INTEGER), checks=(check,))
    number = binary(operator, as_double(left), as_double(right))
    if mode == "number":
        return finite(layers, Value("number", number, bound, both_whole(left, right)))
    integer, check = fit(layers, _exact(operator, integer_part(left), integer_part(right)))
    return _wide(layers, integer, number, bound, check)


def divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide, never as whole numbers."""
    divisor = as_double(right)
    quotient = layers.bind(binary(exp.Div, as_double(left), divisor))
    reason = case((binary(exp.EQ, divisor, double(0.0)), text(DIVISION_BY_ZERO)), default=text(NOT_FINITE))
    literal = literal_integer(right.sql) if right.kind == "integer" else None
    if literal and left.largest <= LARGEST_NUMBER:
        return Value("number", quotient, left.largest)
    return Value("number", quotient, checks=(Check(negated(call("isfinite", quotient)), reason),))


def _zero_check(left: Value, right: Value) -> tuple[Check, ...]:
    if right.kind == "integer" and literal_integer(right.sql):
        return ()
    zero = binary(exp.EQ, right.sql, whole(0) if right.kind == "integer" else double(0.0))
    return (Check(all_of((is_present(left.sql), zero)), text(DIVISION_BY_ZERO)),)


def _signs_differ(left: Expr, right: Expr, zero: Expr) -> Expr:
    return binary(
        exp.NEQ, exp.Paren(this=binary(exp.LT, left, zero)), exp.Paren(this=binary(exp.LT, right, zero))
    )


def floor_integers(layers: Layers, left: Expr, right: Expr, *, quotient: bool) -> Expr:
    """Return `//` or `%` of two BIGINT, null for a zero divisor."""
    divisor = call("nullif", right, whole(0))
    rest = layers.bind(binary(exp.Mod, left, divisor), "rest")
    off = all_of((binary(exp.NEQ, rest, whole(0)), _signs_differ(rest, right, whole(0))))
    if quotient:
        result = binary(exp.IntDiv, left, divisor)
        return case((off, binary(exp.Sub, result, whole(1))), default=result)
    return case((off, binary(exp.Add, rest, right)), default=rest)


def floor_doubles(layers: Layers, left: Expr, right: Expr, *, quotient: bool) -> Expr:
    """Return `//` or `%` of two DOUBLE exactly as Python computes them."""
    left, right = layers.bind(left), layers.bind(right)
    rest = layers.bind(binary(exp.Mod, left, right), "rest")
    off = all_of((binary(exp.NEQ, rest, double(0.0)), _signs_differ(rest, right, double(0.0))))
    if not quotient:
        return case((off, binary(exp.Add, rest, right)), default=rest)
    plain = binary(exp.Div, binary(exp.Sub, left, rest), right)
    share = layers.bind(case((off, binary(exp.Sub, plain, double(1.0))), default=plain), "quotient")
    floored = layers.bind(call("floor", share), "quotient")
    below = binary(exp.GT, binary(exp.Sub, share, floored), double(0.5))
    return case((below, binary(exp.Add, floored, double(1.0))), default=floored)


def floor_divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide and round down (`//`)."""
    zero = _zero_check(left, right)
    if left.kind == right.kind == "integer":
        sql = floor_integers(layers, left.sql, right.sql, quotient=True)
        return Value("integer", sql, left.largest, checks=zero)
    number = floor_doubles(layers, as_double(left), as_double(right), quotient=True)
    if _mode(left, right, 0.0) == "number":
        return finite(layers, Value("number", number, math.inf, both_whole(left, right), checks=zero))
    integer = floor_integers(layers, integer_part(left), integer_part(right), quotient=True)
    return _wide(layers, integer, number, math.inf, *zero)


def floor_modulo(layers: Layers, left: Value, right: Value) -> Value:
    """Return the rest of `//`, with the sign of the right side (`%`)."""
    zero = _zero_check(left, right)
    if left.kind == right.kind == "integer":
        sql = floor_integers(layers, left.sql, right.sql, quotient=False)
        return Value("integer", sql, right.largest, checks=zero)
    number = floor_doubles(layers, as_double(left), as_double(right), quotient=False)
    if _mode(left, right, 0.0) == "number":
        return finite(layers, Value("number", number, right.largest, both_whole(left, right), checks=zero))
    integer = floor_integers(layers, integer_part(left), integer_part(right), quotient=False)
    return _wide(layers, integer, number, right.largest, *zero)


def power(layers: Layers, left: Value, right: Value) -> Value:
    """Raise to a power; a whole number to a whole number from 0 on is a whole number."""
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
    return _wide(layers, integer, number, math.inf, Check(large, text(TOO_LARGE)), check, infinite)


def _safe_factor(layers: Layers, factor: Expr) -> Expr:
    """Null a factor that cannot be part of a result of 64 bits, so that no product of it overflows."""
    name = layers.bind(factor, "factor")
    return case((binary(exp.LT, call("abs", name), cast(whole(2**63), "HUGEINT")), name))


def compare(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> Expr:
    """Compare two numbers."""
    if left.kind == right.kind == "integer":
        return binary(operator, left.sql, right.sql)
    doubles = binary(operator, as_double(left), as_double(right))
    if both_whole(left, right) is None or (is_exact(left) and is_exact(right)):
        return doubles
    return call(
        "coalesce",
        binary(operator, layers.bind(integer_part(left)), layers.bind(integer_part(right))),
        doubles,
    )


def choose(layers: Layers, branches: Sequence[tuple[Expr, Value]], default: Value | None) -> Value:
    """Return the CASE of numbers; conditions are names."""
    values = [value for _, value in branches] + ([default] if default else [])
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
    sql = layers.bind(value.sql)
    return Value(value.kind, sql, value.largest, value.is_whole, value.integer, checks=value.checks)


def negate(value: Value) -> Value:
    """Change the sign."""
    integer = exp.Neg(this=exp.Paren(this=value.integer)) if value.integer is not None else None
    plain = isinstance(value.sql, (exp.Column, exp.Literal, exp.Cast))
    sql = exp.Neg(this=value.sql if plain else exp.Paren(this=value.sql))
    return Value(value.kind, sql, value.largest, value.is_whole, integer, checks=value.checks)


def absolute(value: Value) -> Value:
    """Drop the sign."""
    integer = call("abs", value.integer) if value.integer is not None else None
    return Value(
        value.kind, call("abs", value.sql), value.largest, value.is_whole, integer, checks=value.checks
    )


def round_half_even(layers: Layers, value: Value, digits: int | None) -> Value:
    """Round half to even at so many decimal digits, on the exact value as Python does."""
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
    return _wide(layers, integer, number, largest, *value.checks, check)


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
    sql = layers.bind(value.sql)
    is_round = binary(exp.EQ, call("trunc", sql), sql)
    if value.largest >= 1e16:
        is_round = all_of((is_round, binary(exp.LT, call("abs", sql), double(1e16))))
    digits = cast(try_cast(sql, "BIGINT"), "VARCHAR")
    shortest = case((is_round, digits), default=cast(sql, "VARCHAR"))
    if value.integer is not None:
        return call("coalesce", cast(value.integer, "VARCHAR"), shortest)
    return shortest
