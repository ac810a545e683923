"""Division that rounds down and its rest, as Python has them: `//` and `%` of the short form.

What belongs here: these two. What does not: what rounds toward zero, as SQL does (quotients.py).
"""

from __future__ import annotations

import math

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.number_parts import as_double, both_whole, integer_part, without_decimals
from reportgen_dagster.rules.values.numbers import TOO_LARGE, bound, finite, mode_of, wide
from reportgen_dagster.rules.values.quotients import is_lowest, may_overflow, opposite, zero_check
from reportgen_dagster.rules.values.typed import (
    Check,
    Value,
    all_of,
    binary,
    call,
    case,
    double,
    integer_literal,
    is_present,
    text,
    whole,
)


def floor_divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide and round down (`//`)."""
    left, right = (bound(layers, value) for value in without_decimals(left, right))
    zero = zero_check(left, right)
    if left.kind == right.kind == "integer":
        sql, checks = _quotient(layers, left, right)
        return Value("integer", sql, left.largest, checks=(*zero, *checks))
    number = _floor_doubles(layers, as_double(left), as_double(right), quotient=True)
    if mode_of(left, right, 0.0) == "number":
        return finite(layers, Value("number", number, math.inf, both_whole(left, right), checks=zero))
    integer, checks = _quotient(layers, left, right)
    return wide(layers, integer, number, math.inf, *zero, *checks)


def floor_modulo(layers: Layers, left: Value, right: Value) -> Value:
    """Return the rest of `//`, with the sign of the right side (`%`)."""
    left, right = (bound(layers, value) for value in without_decimals(left, right))
    zero = zero_check(left, right)
    if left.kind == right.kind == "integer":
        return Value("integer", _rest(layers, left, right), right.largest, checks=zero)
    number = _floor_doubles(layers, as_double(left), as_double(right), quotient=False)
    if mode_of(left, right, 0.0) == "number":
        return finite(layers, Value("number", number, right.largest, both_whole(left, right), checks=zero))
    return wide(layers, _rest(layers, left, right), number, right.largest, *zero)


def _quotient(layers: Layers, left: Value, right: Value) -> tuple[Expr, tuple[Check, ...]]:
    """Return `//` of two numbers that are whole, and what makes the row an error."""
    dividend, divisor = integer_part(left), integer_part(right)
    if not may_overflow(left, right):
        return floor_integers(layers, dividend, divisor, quotient=True), ()
    dividend, divisor = layers.bind(dividend), layers.bind(divisor)
    turned = binary(exp.EQ, divisor, whole(-1))
    plain = floor_integers(layers, dividend, call("nullif", divisor, whole(-1)), quotient=True)
    check = Check(all_of((turned, is_lowest(dividend))), text(TOO_LARGE))
    return case((turned, opposite(dividend)), default=plain), (check,)


def _rest(layers: Layers, left: Value, right: Value) -> Expr:
    """Return `%` of two numbers that are whole."""
    dividend, divisor = integer_part(left), integer_part(right)
    if not may_overflow(left, right):
        return floor_integers(layers, dividend, divisor, quotient=False)
    dividend, divisor = layers.bind(dividend), layers.bind(divisor)
    nothing = all_of((is_present(dividend), binary(exp.EQ, divisor, whole(-1))))
    plain = floor_integers(layers, dividend, call("nullif", divisor, whole(-1)), quotient=False)
    return case((nothing, integer_literal(0)), default=plain)


def _signs_differ(left: Expr, right: Expr, zero: Expr) -> Expr:
    return binary(
        exp.NEQ, exp.Paren(this=binary(exp.LT, left, zero)), exp.Paren(this=binary(exp.LT, right, zero))
    )


def floor_integers(layers: Layers, left: Expr, right: Expr, *, quotient: bool) -> Expr:
    """Return `//` or `%` of two BIGINT, null for a zero divisor; the lowest must not meet -1."""
    divisor = call("nullif", right, whole(0))
    rest = layers.bind(binary(exp.Mod, left, divisor), "rest")
    off = all_of((binary(exp.NEQ, rest, whole(0)), _signs_differ(rest, right, whole(0))))
    if quotient:
        result = binary(exp.IntDiv, left, divisor)
        return case((off, binary(exp.Sub, result, whole(1))), default=result)
    return case((off, binary(exp.Add, rest, right)), default=rest)


def _floor_doubles(layers: Layers, left: Expr, right: Expr, *, quotient: bool) -> Expr:
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
