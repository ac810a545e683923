"""Means and medians of decimals, exact but for the one rounding that is told.

What belongs here: these two. What does not: sums (sums.py), numbers that are no decimals (aggregates.py).
A mean has as many digits behind the point as a quotient of decimals, and is rounded half away from zero.
"""

from __future__ import annotations

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.sums import CUT_DIGITS, power_of_ten
from reportgen_dagster.rules.functions.table import Rows
from reportgen_dagster.rules.values.decimals import MIN_QUOTIENT_SCALE, TOO_MANY_DIGITS, decimal_value
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
    is_null,
    is_present,
    negated,
    text,
    try_cast,
    whole,
)

_MAX_SCALE = 18
_COUNT_DIGITS = 12
_HALVED = 35  # digits of two decimals whose half sum has at most 38


def decimal_mean(total: Value, count: Expr) -> Value:
    """Divide a sum of decimals by how many there are.

    Raises:
        UnfitError: If they have too many digits behind the point.
    """
    if total.scale > _MAX_SCALE:
        raise UnfitError(f"at most {_MAX_SCALE} digits behind the point can be averaged; round before")
    scale = max(total.scale, MIN_QUOTIENT_SCALE)
    divisor = cast(call("nullif", count, whole(0)), decimal_type(_COUNT_DIGITS, 0))
    rest = binary(exp.Mod, total.sql, divisor)
    wholes = binary(exp.IntDiv, cast(binary(exp.Sub, total.sql, rest), "HUGEINT"), cast(divisor, "HUGEINT"))
    room = binary(exp.LT, call("abs", wholes), cast(text(str(10 ** (MAX_PRECISION - scale - 1))), "HUGEINT"))
    mean = binary(
        exp.Add, try_cast(wholes, decimal_type(MAX_PRECISION, scale)), _fraction(rest, count, scale)
    )
    sql = case((room, cast(mean, decimal_type(MAX_PRECISION, scale))))
    check = Check(all_of((is_present(total.sql), negated(room))), text(TOO_MANY_DIGITS))
    return decimal_value(sql, MAX_PRECISION, scale, (*total.checks, check))


def _fraction(rest: Expr, count: Expr, scale: int) -> Expr:
    """Divide a rest, which is smaller than the divisor, and round it half away from zero."""
    written = cast(cast(rest, decimal_type(_COUNT_DIGITS + scale, scale)), "VARCHAR")
    digits = cast(call("replace", written, text("."), text("")), "HUGEINT")
    divisor = cast(call("nullif", count, whole(0)), "HUGEINT")
    size = call("abs", digits)
    up = binary(exp.GTE, binary(exp.Mul, binary(exp.Mod, size, divisor), whole(2)), divisor)
    quotient = binary(exp.Add, binary(exp.IntDiv, size, divisor), case((up, whole(1)), default=whole(0)))
    signed = binary(exp.Mul, quotient, call("sign", digits))
    unit = power_of_ten(-scale, scale, scale)
    return binary(exp.Mul, cast(signed, decimal_type(scale + 1, 0)), unit)


def decimal_median(rows: Rows) -> Value:
    """Return the value in the middle, or the half sum of the two there.

    Raises:
        UnfitError: If they have too many digits behind the point.
    """
    value = rows.value
    if value.scale > CUT_DIGITS:
        raise UnfitError(f"at most {CUT_DIGITS} digits behind the point can be compared; round before")
    half = cast(text("0.5"), decimal_type(2, 1))
    lower = rows.call("quantile_disc", value.sql, half)
    upper = exp.Neg(this=rows.call("quantile_disc", exp.Neg(this=value.sql), half))
    to = decimal_type(_HALVED, value.scale)
    sides = [try_cast(side, to) for side in (lower, upper)]
    halved = binary(exp.Mul, cast(binary(exp.Add, *sides), decimal_type(_HALVED + 1, value.scale)), half)
    sql = cast(halved, decimal_type(MAX_PRECISION, value.scale + 1))
    lost = all_of((is_present(lower), is_null(binary(exp.Add, *sides))))
    checks = (Check(lost, text(TOO_MANY_DIGITS)),) if value.precision > _HALVED else ()
    return decimal_value(sql, MAX_PRECISION, value.scale + 1, checks)
