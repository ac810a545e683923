"""Functions of numbers.

What belongs here: rounding, roots, logarithms, angles, limits. What does not: arithmetic itself (numbers.py, decimals.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.conditionals import extreme, kept
from reportgen_dagster.rules.functions.given import (
    by_kind,
    checks_of,
    decimal_of,
    is_unknown,
    numeric,
    written_integer,
)
from reportgen_dagster.rules.functions.table import Build, Function, alias, scalar
from reportgen_dagster.rules.values import decimals, numbers, operators, quotients
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    EXACT,
    MAX_PRECISION,
    Check,
    Value,
    all_of,
    any_of,
    any_value,
    binary,
    call,
    case,
    cast,
    decimal_type,
    double,
    is_null,
    is_present,
    negated,
    null_value,
    present,
    text,
    try_cast,
    whole,
)

_NEGATIVE = "a negative number has no square root"
_LOGARITHM = "a logarithm needs a number above 0"
_OUTSIDE = "the number must be from -1 to 1"
_SMALLEST_INTEGER = -(2**63)


def operation(build: Callable[..., Value]) -> Build:
    """Make a function of an operator that needs no layers."""
    return numeric(lambda _, *values: build(*values))


def rounded_to_whole(name: str) -> Build:
    """Make DuckDB's `floor`, `ceil` or `trunc`."""

    def of_figure(_: Layers, value: Value) -> Value:
        if value.kind == "integer":
            return value
        return Value(value.kind, call(name, value.sql), value.largest + 1, value.is_whole, value.integer)

    def of_decimal(_: Layers, values: Sequence[Value]) -> Value:
        value = values[0]
        if value.scale == 0:
            return value
        return decimal_of(call(name, value.sql), value.precision, 0).with_checks(value.checks)

    return by_kind(numeric(of_figure), of_decimal)


def absolute(layers: Layers, value: Value) -> Value:
    """Drop the sign; the smallest whole number has no counterpart."""
    if value.kind != "integer" or value.largest <= EXACT:
        return numbers.absolute(value)
    sql = layers.bind(value.sql)
    none = binary(exp.EQ, sql, exp.Paren(this=cast(whole(_SMALLEST_INTEGER), "BIGINT")))
    made = case((negated(none), call("abs", sql)))
    return Value("integer", made, value.largest, checks=(Check(none, text(numbers.TOO_LARGE)),))


def absolute_decimal(_: Layers, values: Sequence[Value]) -> Value:
    """Drop the sign of a decimal."""
    return decimals.magnitude(values[0])


def sign(_: Layers, value: Value) -> Value:
    """Return -1, 0 or 1."""
    return Value("integer", try_cast(call("sign", value.sql), "BIGINT"), 1.0)


def from_domain(name: str, lowest: float, *, open_end: bool, reason: str) -> Build:
    """Make a number of DuckDB's function of this name, which is defined from `lowest` on."""

    def build(layers: Layers, value: Value) -> Value:
        number = layers.bind(numbers.as_double(value))
        inside = binary(exp.GT if open_end else exp.GTE, number, double(lowest))
        check = Check(negated(inside), text(reason))
        return Value("number", case((inside, call(name, number))), 1e300, checks=(check,))

    return numeric(build)


def angle(name: str) -> Build:
    """Make DuckDB's `asin` or `acos`."""

    def build(layers: Layers, value: Value) -> Value:
        number = layers.bind(numbers.as_double(value))
        inside = exp.Between(this=number, low=double(-1.0), high=double(1.0))
        check = Check(negated(inside), text(_OUTSIDE))
        return Value("number", case((inside, call(name, number))), 4.0, checks=(check,))

    return numeric(build)


def finite(name: str, largest: float = math.inf) -> Build:
    """Make a number of DuckDB's function of this name, an error where it is not finite."""

    def build(layers: Layers, *values: Value) -> Value:
        made = call(name, *(numbers.as_double(value) for value in values))
        return numbers.finite(layers, Value("number", made, largest))

    return numeric(build)


def logarithm(layers: Layers, base: Value, value: Value) -> Value:
    """Return the logarithm to a base."""
    of, to = layers.bind(numbers.as_double(value)), layers.bind(numbers.as_double(base))
    inside = layers.bind(all_of((binary(exp.GT, of, double(0.0)), binary(exp.GT, to, double(0.0)))), "inside")
    one = binary(exp.EQ, to, double(1.0))
    made = case((all_of((inside, negated(one))), binary(exp.Div, call("log10", of), call("log10", to))))
    return Value(
        "number",
        made,
        1e300,
        checks=(Check(negated(inside), text(_LOGARITHM)), Check(one, text("no logarithm has the base 1"))),
    )


def pi(_: Layers, __: Sequence[Value]) -> Value:
    """Return the number pi."""
    return Value("number", double(math.pi), math.pi)


# rounding half away from zero


def rounded(layers: Layers, values: Sequence[Value]) -> Value:
    """Round half away from zero at so many decimal digits."""
    digits = written_integer(values[1]) if len(values) > 1 else 0
    if values[0].kind == "any":
        return any_value().with_checks(checks_of(values))
    if values[0].kind == "decimal":
        return _rounded_decimal(layers, values[0].without_checks(), digits).with_checks(values[0].checks)
    return operators.arithmetic(layers, values[:1], lambda value: rounded_figure(layers, value, digits))


def rounded_figure(layers: Layers, value: Value, digits: int) -> Value:
    """Round a whole or floating-point number half away from zero."""
    if digits < 0:
        return _rounded_left(layers, value, 10**-digits)
    if value.kind == "integer":
        return value
    number = layers.bind(value.sql)
    sql = call("round", number) if digits == 0 else _rounded_as_written(layers, number, digits)
    return Value(value.kind, sql, value.largest + 1, value.is_whole, value.integer)


def _rounded_as_written(layers: Layers, number: Expr, digits: int) -> Expr:
    """Round a DOUBLE by the decimal digits that it is written with, so that 1.005 becomes 1.01.

    Scaling errs by less than 1e-3 below 1e12; what is that near to a half is decided by its digits.
    """
    size = layers.bind(call("abs", binary(exp.Mul, number, double(10.0**digits))), "scaled")
    from_half = call("abs", binary(exp.Sub, binary(exp.Sub, size, call("trunc", size)), double(0.5)))
    clear = all_of((binary(exp.LT, size, double(1e12)), binary(exp.GT, from_half, double(1e-3))))
    quick = call("round", number, whole(digits))
    read = try_cast(cast(number, "VARCHAR"), decimal_type(MAX_PRECISION, digits))
    exact = cast(cast(read, "VARCHAR"), "DOUBLE")
    small = binary(exp.LT, call("abs", number), double(1e17))
    return case((clear, quick), (small, exact), default=number)


def _rounded_left(layers: Layers, value: Value, step: int) -> Value:
    """Round at a power of ten left of the point."""
    if value.kind == "integer":
        sql, check = numbers.fit(layers, _to_step(layers, cast(value.sql, "HUGEINT"), whole(step), whole(2)))
        return Value("integer", sql, value.largest + step, checks=(check,))
    sql = _to_step(layers, numbers.as_double(value), double(float(step)), double(2.0))
    return numbers.finite(layers, Value("number", sql, value.largest + step, value.is_whole))


def _to_step(layers: Layers, value: Expr, step: Expr, two: Expr) -> Expr:
    value = layers.bind(value)
    size = layers.bind(call("abs", value), "size")
    rest = layers.bind(binary(exp.Mod, size, step), "rest")
    floor = binary(exp.Sub, size, rest)
    made = case(
        (binary(exp.GTE, binary(exp.Mul, rest, two), step), binary(exp.Add, floor, step)), default=floor
    )
    return binary(exp.Mul, made, call("sign", value))


def _rounded_decimal(layers: Layers, value: Value, digits: int) -> Value:
    if digits >= 0:
        return decimals.rounded(value, digits)
    if value.scale > 0:
        return decimal_of(call("round", value.sql, whole(digits)), value.precision, 0)
    precision = min(value.precision + 1, MAX_PRECISION)
    sql = layers.bind(cast(value.sql, decimal_type(precision, 0)))
    if precision > value.precision:
        return decimal_of(call("round", sql, whole(digits)), precision, 0)
    limit = cast(whole(10**MAX_PRECISION - 10**-digits), decimal_type(MAX_PRECISION, 0))
    fits = binary(exp.LTE, call("abs", sql), limit)
    made = decimal_of(case((fits, call("round", sql, whole(digits)))), precision, 0)
    return made.with_checks((Check(negated(fits), text(decimals.TOO_MANY_DIGITS)),))


# limits


def clamped(layers: Layers, values: Sequence[Value]) -> Value:
    """Bring a number between two others, null where it is null."""
    value = kept(layers, values[0])
    inside = extreme("least", layers, [extreme("greatest", layers, [value, values[1]]), values[2]])
    if inside.kind in ("any", "null"):
        return inside
    there = Value("boolean", present(value))
    return operators.choose(layers, [(there, inside.without_checks())], null_value()).with_checks(
        inside.checks
    )


def bucket(layers: Layers, value: Value, low: Value, high: Value, count: Value) -> Value:
    """Return the number of the equal part between two bounds that a number falls into."""
    number, least, most, parts = (layers.bind(numbers.as_double(item)) for item in (value, low, high, count))
    sound = all_of(
        (
            binary(exp.LT, least, most),
            exp.Between(this=parts, low=double(1.0), high=double(1e6)),
            binary(exp.EQ, parts, call("trunc", parts)),
        )
    )
    sound = layers.bind(sound, "sound")
    share = binary(exp.Div, binary(exp.Sub, number, least), binary(exp.Sub, most, least))
    inner = binary(exp.Add, call("floor", binary(exp.Mul, share, parts)), double(1.0))
    made = case(
        (any_of((negated(sound), is_null(sound), is_null(number))), exp.Null()),
        (binary(exp.LT, number, least), double(0.0)),
        (binary(exp.GTE, number, most), binary(exp.Add, parts, double(1.0))),
        default=call("least", inner, parts),
    )
    unsound = all_of((is_present(number), negated(sound)))
    wrong = Check(unsound, text("the bounds must rise, and the parts be a whole number from 1"))
    return Value("integer", try_cast(made, "BIGINT"), 1e7, checks=(wrong,))


def _whole_pair(name: str) -> Build:
    """Make DuckDB's `gcd` or `lcm` of whole numbers."""

    def build(layers: Layers, left: Value, right: Value) -> Value:
        sides = [layers.bind(numbers.as_double(value)) for value in (left, right)]
        small = all_of(binary(exp.LTE, call("abs", side), double(3e9)) for side in sides)
        even = all_of(binary(exp.EQ, side, call("trunc", side)) for side in sides)
        fits = layers.bind(all_of((small, even)), "fits")
        made = case((fits, call(name, *(try_cast(side, "BIGINT") for side in sides))))
        check = Check(negated(fits), text("both must be whole numbers up to 3000000000"))
        return Value("integer", cast(made, "BIGINT"), 9e18, checks=(check,))

    return numeric(build)


def safe_divide(layers: Layers, values: Sequence[Value]) -> Value:
    """Divide, null where the divisor is zero."""
    divisor = kept(layers, values[1])
    if divisor.kind in ("any", "null") or values[0].kind == "any":
        return (null_value() if divisor.kind == "null" else any_value()).with_checks(checks_of(values))
    zero = operators.equal(layers, divisor.without_checks(), Value("integer", cast(whole(0), "BIGINT"), 0.0))
    quotient = exact(numbers.divide)(layers, [values[0], divisor])
    return operators.choose(layers, [(zero, null_value())], quotient)


def exact(build: Callable[..., Value]) -> Build:
    """Make a function of two numbers that keeps decimals exact."""

    def made(layers: Layers, values: Sequence[Value]) -> Value:
        if is_unknown(values):
            return any_value().with_checks(checks_of(values))
        return operators.arithmetic(layers, values, lambda *found: build(layers, *found))

    return made


_ENTRIES = scalar(
    "numbers",
    (
        ("abs", "number:number", "number",
         "The number without its sign.",
         "abs(-3.5)", "3.5", by_kind(numeric(absolute), absolute_decimal)),
        ("round", "number:number digits:digits?", "number",
         "The number rounded half away from zero, judged by its decimal digits; in a formula half to even."
         " Negative digits round left of the point. A decimal stays exact.",
         "round(2.25, 1)", "2.3", rounded),
        ("floor", "number:number", "number",
         "The largest whole number that is not above it.",
         "floor(-1.5)", "-2", rounded_to_whole("floor")),
        ("ceil", "number:number", "number",
         "The smallest whole number that is not below it.",
         "ceil(1.2)", "2", rounded_to_whole("ceil")),
        ("trunc", "number:number", "number",
         "The number without its decimals.",
         "trunc(-1.7)", "-1", rounded_to_whole("trunc")),
        ("sign", "number:number", "integer",
         "-1, 0 or 1.",
         "sign(-7.5)", "-1", numeric(sign)),
        ("sqrt", "number:number", "number",
         "The square root; an error below 0.",
         "sqrt(16)", "4", from_domain("sqrt", 0.0, open_end=False, reason=_NEGATIVE)),
        ("exp", "number:number", "number",
         "e to this power; an error where that is no finite number.",
         "exp(0)", "1", finite("exp")),
        ("ln", "number:number", "number",
         "The natural logarithm; an error at 0 and below.",
         "ln(1)", "0", from_domain("ln", 0.0, open_end=True, reason=_LOGARITHM)),
        ("log10", "number:number", "number",
         "The decimal logarithm; an error at 0 and below.",
         "log10(1000)", "3", from_domain("log10", 0.0, open_end=True, reason=_LOGARITHM)),
        ("log2", "number:number", "number",
         "The logarithm to the base 2; an error at 0 and below.",
         "log2(8)", "3", from_domain("log2", 0.0, open_end=True, reason=_LOGARITHM)),
        ("log", "base:number number:number", "number",
         "The logarithm to a base; an error at 0 and below.",
         "log(10, 1000)", "3", numeric(logarithm)),
        ("power", "base:number exponent:number", "number",
         "The base to this power; a formula's operator `**`. An error where that is no finite number.",
         "power(2, 10)", "1024", numeric(numbers.power)),
        ("greatest", "value:same value:same...", "as its arguments",
         "The largest value, leaving out nulls; null if all are. Texts compare by code point.",
         "greatest(2, 10, 3)", "10", partial(extreme, "greatest")),
        ("least", "value:same value:same...", "as its arguments",
         "The smallest value, leaving out nulls; null if all are. Texts compare by code point.",
         "least(2, 10, 3)", "2", partial(extreme, "least")),
        ("clamp", "number:number low:number high:number", "as its arguments",
         "The number, but at least `low` and at most `high`; a null bound is none.",
         "clamp(12, 0, 10)", "10", clamped),
        ("mod", "number:number by:number", "number",
         "The rest of the division toward zero, with the sign of the left side; the operator `%`. An error where the divisor"
         " is 0.",
         "mod(-7, 3)", "-1", exact(quotients.modulo)),
        ("safe_divide", "number:number by:number", "number",
         "The quotient, but null where the divisor is 0.",
         "coalesce(safe_divide(1, 0), -1)", "-1", safe_divide),
        ("width_bucket", "number:number low:number high:number count:number", "integer",
         "Which of so many equal parts between two bounds it falls into, from 1; 0 below, one more than the count at the top"
         " and above.",
         "width_bucket(35, 0, 100, 10)", "4", numeric(bucket)),
        ("gcd", "number:number other:number", "integer",
         "The greatest common divisor of two whole numbers.",
         "gcd(12, 18)", "6", _whole_pair("gcd")),
        ("lcm", "number:number other:number", "integer",
         "The least common multiple of two whole numbers.",
         "lcm(4, 6)", "12", _whole_pair("lcm")),
        ("pi", "", "number",
         "The number pi.",
         "round(pi(), 4)", "3.1416", pi),
        ("sin", "radians:number", "number",
         "The sine of an angle in radians.",
         "sin(0)", "0", finite("sin", 1.0)),
        ("cos", "radians:number", "number",
         "The cosine of an angle in radians.",
         "cos(0)", "1", finite("cos", 1.0)),
        ("tan", "radians:number", "number",
         "The tangent of an angle in radians.",
         "tan(0)", "0", finite("tan", 1e300)),
        ("asin", "number:number", "number",
         "The angle in radians that has this sine; an error outside -1 to 1.",
         "asin(0)", "0", angle("asin")),
        ("acos", "number:number", "number",
         "The angle in radians that has this cosine; an error outside -1 to 1.",
         "acos(1)", "0", angle("acos")),
        ("atan", "number:number", "number",
         "The angle in radians that has this tangent.",
         "atan(0)", "0", finite("atan", 4.0)),
        ("atan2", "y:number x:number", "number",
         "The angle in radians of the point (x, y).",
         "atan2(0, 1)", "0", finite("atan2", 4.0)),
        ("degrees", "radians:number", "number",
         "An angle in degrees.",
         "degrees(pi())", "180", finite("degrees")),
        ("radians", "degrees:number", "number",
         "An angle in radians.",
         "round(radians(180), 4)", "3.1416", finite("radians")),
    ),
)  # fmt: skip
_BY_NAME = {entry.name: entry for entry in _ENTRIES}
ENTRIES: tuple[Function, ...] = (
    *_ENTRIES,
    alias("ceiling", _BY_NAME["ceil"], "ceiling(1.2)"),
    alias("pow", _BY_NAME["power"], "pow(2, 10)"),
)
