"""Exact arithmetic on decimals of up to 38 digits, in SQL that cannot fail.

What belongs here: what two decimals make, and their types. What does not: their quotients (decimal_quotients.py), all other
numbers (numbers.py).

Sums and differences have the larger scale of their operands, products the sum of both, quotients the larger one but at
least 10; a quotient is rounded half away from zero, nothing else is rounded. Where a result may have more than 38 digits the
row is an error if it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from sqlglot import exp
from sqlglot.expressions import Expr

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
    false,
    is_null,
    is_present,
    negated,
    text,
    try_cast,
    whole,
)

TOO_MANY_DIGITS = "the result has more than 38 digits"
DIVISION_BY_ZERO = "division by zero"
MIN_QUOTIENT_SCALE = 10
_INTEGER_DIGITS = 19
NARROW = 18  # the database computes decimals of up to 18 digits in 64 bits, and would not widen by itself


def decimal_value(sql: Expr, precision: int, scale: int, checks: Sequence[Check] = ()) -> Value:
    """Make a value of a DECIMAL(precision, scale)."""
    largest = 10.0 ** (precision - scale)
    return Value("decimal", sql, largest, checks=tuple(checks), precision=precision, scale=scale)


def of_literal(number: int | float | Decimal) -> Value | None:
    """Return a number that is written out as the decimal that it says, None if it has too many digits."""
    exact = Decimal(str(number))
    _, digits, exponent = exact.as_tuple()
    if not isinstance(exponent, int):
        return None
    scale = max(0, -exponent)
    precision = max(len(digits) + max(0, exponent), scale, 1)
    if precision > MAX_PRECISION:
        return None
    sql = cast(text(f"{exact:f}"), decimal_type(precision, scale))
    return replace(decimal_value(sql, precision, scale), largest=abs(float(number)), literal=exact)


def as_decimal(value: Value) -> Value | None:
    """Return a value as the decimal that it is exactly, None if it is a number that need not be one."""
    if value.kind == "decimal":
        return value
    if isinstance(value.literal, (int, float, Decimal)) and not isinstance(value.literal, bool):
        made = of_literal(value.literal)
        return made.with_checks(value.checks) if made else None
    if value.kind != "integer":
        return None
    sql = cast(value.sql, decimal_type(_INTEGER_DIGITS, 0))
    return decimal_value(sql, _INTEGER_DIGITS, 0, value.checks)


def aligned(values: Sequence[Value]) -> list[Value] | None:
    """Return the values as decimals if one is a decimal and the others are exact, else None."""
    if all(value.kind != "decimal" for value in values):
        return None
    found = [as_decimal(value) for value in values]
    exact = [value for value in found if value is not None]
    return exact if len(exact) == len(found) else None


def common(values: Sequence[Value]) -> tuple[int, int]:
    """Return precision and scale of the type that holds all of these decimals."""
    scale = max(value.scale for value in values)
    digits = max(value.precision - value.scale for value in values)
    return min(digits + scale, MAX_PRECISION), scale


def fitted(value: Value, precision: int, scale: int) -> tuple[Expr, tuple[Check, ...]]:
    """Return a decimal in a wider type, with the check that it fits if it may not."""
    to = decimal_type(precision, scale)
    if value.precision - value.scale <= precision - scale and value.scale <= scale:
        return cast(value.sql, to), ()
    sql = try_cast(value.sql, to)
    return sql, (Check(all_of((is_present(value.sql), is_null(sql))), text(TOO_MANY_DIGITS)),)


def linear(layers: Layers, operator: type[exp.Binary], left: Value, right: Value) -> Value:
    """Add, subtract or multiply."""
    if operator is exp.Mul:
        scale, precision = left.scale + right.scale, left.precision + right.precision
        if scale > MAX_PRECISION:
            raise UnfitError(
                f"the product has {scale} digits behind the point, and a decimal at most {MAX_PRECISION}; "
                "round a factor before"
            )
    else:
        scale = max(left.scale, right.scale)
        digits = max(left.precision - left.scale, right.precision - right.scale)
        precision = digits + scale + 1
    wide = min(precision, MAX_PRECISION)
    computed = binary(operator, _widened(left, wide), right.sql)
    if precision <= MAX_PRECISION:
        result = cast(computed, decimal_type(wide, scale)) if wide > NARROW else computed
        return decimal_value(result, wide, scale)
    return checked(layers, call("try", computed), wide, scale, (left, right))


def _widened(value: Value, precision: int) -> Expr:
    if precision <= NARROW or value.precision > NARROW:
        return value.sql
    return cast(value.sql, decimal_type(NARROW + 1, value.scale))


def checked(
    layers: Layers, result: Expr, precision: int, scale: int, operands: Sequence[Value], *before: Check
) -> Value:
    """Make a value of what is null where the result has too many digits."""
    sql = layers.bind(result, "decimal")
    there = [is_present(value.sql) for value in operands]
    check = Check(all_of((*there, is_null(sql))), text(TOO_MANY_DIGITS))
    return decimal_value(sql, precision, scale, (*before, check))


def compare(operator: type[exp.Binary], left: Value, right: Value) -> Expr:
    """Compare two decimals exactly, also where no one type holds both."""
    scale = max(left.scale, right.scale)
    if max(left.precision - left.scale, right.precision - right.scale) + scale <= MAX_PRECISION:
        return binary(operator, left.sql, right.sql)
    coarse, fine = (left, right) if left.scale < right.scale else (right, left)
    tried = try_cast(coarse.sql, decimal_type(MAX_PRECISION, fine.scale))
    sides = (tried, fine.sql) if coarse is left else (fine.sql, tried)
    beyond = (
        (coarse.sql, whole(0)) if coarse is left else (whole(0), coarse.sql)
    )  # larger than the other can be
    there = all_of((is_present(coarse.sql), is_present(fine.sql)))
    return case((is_present(tried), binary(operator, *sides)), (there, binary(operator, *beyond)))


def choose(branches: Sequence[tuple[Expr, Value]], default: Value | None) -> Value:
    """Return the CASE of decimals; conditions are names."""
    values = [value for _, value in branches] + ([default] if default else [])
    precision, scale = common(values)
    checks: tuple[Check, ...] = ()
    parts: list[tuple[Expr, Expr]] = []
    for condition, value in branches:
        sql, more = fitted(value, precision, scale)
        parts.append((condition, sql))
        checks += tuple(Check(all_of((condition, check.condition)), check.reason) for check in more)
    rest = None
    if default:
        rest, more = fitted(default, precision, scale)
        taken = [negated(call("coalesce", condition, false())) for condition, _ in branches]
        checks += tuple(Check(all_of((*taken, check.condition)), check.reason) for check in more)
    return decimal_value(case(*parts, default=rest), precision, scale, checks)


def rounded(value: Value, digits: int) -> Value:
    """Round half away from zero to so many digits behind the point, at least 0."""
    if digits >= value.scale:
        return value
    precision = min(MAX_PRECISION, value.precision - value.scale + digits + 1)
    sql = cast(value.sql, decimal_type(precision, digits))
    return decimal_value(sql, precision, digits, value.checks)


def magnitude(value: Value) -> Value:
    """Drop the sign."""
    return decimal_value(call("abs", value.sql), value.precision, value.scale, value.checks)


def written(value: Value) -> Expr:
    """Write a decimal with its scale; the database leaves out the 0 before the point where the type has no room for it."""
    if value.precision > value.scale:
        return cast(value.sql, "VARCHAR")
    if value.scale < MAX_PRECISION:
        return cast(cast(value.sql, decimal_type(value.scale + 1, value.scale)), "VARCHAR")
    return call("regexp_replace", cast(value.sql, "VARCHAR"), text("^(-?)[.]"), text("\\10."))
