"""Functions that make dates and times of parts and texts, write them, and move them between zones.

What belongs here: parts, formats, zones, Unix time. What does not: ISO texts (moments.py), dates of dates (dates.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.dates import add_time
from reportgen_dagster.rules.functions.given import (
    checks_of,
    sql_of,
)
from reportgen_dagster.rules.functions.moments import (
    in_years,
    read_datetime,
    read_moment,
)
from reportgen_dagster.rules.functions.table import Build, Function, alias, scalar
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    Value,
    all_of,
    binary,
    call,
    case,
    cast,
    is_null,
    is_present,
    text,
    try_cast,
    whole,
)

_NO_FORMAT = "not a date in the given format"
_NO_TIME_FORMAT = "not a time in the given format"


# made of parts


def _clock(values: Sequence[Value]) -> tuple[Expr, Expr]:
    """Write hour, minute and second, and test that they are ones."""
    hour, minute, second = sql_of(values)
    valid = all_of(
        exp.Between(this=part, low=whole(0), high=whole(most))
        for part, most in ((hour, 23), (minute, 59), (second, 59))
    )
    return call("format", text("{:02d}:{:02d}:{:02d}"), hour, minute, second), valid


def _calendar(values: Sequence[Value]) -> tuple[Expr, Expr]:
    """Write year, month and day, and test that they may be ones."""
    year, month, day = sql_of(values)
    valid = all_of(
        exp.Between(this=part, low=whole(1), high=whole(most))
        for part, most in ((year, 9999), (month, 12), (day, 31))
    )
    return call("format", text("{:04d}-{:02d}-{:02d}"), year, month, day), valid


def _made(layers: Layers, values: Sequence[Value], written: Expr, valid: Expr, kind: str) -> Value:
    to = {"date": "DATE", "time": "TIME", "datetime": "TIMESTAMP"}[kind]
    found = layers.bind(case((valid, try_cast(written, to))), kind)
    given = [is_present(value.sql) for value in values]
    wrong = Check(
        all_of((*given, is_null(found))), text(f"there is no such {'time' if kind == 'time' else 'date'}")
    )
    made = Value("date", found) if kind == "date" else Value("time" if kind == "time" else "datetime", found)
    return made.with_checks(checks_of(values), (wrong,))


def _named(layers: Layers, values: Sequence[Value]) -> list[Value]:
    return [replace(value, sql=layers.bind(value.sql)) for value in values]


def make_date(layers: Layers, values: Sequence[Value]) -> Value:
    """Make a date of year, month and day."""
    parts = _named(layers, values)
    written, valid = _calendar(parts)
    return _made(layers, parts, written, valid, "date")


def make_time(layers: Layers, values: Sequence[Value]) -> Value:
    """Make a time of hour, minute and second."""
    parts = _named(layers, values)
    written, valid = _clock(parts)
    return _made(layers, parts, written, valid, "time")


def make_datetime(layers: Layers, values: Sequence[Value]) -> Value:
    """Make a date with a time of its six parts."""
    parts = _named(layers, values)
    (day, day_valid), (clock, clock_valid) = _calendar(parts[:3]), _clock(parts[3:])
    written = exp.DPipe(this=exp.DPipe(this=day, expression=text(" ")), expression=clock)
    return _made(layers, parts, written, all_of((day_valid, clock_valid)), "datetime")


# formats


def format_date(layers: Layers, values: Sequence[Value]) -> Value:
    """Write a date in another format."""
    sql, _, checks = read_moment(layers, values[0])
    return Value("text", call("strftime", sql, values[1].sql), checks=checks)


def _parsed(layers: Layers, values: Sequence[Value]) -> tuple[Expr, Expr]:
    plain = layers.bind(values[0].sql)
    read = layers.bind(call("try_strptime", plain, values[1].sql), "read")
    inside = exp.Between(this=call("year", read), low=whole(1), high=whole(9999))
    return plain, case((inside, read))


def parsed(kind: str) -> Build:
    """Read a date, time or both in another format."""
    to, reason = {
        "date": ("DATE", _NO_FORMAT),
        "datetime": ("TIMESTAMP", _NO_FORMAT),
        "time": ("TIME", _NO_TIME_FORMAT),
    }[kind]

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        plain, read = _parsed(layers, values)
        found = layers.bind(try_cast(read, to), kind)
        wrong = Check(all_of((is_present(plain), is_null(found))), text(reason))
        made = (
            Value("date", found) if kind == "date" else Value("time" if kind == "time" else "datetime", found)
        )
        return made.with_checks(values[0].checks, (wrong,))

    return build


# zones and Unix time


def to_zone(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the local time of a zone for a moment in UTC."""
    sql, checks = read_datetime(layers, values[0])
    local = call("timezone", values[1].sql, call("timezone", text("UTC"), sql))
    inside, outside = in_years(layers, local)
    return Value("datetime", inside, checks=(*checks, outside))


def from_zone(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the moment in UTC for a local time of a zone."""
    sql, checks = read_datetime(layers, values[0])
    sql, zone = layers.bind(sql), values[1].sql
    moment = layers.bind(call("timezone", zone, sql), "moment")
    skipped = Check(
        binary(exp.NEQ, call("timezone", zone, moment), sql),
        text("there is no such local time: the clock was put forward"),
    )
    inside, outside = in_years(layers, call("timezone", text("UTC"), moment))
    return Value("datetime", inside, checks=(*checks, skipped, outside))


def unix_time(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the seconds from 1970 on."""
    sql, checks = read_datetime(layers, values[0])
    return Value("integer", cast(call("floor", call("epoch", sql)), "BIGINT"), 1e12, checks=checks)


def from_unix_time(layers: Layers, values: Sequence[Value]) -> Value:
    """Return the moment so many seconds after 1970."""
    epoch = Value("datetime", cast(text("1970-01-01"), "TIMESTAMP"))
    return add_time("seconds")(layers, [epoch, values[0]])


_ENTRIES = scalar(
    "dates and times",
    (
        ("make_date", "year:count month:count day:count", "date",
         "The date of a year, month and day; an error where there is none.",
         "make_date(2024, 2, 29)", "2024-02-29", make_date),
        ("make_time", "hour:count minute:count second:count", "time",
         "The time of an hour, minute and second; an error where there is none.",
         "make_time(10, 30, 0)", "10:30:00", make_time),
        ("make_datetime", "year:count month:count day:count hour:count minute:count second:count", "datetime",
         "The date with a time of its six parts; an error where there is none.",
         "make_datetime(2024, 2, 29, 10, 30, 0)", "2024-02-29T10:30:00", make_datetime),
        ("format_date", "date:date format:format", "text",
         "The date, or date with a time, in another format.",
         "format_date('2024-01-31', '%d.%m.%Y')", "31.01.2024", format_date),
        ("parse_date", "text:text format:format", "date",
         "The date that a text in another format means; an error where it means none.",
         "parse_date('31.01.2024', '%d.%m.%Y')", "2024-01-31", parsed("date")),
        ("parse_datetime", "text:text format:format", "datetime",
         "The date with a time that a text in another format means; an error where it means none.",
         "parse_datetime('31.01.2024 10:30', '%d.%m.%Y %H:%M')", "2024-01-31T10:30:00", parsed("datetime")),
        ("parse_time", "text:text format:format", "time",
         "The time that a text in another format means; an error where it means none.",
         "parse_time('10h30', '%Hh%M')", "10:30:00", parsed("time")),
        ("to_zone", "utc:datetime zone:zone", "datetime",
         "The local time of a zone for a moment in UTC.",
         "to_zone('2024-07-01T12:00:00', 'Europe/Zurich')", "2024-07-01T14:00:00", to_zone),
        ("from_zone", "local:datetime zone:zone", "datetime",
         "The moment in UTC for a local time of a zone; the later one where there are two, an error where there is none.",
         "from_zone('2024-07-01T14:00:00', 'Europe/Zurich')", "2024-07-01T12:00:00", from_zone),
        ("unix_time", "utc:datetime", "integer",
         "The full seconds since 1970-01-01T00:00:00 in UTC.",
         "unix_time('2024-01-31T10:00:00')", "1706695200", unix_time),
        ("from_unix_time", "seconds:number", "datetime",
         "The moment in UTC so many seconds after 1970-01-01T00:00:00.",
         "from_unix_time(1706695200)", "2024-01-31T10:00:00", from_unix_time),
    ),
)  # fmt: skip
_BY_NAME = {entry.name: entry for entry in _ENTRIES}
ENTRIES: tuple[Function, ...] = (
    *_ENTRIES,
    alias("strftime", _BY_NAME["format_date"], "strftime('2024-01-31', '%d.%m.%Y')"),
)
