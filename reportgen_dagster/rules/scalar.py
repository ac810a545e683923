"""What the functions of the table make of their arguments, in SQL that cannot fail.

What belongs here: one builder a function, or a family of them. What does not: names, arguments, examples (functions.py).
Arguments arrive as their sorts say: `text` and the literal sorts as text values, `count` as a BIGINT, others as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules import cells, numbers, operators
from reportgen_dagster.rules.layers import Layers
from reportgen_dagster.rules.values import (
    Check,
    Value,
    all_of,
    binary,
    call,
    case,
    cast,
    double,
    is_null,
    is_present,
    literal_integer,
    negated,
    text,
    true,
    try_cast,
    whole,
)

Build = Callable[[Layers, Sequence[Value]], Value]
MAX_TEXT = 100_000
_ISO_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"


def _checks(values: Sequence[Value]) -> tuple[Check, ...]:
    return tuple(check for value in values for check in value.checks)


def _sql(values: Sequence[Value]) -> list[Expr]:
    return [value.sql for value in values]


def text_function(name: str) -> Build:
    """Make a text of DuckDB's function of this name."""
    return lambda _, values: Value("text", call(name, *_sql(values)), checks=_checks(values))


def test_function(name: str) -> Build:
    """Make true or false of DuckDB's function of this name."""
    return lambda _, values: Value("boolean", call(name, *_sql(values)), checks=_checks(values))


def count_function(name: str) -> Build:
    """Make a whole number of DuckDB's function of this name, which counts characters."""
    return lambda _, values: Value(
        "integer", cast(call(name, *_sql(values)), "BIGINT"), 2.0**40, checks=_checks(values)
    )


def numeric(build: Callable[..., Value]) -> Build:
    """Make a function of numbers: null for a null, an error for a text."""
    return lambda layers, values: operators.arithmetic(layers, values, lambda *found: build(layers, *found))


def operation(build: Callable[..., Value]) -> Build:
    """Make a function of an operator of numbers that needs no layers."""
    return lambda layers, values: operators.arithmetic(layers, values, build)


def rounding(name: str) -> Build:
    """Make a whole-valued number of DuckDB's `floor`, `ceil` or `trunc`."""

    def build(value: Value) -> Value:
        if value.kind == "integer":
            return value
        return Value(value.kind, call(name, value.sql), value.largest + 1, value.is_whole, value.integer)

    return operation(build)


def sign(value: Value) -> Value:
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


def exponential(layers: Layers, value: Value) -> Value:
    """Return e to a power."""
    return numbers.finite(layers, Value("number", call("exp", numbers.as_double(value))))


def concat(_: Layers, values: Sequence[Value]) -> Value:
    """Join texts, leaving out nulls."""
    return Value("text", call("concat", *_sql(values)), checks=_checks(values))


def _sized(values: Sequence[Value], size: Expr, build: Expr) -> Value:
    fits = binary(exp.LTE, size, whole(MAX_TEXT))
    check = Check(negated(fits), text(f"the text would be longer than {MAX_TEXT} characters"))
    return Value("text", case((fits, build)), checks=(*_checks(values), check))


def repeat(layers: Layers, values: Sequence[Value]) -> Value:
    """Repeat a text."""
    times = call("greatest", values[1].sql, whole(0))
    plain = layers.bind(values[0].sql)
    return _sized(values, binary(exp.Mul, call("length", plain), times), call("repeat", plain, times))


def replace(layers: Layers, values: Sequence[Value]) -> Value:
    """Replace a part everywhere."""
    plain, new = layers.bind(values[0].sql), layers.bind(values[2].sql)
    growth = call("greatest", call("length", new), whole(1))
    return _sized(
        values, binary(exp.Mul, call("length", plain), growth), call("replace", plain, values[1].sql, new)
    )


def pad(name: str) -> Build:
    """Fill a text up to a length on one side; a longer text stays whole."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        plain, length = layers.bind(values[0].sql), values[1].sql
        fill = layers.bind(values[2].sql if len(values) > 2 else text(" "))
        short = all_of(
            (binary(exp.LT, call("length", plain), length), binary(exp.GT, call("length", fill), whole(0)))
        )
        padded = call(name, plain, cast(length, "INTEGER"), fill)
        made = case((short, padded), (is_present(length), plain))
        return _sized(values, length, case((is_present(fill), made)))

    return build


def slice_from(layers: Layers, values: Sequence[Value]) -> Value:
    """Return a part of a text, by the number of its first character, from 1."""
    start = layers.bind(values[1].sql)
    check = Check(binary(exp.LT, start, whole(1)), text("the first character has number 1"))
    first = call("greatest", start, whole(1))
    rest = [call("greatest", values[2].sql, whole(0))] if len(values) > 2 else []
    return Value("text", call("substring", values[0].sql, first, *rest), checks=(*_checks(values), check))


def end(name: str) -> Build:
    """Return so many characters of one end."""
    return lambda _, values: Value(
        "text", call(name, values[0].sql, call("greatest", values[1].sql, whole(0))), checks=_checks(values)
    )


def split_part(_: Layers, values: Sequence[Value]) -> Value:
    """Return a part between separators, from 1; empty where there is none."""
    return Value("text", call("split_part", *_sql(values)), checks=_checks(values))


def regex_matches(_: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a pattern matches anywhere."""
    return Value("boolean", call("regexp_matches", *_sql(values)), checks=_checks(values))


def regex_extract(layers: Layers, values: Sequence[Value]) -> Value:
    """Return what a pattern, or a group of it, matched first; null where it matches nowhere."""
    plain = layers.bind(values[0].sql)
    group = whole(literal_integer(values[2].sql) or 0 if len(values) > 2 else 0)
    found = call("regexp_extract", plain, values[1].sql, group)
    return Value("text", case((call("regexp_matches", plain, values[1].sql), found)), checks=_checks(values))


def regex_replace(layers: Layers, values: Sequence[Value]) -> Value:
    """Replace every match."""
    plain, new = layers.bind(values[0].sql), str(values[2].sql.this)
    growth = whole(len(new) + 1 if "\\" not in new else (len(new) + 1) * 2)
    size = binary(exp.Mul, binary(exp.Add, call("length", plain), whole(1)), growth)
    return _sized(values, size, call("regexp_replace", plain, values[1].sql, values[2].sql, text("g")))


def _date(layers: Layers, value: Value) -> tuple[Expr, tuple[Check, ...]]:
    """Return a text as DATE and the check that it is one: `2024-01-31`."""
    plain = layers.bind(value.sql)
    iso = call("regexp_full_match", plain, text(_ISO_DATE))
    date = layers.bind(case((iso, try_cast(plain, "DATE"))), "date")
    wrong = Check(all_of((is_present(plain), is_null(date))), text("not a date such as 2024-01-31"))
    return date, (*value.checks, wrong)


def date_part(name: str) -> Build:
    """Return a part of a date as a whole number."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        date, checks = _date(layers, values[0])
        return Value("integer", cast(call(name, date), "BIGINT"), 10_000.0, checks=checks)

    return build


def last_day(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the last day of a date's month."""
    date, checks = _date(layers, values[0])
    return Value("text", cast(call("last_day", date), "VARCHAR"), checks=checks)


def add_to_date(unit: str) -> Build:
    """Move a date by days or months."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        date, checks = _date(layers, values[0])
        count = call("greatest", call("least", values[1].sql, whole(200_000)), whole(-200_000))
        step = call(f"to_{unit}", cast(count, "INTEGER"))
        moved = layers.bind(binary(exp.Add, cast(date, "TIMESTAMP"), step), "moved")
        fits = exp.Between(this=call("year", moved), low=whole(1), high=whole(9999))
        outside = Check(negated(fits), text("the date is outside the years 1 to 9999"))
        written = cast(cast(case((fits, moved)), "DATE"), "VARCHAR")
        return Value("text", written, checks=(*checks, *values[1].checks, outside))

    return build


def days_between(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the days from one date to another."""
    first, before = _date(layers, values[0])
    last, after = _date(layers, values[1])
    return Value("integer", cast(binary(exp.Sub, last, first), "BIGINT"), 4e6, checks=before + after)


def format_date(layers: Layers, values: Sequence[Value]) -> Value:
    """Write a date in another format."""
    date, checks = _date(layers, values[0])
    return Value("text", call("strftime", date, values[1].sql), checks=checks)


def parse_date(layers: Layers, values: Sequence[Value]) -> Value:
    """Read a date in another format."""
    plain = layers.bind(values[0].sql)
    date = layers.bind(try_cast(call("try_strptime", plain, values[1].sql), "DATE"), "date")
    wrong = Check(all_of((is_present(plain), is_null(date))), text("not a date in the given format"))
    return Value("text", cast(date, "VARCHAR"), checks=(*values[0].checks, wrong))


def is_date(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a text is an ISO date."""
    date, _ = _date(layers, values[0])
    plain = layers.bind(values[0].sql)
    return Value("boolean", case((is_present(plain), is_present(date))), checks=values[0].checks)


def is_blank(_: Layers, values: Sequence[Value]) -> Value:
    """Tell whether there is nothing but white space."""
    blank = call("coalesce", binary(exp.EQ, call("trim", values[0].sql), text("")), true())
    return Value("boolean", blank, checks=values[0].checks)


def is_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a text reads as a number."""
    return Value("boolean", cells.is_number(layers, values[0].sql), checks=values[0].checks)


def as_cell_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Mark a cell as a number: a text is an error as soon as something is computed with it."""
    value = values[0]
    if value.kind in ("text", "cell"):
        part = numbers.bound(layers, value.number) if value.number is not None else None
        return Value(
            "cell",
            exp.Null(),
            number=part or Value("number", cast(exp.Null(), "DOUBLE"), 0.0),
            text=layers.bind(value.sql) if value.kind == "text" else value.text,
            required=True,
            checks=value.checks,
        )
    return value


def as_number(layers: Layers, values: Sequence[Value]) -> Value:
    """Read a text as a number."""
    read = cells.read_text(layers, values[0].sql, "given", math.inf)
    return operators.as_number(layers, read).with_checks(values[0].checks)


def as_text(_: Layers, values: Sequence[Value]) -> Value:
    """Return what is written."""
    return values[0]


def nullif(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the first value, null where it equals the second."""
    same = operators.equal(layers, values[0].without_checks(), values[1])
    nothing = Value("null", exp.Null(), 0.0)
    return operators.choose(layers, [(same, nothing)], values[0].without_checks()).with_checks(
        values[0].checks
    )


def largest(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the largest value."""
    return operators.extreme(layers, values, exp.GTE)


def smallest(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the smallest value."""
    return operators.extreme(layers, values, exp.LTE)


def equal(layers: Layers, values: Sequence[Value]) -> Value:
    """Compare for equality."""
    return operators.equal(layers, *values)


def less(operator: type[exp.Binary]) -> Build:
    """Compare by size."""
    return lambda layers, values: operators.order(layers, values[0], values[1], operator)


def is_in(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether the first value equals one of the others."""
    return operators.is_in(layers, values[0], values[1:])


def round_half_even(layers: Layers, values: Sequence[Value]) -> Value:
    """Round half to even."""
    digits = None
    if len(values) > 1:
        digits = literal_integer(values[1].sql)
    return operators.arithmetic(
        layers, values[:1], lambda number: numbers.round_half_even(layers, number, digits)
    )
