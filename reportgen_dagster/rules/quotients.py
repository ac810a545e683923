"""Division toward zero and its rest, as SQL has them: `//` and `%` of the long form.

What belongs here: these two. What does not: what rounds down, as Python does (numbers.py).
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules import decimal_quotients, decimals, numbers
from reportgen_dagster.rules.decimals import DIVISION_BY_ZERO
from reportgen_dagster.rules.layers import Layers
from reportgen_dagster.rules.values import (
    LARGEST_INTEGER,
    Check,
    Value,
    all_of,
    binary,
    call,
    case,
    cast,
    double,
    is_present,
    literal_integer,
    text,
    try_cast,
    whole,
)


def _zero_check(left: Value, right: Value) -> tuple[Check, ...]:
    if right.kind == "integer" and literal_integer(right.sql):
        return ()
    zero = binary(exp.EQ, right.sql, whole(0) if right.kind == "integer" else double(0.0))
    return (Check(all_of((is_present(left.sql), zero)), text(DIVISION_BY_ZERO)),)


def _overflows(left: Value, right: Value) -> bool:
    """Tell whether the lowest BIGINT may be divided by -1, which has no BIGINT as result."""
    literal = literal_integer(right.sql)
    return left.largest >= LARGEST_INTEGER and literal in (None, -1)


def divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide and round toward zero."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimal_quotients.truncated_divide(layers, *exact)
    if left.kind == right.kind == "integer":
        return _divide_integers(left, right)
    zero = _zero_check(left, right)
    dividend, divisor = _doubles(layers, left, right)
    rest = layers.bind(binary(exp.Mod, dividend, divisor), "rest")
    share = layers.bind(binary(exp.Div, binary(exp.Sub, dividend, rest), divisor), "quotient")
    result = Value("number", call("round", share), checks=zero)  # whole but for the rounding of the division
    return numbers.finite(layers, result)


def _divide_integers(left: Value, right: Value) -> Value:
    zero = _zero_check(left, right)
    result: Expr = binary(exp.IntDiv, left.sql, call("nullif", right.sql, whole(0)))
    if not _overflows(left, right):
        return Value("integer", result, left.largest, checks=zero)
    turned = binary(exp.EQ, right.sql, whole(-1))
    opposite = try_cast(exp.Neg(this=cast(left.sql, "HUGEINT")), "BIGINT")
    lowest = binary(exp.EQ, left.sql, binary(exp.Sub, whole(-LARGEST_INTEGER), whole(1)))
    check = Check(all_of((turned, lowest)), text(numbers.TOO_LARGE))
    sql = case((turned, opposite), default=result)
    return Value("integer", sql, left.largest, checks=(*zero, check))


def modulo(layers: Layers, left: Value, right: Value) -> Value:
    """Return the rest of the division toward zero; it has the sign of the left side."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimal_quotients.truncated_modulo(layers, *exact)
    zero = _zero_check(left, right)
    if left.kind == right.kind == "integer":
        sql: Expr = binary(exp.Mod, left.sql, call("nullif", right.sql, whole(0)))
        if _overflows(left, right):
            sql = case(
                (binary(exp.EQ, right.sql, whole(-1)), cast(binary(exp.Mul, left.sql, whole(0)), "BIGINT")),
                default=sql,
            )
        return Value("integer", sql, right.largest, checks=zero)
    dividend, divisor = _doubles(layers, left, right)
    return Value("number", binary(exp.Mod, dividend, divisor), right.largest, checks=zero)


def _doubles(layers: Layers, left: Value, right: Value) -> tuple[Expr, Expr]:
    divisor = call("nullif", numbers.as_double(right), double(0.0))
    return layers.bind(numbers.as_double(left)), layers.bind(divisor)
