"""How arguments are read as dates, times, or dates with times.

What belongs here: ISO texts as DATE, TIME and TIMESTAMP, limits of years. What does not: what functions make of them (dates.py).
A date with a time has no zone.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.values import operators, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    UnfitError,
    Value,
    all_of,
    binary,
    call,
    case,
    cast,
    is_null,
    is_present,
    negated,
    text,
    try_cast,
    whole,
)

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_FIRST_YEAR = "0001"
NO_DATE = "not a date such as 2024-01-31"
NO_DATETIME = "not a date with a time such as 2024-01-31T10:00:00"
NO_TIME = "not a time such as 10:00:00"
_KINDS = {"DATE": "date", "TIMESTAMP": "datetime", "TIME": "time"}
Read = tuple[Expr, tuple[Check, ...]]


def is_moment(values: Sequence[Value]) -> bool:
    """Tell whether one of the values has a time of day."""
    return any(value.kind == "datetime" or _looks_like_datetime(value) for value in values)


def _looks_like_datetime(value: Value) -> bool:
    return value.kind == "text" and isinstance(value.literal, str) and len(value.literal) > len("2024-01-31")


def read_date(layers: Layers, value: Value) -> Read:
    """Return a date, the date of a moment, or an ISO text as DATE, with the check that a text is one."""
    if value.kind == "date":
        return value.sql, value.checks
    if value.kind == "datetime":
        return cast(value.sql, "DATE"), value.checks
    if value.kind in ("null", "any"):
        return cast(exp.Null(), "DATE"), value.checks
    if _looks_like_datetime(value):
        moment, checks = read_datetime(layers, value)
        return cast(moment, "DATE"), checks
    return _read_text(layers, value, _DATE, "DATE", NO_DATE)


def read_datetime(layers: Layers, value: Value) -> Read:
    """Return a moment, a date at midnight, or an ISO text as TIMESTAMP, with the check that a text is one."""
    if value.kind == "datetime":
        return value.sql, value.checks
    if value.kind == "date":
        return cast(value.sql, "TIMESTAMP"), value.checks
    if value.kind in ("null", "any"):
        return cast(exp.Null(), "TIMESTAMP"), value.checks
    return _read_text(layers, value, f"{_DATE}([T ]{_TIME})?", "TIMESTAMP", NO_DATETIME)


def read_time(layers: Layers, value: Value) -> Read:
    """Return a time, the time of a moment, or an ISO text as TIME, with the check that a text is one."""
    if value.kind == "time":
        return value.sql, value.checks
    if value.kind == "datetime":
        return cast(value.sql, "TIME"), value.checks
    if value.kind in ("null", "any"):
        return cast(exp.Null(), "TIME"), value.checks
    return _read_text(layers, value, _TIME, "TIME", NO_TIME)


def read_moment(layers: Layers, value: Value) -> tuple[Expr, bool, tuple[Check, ...]]:
    """Return a date as DATE or a moment as TIMESTAMP, whether it is a moment, and the checks of reading it."""
    timed = is_moment([value])
    sql, checks = (read_datetime if timed else read_date)(layers, value)
    return sql, timed, checks


def as_written(layers: Layers, value: Value) -> Value:
    """Return a value as a text: as it was read, if it was."""
    if value.raw is not None:
        return Value("text", value.raw, checks=value.checks)
    return value if value.kind == "text" else operators.as_text(layers, value)


def _read_text(layers: Layers, value: Value, pattern: str, to: str, reason: str) -> Read:
    if isinstance(value.literal, str) and temporal.read_text(value.literal, _KINDS[to]) is None:
        raise UnfitError(f"{value.literal[:60]!r} is {reason}")
    written = as_written(layers, value)
    plain = layers.bind(written.sql, "given")
    iso = call("regexp_full_match", plain, text(pattern))
    if to != "TIME":
        iso = all_of((iso, binary(exp.GTE, plain, text(_FIRST_YEAR))))
    found = layers.bind(case((iso, try_cast(plain, to))), to.lower())
    wrong = Check(all_of((is_present(plain), is_null(found))), text(reason))
    return found, (*written.checks, wrong)


def in_years(layers: Layers, moment: Expr) -> tuple[Expr, Check]:
    """Return a TIMESTAMP, null outside the years 1 to 9999, and the check of that."""
    name = layers.bind(moment, "moved")
    fits = exp.Between(this=call("year", name), low=whole(1), high=whole(9999))
    return case((fits, name)), Check(negated(fits), text(temporal.OUTSIDE))
