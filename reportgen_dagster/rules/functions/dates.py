"""Functions of dates and times: parts, arithmetic, spans, formats, zones.

What belongs here: what they make. What does not: how arguments are read (moments.py).
Nothing here asks a clock: the run's date is given with the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.given import (
    figure,
    whole_number,
    written_text,
)
from reportgen_dagster.rules.functions.moments import (
    in_years,
    is_moment,
    read_date,
    read_datetime,
    read_moment,
    read_time,
)
from reportgen_dagster.rules.functions.table import DAY_UNITS, Build, Function, scalar
from reportgen_dagster.rules.values import numbers, operators, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    Value,
    binary,
    call,
    case,
    cast,
    double,
    is_present,
    negated,
    text,
    whole,
)

_LONGEST = {"days": 4_000_000, "months": 200_000, "years": 20_000}
_FACTORS = {
    "days": ("days", 1),
    "weeks": ("days", 7),
    "months": ("months", 1),
    "quarters": ("months", 3),
    "years": ("years", 1),
}
_MICROSECONDS = {"hours": 3.6e9, "minutes": 6e7, "seconds": 1e6}
_LONGEST_SPAN = 4e17  # microseconds, more than 9,999 years


def date_part(name: str, largest: float = 1e4) -> Build:
    """Return a part of a date as a whole number."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        date, checks = read_date(layers, values[0])
        return Value("integer", cast(call(name, date), "BIGINT"), largest, checks=checks)

    return build


def time_part(name: str) -> Build:
    """Return a part of a time, or of the time of a date, as a whole number."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        sql, checks = (read_datetime if is_moment(values) else read_time)(layers, values[0])
        return Value("integer", cast(call(name, sql), "BIGINT"), 60.0, checks=checks)

    return build


def part_of_unit(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the part of a date that is written out as a text."""
    unit = written_text(values[0])
    if unit in DAY_UNITS:
        return date_part(unit)(layers, values[1:])
    moment, checks = read_datetime(layers, values[1])
    return Value("integer", cast(call(unit, moment), "BIGINT"), 60.0, checks=checks)


def name_of(layout: str) -> Build:
    """Return the English name of a date's month or day."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        date, checks = read_date(layers, values[0])
        return Value("text", call("strftime", date, text(layout)), checks=checks)

    return build


def is_weekend(layers: Layers, values: Sequence[Value]) -> Value:
    """Tell whether a date is a Saturday or Sunday."""
    date, checks = read_date(layers, values[0])
    return Value("boolean", binary(exp.GTE, call("isodow", date), whole(6)), checks=checks)


def _dated(sql: Expr, checks: tuple[Check, ...], *, timed: bool) -> Value:
    return Value("datetime", sql, checks=checks) if timed else Value("date", cast(sql, "DATE"), checks=checks)


def truncated(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the beginning of the unit that a date is in."""
    unit = written_text(values[0])
    sql, timed, checks = read_moment(layers, values[1])
    timed = timed or unit not in DAY_UNITS
    return _dated(call("date_trunc", text(unit), cast(sql, "TIMESTAMP")), checks, timed=timed)


def first_day(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the first day of a date's month."""
    date, checks = read_date(layers, values[0])
    return Value("date", cast(call("date_trunc", text("month"), date), "DATE"), checks=checks)


def last_day(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the last day of a date's month."""
    date, checks = read_date(layers, values[0])
    return Value("date", call("last_day", date), checks=checks)


# moving


def add_to_date(unit: str) -> Build:
    """Move a date by whole days, weeks, months, quarters or years."""
    step, factor = _FACTORS[unit]

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        sql, timed, before = read_moment(layers, values[0])
        amount, checks = whole_number(layers, values[1], temporal.OUTSIDE)
        limit = _LONGEST[step]
        clamped = call("greatest", call("least", amount, whole(limit)), whole(-limit))
        count = case((is_present(amount), binary(exp.Mul, clamped, whole(factor))))
        moved = binary(exp.Add, cast(sql, "TIMESTAMP"), call(f"to_{step}", cast(count, "INTEGER")))
        inside, outside = in_years(layers, moved)
        return _dated(inside, (*before, *checks, outside), timed=timed)

    return build


def add_time(unit: str) -> Build:
    """Move a date by hours, minutes or seconds, which need not be whole."""

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        sql, before = read_datetime(layers, values[0])
        number = operators.as_number(layers, figure(values[1]))
        span = binary(exp.Mul, numbers.as_double(number), double(_MICROSECONDS[unit]))
        span = layers.bind(call("round", span), "span")
        limit = double(_LONGEST_SPAN)
        near = exp.Between(this=span, low=exp.Neg(this=limit), high=limit)
        step = call("to_microseconds", cast(case((near, span)), "BIGINT"))
        inside, outside = in_years(layers, binary(exp.Add, sql, step))
        far = Check(negated(near), text(temporal.OUTSIDE))
        return Value("datetime", inside, checks=(*before, *number.checks, far, outside))

    return build


def today(_: Layers, values: Sequence[Value]) -> Value:
    """Return the run's date."""
    return replace(values[-1], literal=None)


_ENTRIES = scalar(
    "dates and times",
    (
        ("year", "date:date", "integer",
         "The year of a date.",
         "year('2024-01-31')", "2024", date_part("year")),
        ("quarter", "date:date", "integer",
         "The quarter of a date, 1 to 4.",
         "quarter('2024-05-31')", "2", date_part("quarter")),
        ("month", "date:date", "integer",
         "The month of a date.",
         "month('2024-01-31')", "1", date_part("month")),
        ("week", "date:date", "integer",
         "The ISO week of a date, 1 to 53; it belongs to `iso_year`.",
         "week('2024-12-30')", "1", date_part("week")),
        ("iso_year", "date:date", "integer",
         "The year that a date's ISO week belongs to.",
         "iso_year('2024-12-30')", "2025", date_part("isoyear")),
        ("day", "date:date", "integer",
         "The day of the month.",
         "day('2024-01-31')", "31", date_part("day")),
        ("day_of_year", "date:date", "integer",
         "The day of the year, 1 to 366.",
         "day_of_year('2024-12-31')", "366", date_part("dayofyear")),
        ("weekday", "date:date", "integer",
         "The day of the week, 1 for Monday to 7 for Sunday.",
         "weekday('2024-01-31')", "3", date_part("isodow")),
        ("hour", "time:time", "integer",
         "The hour of a time, or of a date with a time.",
         "hour('2024-01-31T10:30:00')", "10", time_part("hour")),
        ("minute", "time:time", "integer",
         "The minute of a time, or of a date with a time.",
         "minute('2024-01-31T10:30:00')", "30", time_part("minute")),
        ("second", "time:time", "integer",
         "The full second of a time, or of a date with a time.",
         "second('2024-01-31T10:30:05')", "5", time_part("second")),
        ("date_part", "unit:unit date:datetime", "integer",
         "The part of a date that the unit names: year, quarter, month, week, day, hour, minute or second.",
         "date_part('quarter', '2024-05-31')", "2", part_of_unit),
        ("month_name", "date:date", "text",
         "The English name of a date's month.",
         "month_name('2024-01-31')", "January", name_of("%B")),
        ("day_name", "date:date", "text",
         "The English name of a date's day of the week.",
         "day_name('2024-01-31')", "Wednesday", name_of("%A")),
        ("is_weekend", "date:date", "true or false",
         "Whether a date is a Saturday or Sunday.",
         "is_weekend('2024-02-03')", "true", is_weekend),
        ("date_trunc", "unit:unit date:date", "date",
         "The beginning of the year, quarter, month, week (Monday), day, hour, minute or second that a date is in; a date with"
         " a time stays one.",
         "date_trunc('month', '2024-01-31')", "2024-01-01", truncated),
        ("first_day", "date:date", "date",
         "The first day of a date's month.",
         "first_day('2024-02-29')", "2024-02-01", first_day),
        ("last_day", "date:date", "date",
         "The last day of a date's month.",
         "last_day('2024-02-01')", "2024-02-29", last_day),
        ("add_days", "date:date days:number", "date",
         "The date so many days later; a date with a time stays one. An error outside the years 1 to 9999.",
         "add_days('2024-02-28', 2)", "2024-03-01", add_to_date("days")),
        ("add_weeks", "date:date weeks:number", "date",
         "The date so many weeks later.",
         "add_weeks('2024-02-28', 1)", "2024-03-06", add_to_date("weeks")),
        ("add_months", "date:date months:number", "date",
         "The date so many months later, at most the last day of that month.",
         "add_months('2024-01-31', 1)", "2024-02-29", add_to_date("months")),
        ("add_quarters", "date:date quarters:number", "date",
         "The date so many quarters later, at most the last day of that month.",
         "add_quarters('2024-01-31', 1)", "2024-04-30", add_to_date("quarters")),
        ("add_years", "date:date years:number", "date",
         "The date so many years later; 29 February becomes the 28th where there is none.",
         "add_years('2024-02-29', 1)", "2025-02-28", add_to_date("years")),
        ("add_hours", "date:datetime hours:number", "datetime",
         "The moment so many hours later; they need not be whole.",
         "add_hours('2024-01-31T23:30:00', 1.5)", "2024-02-01T01:00:00", add_time("hours")),
        ("add_minutes", "date:datetime minutes:number", "datetime",
         "The moment so many minutes later.",
         "add_minutes('2024-01-31T23:30:00', 45)", "2024-02-01T00:15:00", add_time("minutes")),
        ("add_seconds", "date:datetime seconds:number", "datetime",
         "The moment so many seconds later.",
         "add_seconds('2024-01-31T23:59:59', 1)", "2024-02-01T00:00:00", add_time("seconds")),
        ("today", "", "date",
         "The date of the run: the one it is given, else the day it was started, in UTC.",
         "days_between(today(), today())", "0", today),
    ),
)  # fmt: skip
ENTRIES: tuple[Function, ...] = tuple(
    replace(entry, uses_run_date=entry.name == "today") for entry in _ENTRIES
)
