"""Division of decimals, exact to the last digit, in SQL that cannot fail.

What belongs here: `/`, `//` and `%` of two decimals. What does not: everything else that decimals do (decimals.py).

A decimal is taken apart into its digits, a whole number. The database is slow at that, and at dividing numbers of 128 bits: rows
with up to 14 digits on both sides, which is nearly all there are, are divided in 64 bits.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Context, Decimal

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values.decimals import DIVISION_BY_ZERO, MIN_QUOTIENT_SCALE, NARROW, checked
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
    false,
    is_present,
    negated,
    text,
    true,
    try_cast,
    whole,
)

_QUICK_DIGITS = 14
_STEP = 4  # digits; with the 14 of a rest they fit into 64 bits
_MOST_QUICK = 18
_EXACT = Context(prec=MAX_PRECISION * 2)


def _power_of_ten(digits: int) -> Expr:
    return cast(whole(10**digits), "HUGEINT")


def _unscaled(layers: Layers, value: Value) -> Expr:
    """Return the digits of a decimal as a whole number of 128 bits.

    The database is slow at taking a wide decimal apart. Of up to 14 digits DOUBLE tells them exactly.
    """
    if isinstance(value.literal, Decimal):
        return cast(whole(_literal_digits(value, value.literal)), "HUGEINT")
    approximate = _approximate(layers, value)
    small = _has_few_digits(layers, value)
    quick = cast(call("round", binary(exp.Mul, approximate, double(10.0**value.scale))), "BIGINT")
    return layers.bind(case((small, cast(quick, "HUGEINT")), default=_taken_apart(value)), "digits")


def _taken_apart(value: Value) -> Expr:
    if value.scale == 0:
        return cast(value.sql, "HUGEINT")
    factor = cast(whole(10**value.scale), decimal_type(value.scale + 1, 0))
    widened = cast(value.sql, decimal_type(max(value.precision, NARROW + 1), value.scale))
    product = exp.Mul(this=widened, expression=factor)
    if value.precision + value.scale + 1 <= MAX_PRECISION:
        return cast(product, "HUGEINT")
    written = call("replace", cast(value.sql, "VARCHAR"), text("."), text(""))
    return call("coalesce", cast(call("try", product), "HUGEINT"), cast(written, "HUGEINT"))


def _raised(digits: Expr, precision: int, by: int) -> Expr:
    """Multiply a whole number of so many digits by a power of ten, null where it gets too large."""
    if by == 0:
        return digits
    product = binary(exp.Mul, digits, _power_of_ten(by))
    if precision + by <= MAX_PRECISION:
        return product
    if by >= MAX_PRECISION:
        return case((binary(exp.EQ, digits, whole(0)), digits))
    small = binary(exp.LT, call("abs", digits), _power_of_ten(MAX_PRECISION - by))
    return case((small, product))


def _scaled(digits: Expr, precision: int, scale: int) -> Expr:
    """Return the decimal that has these digits, so many of them behind the point; null where there are too many."""
    plain = try_cast(digits, decimal_type(MAX_PRECISION, 0))
    if scale:
        unit = cast(text("0." + "0" * (scale - 1) + "1"), decimal_type(scale, scale))
        plain = exp.Mul(this=plain, expression=unit)
    return try_cast(plain, decimal_type(precision, scale))


def _zero_check(left: Value, right: Value) -> tuple[Check, ...]:
    if right.literal:
        return ()
    zero = binary(exp.EQ, right.sql, whole(0))
    return (Check(all_of((is_present(left.sql), zero)), text(DIVISION_BY_ZERO)),)


def _bound(layers: Layers, value: Value) -> Value:
    """Give a decimal that is computed a name, because it is needed more than once."""
    return value if value.literal is not None else replace(value, sql=layers.bind(value.sql, "decimal"))


def _divisible(right: Value) -> Value:
    """Leave out zeros of a divisor, which have a check of their own."""
    return right if right.literal else replace(right, sql=call("nullif", right.sql, whole(0)), literal=None)


def divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide; the quotient is rounded half away from zero."""
    left, right = _bound(layers, left), _bound(layers, right)
    zero = _zero_check(left, right)
    right = _divisible(right)
    scale = max(left.scale, right.scale, MIN_QUOTIENT_SCALE)
    by = scale + right.scale - left.scale
    if by >= MAX_PRECISION:
        raise UnfitError("the divisor has too many digits behind the point; round it before")
    precision = min(MAX_PRECISION, left.precision - left.scale + right.scale + scale)
    digits = _slow_quotient(layers, left, right, by)
    if by <= _MOST_QUICK:
        few = layers.bind(all_of((_has_few_digits(layers, left), _has_few_digits(layers, right))), "few")
        many = negated(few)
        digits = _slow_quotient(layers, _only(left, many), _only(right, many), by)
        digits = case((few, _quick_quotient(layers, _only(left, few), _only(right, few), by)), default=digits)
    result = _scaled(layers.bind(digits, "digits"), precision, scale)
    return checked(layers, result, precision, scale, (left, right), *zero)


def _only(value: Value, condition: Expr) -> Value:
    """Return a value only on some rows, null on others, where nothing is computed with it."""
    return value if value.literal is not None else replace(value, sql=case((condition, value.sql)))


def _has_few_digits(layers: Layers, value: Value) -> Expr:
    if isinstance(value.literal, Decimal):
        few = abs(_literal_digits(value, value.literal)) < 10**_QUICK_DIGITS
        return true() if few else false()
    return binary(
        exp.LT, call("abs", _approximate(layers, value)), double(10.0 ** (_QUICK_DIGITS - value.scale))
    )


def _approximate(layers: Layers, value: Value) -> Expr:
    return layers.bind(cast(value.sql, "DOUBLE"), "approximate")


def _literal_digits(value: Value, literal: Decimal) -> int:
    return int(literal.scaleb(value.scale, _EXACT))


def _quick_digits(layers: Layers, value: Value) -> Expr:
    """Return the digits of a decimal that has few, so that DOUBLE tells them exactly, as BIGINT."""
    if isinstance(value.literal, Decimal):
        return cast(whole(_literal_digits(value, value.literal)), "BIGINT")
    raised = binary(exp.Mul, _approximate(layers, value), double(10.0**value.scale))
    return layers.bind(cast(call("round", raised), "BIGINT"), "digits")


def _quick_quotient(layers: Layers, left: Value, right: Value, by: int) -> Expr:
    """Divide in 64 bits, a few digits at a time, as on paper."""
    dividend, divisor = _quick_digits(layers, left), _quick_digits(layers, right)
    wholes = layers.bind(binary(exp.IntDiv, dividend, divisor), "wholes")
    rest = layers.bind(binary(exp.Mod, dividend, divisor), "rest")
    behind: Expr = cast(whole(0), "BIGINT")
    while by > 0:
        step = min(by, _STEP)
        raised = binary(exp.Mul, rest, whole(10**step))
        more = binary(exp.IntDiv, raised, divisor)
        behind = layers.bind(binary(exp.Add, binary(exp.Mul, behind, whole(10**step)), more), "behind")
        wholes = binary(exp.Mul, cast(wholes, "HUGEINT"), _power_of_ten(step))
        rest = layers.bind(binary(exp.Mod, raised, divisor), "rest")
        by -= step
    up = binary(exp.GTE, binary(exp.Mul, call("abs", rest), whole(2)), call("abs", divisor))
    return binary(exp.Add, binary(exp.Add, cast(wholes, "HUGEINT"), behind), _rounding(up, dividend, divisor))


def _rounding(up: Expr, dividend: Expr, divisor: Expr) -> Expr:
    negative = binary(
        exp.NEQ,
        exp.Paren(this=binary(exp.LT, dividend, whole(0))),
        exp.Paren(this=binary(exp.LT, divisor, whole(0))),
    )
    return case((up, case((negative, whole(-1)), default=whole(1))), default=whole(0))


def _slow_quotient(layers: Layers, left: Value, right: Value, by: int) -> Expr:
    """Divide in 128 bits; null where that is not enough."""
    dividend, divisor = _unscaled(layers, left), _unscaled(layers, right)
    wholes = layers.bind(binary(exp.IntDiv, dividend, divisor), "wholes")
    rest = layers.bind(binary(exp.Mod, dividend, divisor), "rest")
    raised = layers.bind(_raised(rest, min(right.precision, left.precision), by), "rest")
    more = layers.bind(binary(exp.IntDiv, raised, divisor), "more")
    last = layers.bind(call("abs", binary(exp.Mod, raised, divisor)), "last")
    up = binary(exp.GTE, last, binary(exp.Sub, call("abs", divisor), last))
    step = _rounding(up, dividend, divisor)
    return binary(exp.Add, binary(exp.Add, _raised(wholes, left.precision, by), more), step)


def _same_scale(layers: Layers, left: Value, right: Value) -> tuple[Expr, Expr, int]:
    """Return the digits of both at the larger scale; null where there are too many."""
    scale = max(left.scale, right.scale)
    parts = [
        layers.bind(_raised(_unscaled(layers, value), value.precision, scale - value.scale), "digits")
        for value in (left, right)
    ]
    return parts[0], parts[1], scale


def truncated_divide(layers: Layers, left: Value, right: Value) -> Value:
    """Divide and round toward zero."""
    left, right = _bound(layers, left), _bound(layers, right)
    zero = _zero_check(left, right)
    right = _divisible(right)
    dividend, divisor, _ = _same_scale(layers, left, right)
    precision = min(MAX_PRECISION, left.precision - left.scale + right.scale)
    result = _scaled(binary(exp.IntDiv, dividend, divisor), max(precision, 1), 0)
    return checked(layers, result, max(precision, 1), 0, (left, right), *zero)


def truncated_modulo(layers: Layers, left: Value, right: Value) -> Value:
    """Return the rest of the division that rounds toward zero; it has the sign of the left side."""
    left, right = _bound(layers, left), _bound(layers, right)
    zero = _zero_check(left, right)
    right = _divisible(right)
    dividend, divisor, scale = _same_scale(layers, left, right)
    precision = min(MAX_PRECISION, max(right.precision - right.scale + scale, 1))
    result = _scaled(layers.bind(binary(exp.Mod, dividend, divisor), "rest"), precision, scale)
    return checked(layers, result, precision, scale, (left, right), *zero)
