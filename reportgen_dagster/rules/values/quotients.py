"""Division toward zero and its rest, as SQL has them: `//` and `%` of the long form.

What belongs here: these two, and what keeps any division of whole numbers from failing. What does not: what rounds down, as
Python does (floors.py).
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values import decimal_quotients, decimals, numbers
from reportgen_dagster.rules.values.decimals import DIVISION_BY_ZERO
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
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


def zero_check(left: Value, right: Value) -> tuple[Check, ...]:
    """Make the check that nothing is divided by zero."""
    if right.kind == "integer" and literal_integer(right.sql):
        return ()
    zero = binary(exp.EQ, right.sql, whole(0) if right.kind == "integer" else double(0.0))
    return (Check(all_of((is_present(left.sql), zero)), text(DIVISION_BY_ZERO)),)


def may_overflow(left: Value, right: Value) -> bool:
    """Tell whether the lowest BIGINT may be divided by -1, which has no BIGINT as result."""
    literal = literal_integer(right.sql)
    return left.largest >= LARGEST_INTEGER and literal in (None, -1)


def is_lowest(integer: Expr) -> Expr:
    """Test for the lowest BIGINT."""
    return binary(exp.EQ, integer, binary(exp.Sub, whole(-LARGEST_INTEGER), whole(1)))


def opposite(integer: Expr) -> Expr:
    """Change the sign of a BIGINT; null for the lowest."""
    return try_cast(exp.Neg(this=cast(integer, "HUGEINT")), "BIGINT")


def divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide and round toward zero."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimal_quotients.truncated_divide(layers, *exact)
    left, right = numbers.bound(layers, left), numbers.bound(layers, right)
    if left.kind == right.kind == "integer":
        return _divide_integers(left, right)
    zero = zero_check(left, right)
    dividend, divisor = _doubles(layers, left, right)
    rest = layers.bind(binary(exp.Mod, dividend, divisor), "rest")
    share = layers.bind(binary(exp.Div, binary(exp.Sub, dividend, rest), divisor), "quotient")
    result = Value("number", call("round", share), checks=zero)  # whole but for the rounding of the division
    return numbers.finite(layers, result)


def _divide_integers(left: Value, right: Value) -> Value:
    zero = zero_check(left, right)
    divisor = call("nullif", right.sql, whole(0))
    if not may_overflow(left, right):
        return Value("integer", binary(exp.IntDiv, left.sql, divisor), left.largest, checks=zero)
    turned = binary(exp.EQ, right.sql, whole(-1))
    check = Check(all_of((turned, is_lowest(left.sql))), text(numbers.TOO_LARGE))
    result = binary(exp.IntDiv, left.sql, call("nullif", divisor, whole(-1)))
    sql = case((turned, opposite(left.sql)), default=result)
    return Value("integer", sql, left.largest, checks=(*zero, check))


def modulo(layers: Layers, left: Value, right: Value) -> Value:
    """Return the rest of the division toward zero; it has the sign of the left side."""
    exact = decimals.aligned((left, right))
    if exact:
        return decimal_quotients.truncated_modulo(layers, *exact)
    left, right = numbers.bound(layers, left), numbers.bound(layers, right)
    zero = zero_check(left, right)
    if left.kind == right.kind == "integer":
        divisor = call("nullif", right.sql, whole(0))
        if not may_overflow(left, right):
            return Value("integer", binary(exp.Mod, left.sql, divisor), right.largest, checks=zero)
        nothing = all_of((is_present(left.sql), binary(exp.EQ, right.sql, whole(-1))))
        rest = binary(exp.Mod, left.sql, call("nullif", divisor, whole(-1)))
        sql = case((nothing, cast(whole(0), "BIGINT")), default=rest)
        return Value("integer", sql, right.largest, checks=zero)
    dividend, divisor = _doubles(layers, left, right)
    return Value("number", binary(exp.Mod, dividend, divisor), right.largest, checks=zero)


def _doubles(layers: Layers, left: Value, right: Value) -> tuple[Expr, Expr]:
    divisor = call("nullif", numbers.as_double(right), double(0.0))
    return layers.bind(numbers.as_double(left)), layers.bind(divisor)
