"""Sums of decimals that are exact and cannot overflow in the database.

What belongs here: adding up decimals of up to 38 digits. What does not: means and medians (means.py).

Sums are kept in 128 bits. Decimals of up to 27 digits are added as they are: ten thousand million of them fit. Wider ones are cut
at 26 digits, which happens on the few rows that have so many, and both parts are added for themselves.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.table import Rows
from reportgen_dagster.rules.values.decimals import TOO_MANY_DIGITS, decimal_value
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
    is_present,
    negated,
    text,
    try_cast,
    whole,
)

CUT_DIGITS = 26
_SAFE_DIGITS = 27
_MOST_CUTS = 979_999_999_999  # times the cut, with room for the sums of the rests, still 38 digits


def power_of_ten(exponent: int, precision: int, scale: int) -> Expr:
    """Write a power of ten as a decimal."""
    written = f"1{'0' * exponent}" if exponent >= 0 else f"0.{'0' * (-exponent - 1)}1"
    return cast(text(written), decimal_type(precision, scale))


def decimal_sum(rows: Rows) -> Value:
    """Add up decimals; more than 38 digits are an error.

    Raises:
        UnfitError: If they have more digits than can be added up for certain.
    """
    value = rows.value
    if value.precision <= _SAFE_DIGITS:
        return decimal_value(rows.call("sum", value.sql), MAX_PRECISION, value.scale)
    if value.scale > CUT_DIGITS or rows.distinct:
        raise UnfitError(
            "there are too many digits to add up; make it smaller by a cast such as decimal(27, 9)"
        )
    cut = power_of_ten(CUT_DIGITS - value.scale, CUT_DIGITS + 1, value.scale)
    small = binary(exp.LT, call("abs", value.sql), cut)
    rest = binary(exp.Mod, value.sql, cut)
    near = case((small, value.sql), (is_present(value.sql), rest))
    times = case((small, whole(0)), (is_present(value.sql), _times(value.sql, rest, cut)))
    return _joined(
        replace(rows, values=[replace(value, sql=near)]), rows.call("sum", cast(times, "BIGINT")), cut
    )


def _times(value: Expr, rest: Expr, cut: Expr) -> Expr:
    """Return how many times the cut is in a decimal: less than 1e12, so exact as DOUBLE."""
    share = binary(exp.Div, cast(binary(exp.Sub, value, rest), "DOUBLE"), cast(cut, "DOUBLE"))
    return try_cast(call("round", share), "BIGINT")


def _joined(rests: Rows, cuts: Expr, cut: Expr) -> Value:
    fits = exp.Between(this=cuts, low=whole(-_MOST_CUTS), high=whole(_MOST_CUTS))
    product = binary(exp.Mul, cast(cuts, decimal_type(12, 0)), cut)
    total = binary(exp.Add, rests.call("sum", rests.value.sql), product)
    scale = rests.value.scale
    sql = case((fits, cast(total, decimal_type(MAX_PRECISION, scale))))
    check = Check(all_of((is_present(cuts), negated(fits))), text(TOO_MANY_DIGITS))
    return decimal_value(sql, MAX_PRECISION, scale, (check,))
