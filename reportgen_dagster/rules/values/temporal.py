"""Dates, times and datetimes: how they are written and read, and what `+` and `-` make of them.

What belongs here: their literals, their arithmetic, their text. What does not: functions of dates (functions/dates.py), comparing
(operators.py). Years run from 1 to 9999; a datetime has no zone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

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

KINDS = ("date", "time", "datetime")
OUTSIDE = "the date is outside the years 1 to 9999"
EXPECTED = {
    "date": "a date such as 2024-01-31",
    "time": "a time such as 10:00:00",
    "datetime": "a datetime such as 2024-01-31T10:00:00",
}
_YEAR = (
    "([1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"  # DuckDB reads 0000 as a year before all others
)
_DATE = rf"{_YEAR}-[0-9]{{2}}-[0-9]{{2}}"
_TIME = r"([01][0-9]|2[0-3]):[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"  # DuckDB reads 24:00 as the next day
PATTERNS = {"date": _DATE, "time": _TIME, "datetime": rf"{_DATE}([ T]{_TIME})?"}
_PARSERS: dict[str, Callable[[str], dt.date | dt.time]] = {
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "datetime": dt.datetime.fromisoformat,
}
_SQL = {"date": "DATE", "time": "TIME", "datetime": "TIMESTAMP"}
_FURTHEST = 4_000_000  # days; more than there are between the years 1 and 9999


def moment(value: dt.date | dt.time) -> Value:
    """Write out a date, a time or a datetime."""
    kind = "datetime" if isinstance(value, dt.datetime) else "date" if isinstance(value, dt.date) else "time"
    return Value(kind, cast(text(value.isoformat()), _SQL[kind]))  # type: ignore[arg-type]  # one of the three kinds


def read_text(literal: str, kind: str) -> Value | None:
    """Return the date, time or datetime that a text says in ISO form, None if it says none."""
    if not re.fullmatch(PATTERNS[kind], literal, re.ASCII):
        return None
    try:
        return moment(_PARSERS[kind](literal))
    except ValueError:
        return None


def read_literals(values: Sequence[Value]) -> list[Value]:
    """Return the values; a text that is written out beside a date counts as one.

    Raises:
        UnfitError: If such a text is none.
    """
    kinds = [value.kind for value in values if value.kind in KINDS]
    if not kinds:
        return list(values)
    kind = "datetime" if "datetime" in kinds else kinds[0]
    return [_read(value, kind) for value in values]


def _read(value: Value, kind: str) -> Value:
    if value.kind != "text" or not isinstance(value.literal, str):
        return value
    kinds = ("date", "datetime") if kind == "date" else (kind,)
    found = next((made for one in kinds if (made := read_text(value.literal, one))), None)
    if found is None:
        raise UnfitError(f"{_shown(value.literal)} is not {EXPECTED[kind]}")
    return found


def _shown(literal: str) -> str:
    return repr(literal[:60])


def read(layers: Layers, value: Value, kind: str) -> Value:
    """Read a text on each row; one that says no date, time or datetime is an error."""
    plain = layers.bind(value.sql)
    iso = call("regexp_full_match", plain, text(PATTERNS[kind]))
    found = layers.bind(case((iso, try_cast(plain, _SQL[kind]))), kind)
    wrong = Check(all_of((is_present(plain), is_null(found))), text(f"not {EXPECTED[kind]}"))
    return Value(kind, found, checks=(*value.checks, wrong))  # type: ignore[arg-type]  # one of the three kinds


def written(value: Value) -> Expr:
    """Write a date, time or datetime in ISO form."""
    plain = cast(value.sql, "VARCHAR")
    return call("replace", plain, text(" "), text("T")) if value.kind == "datetime" else plain


def as_datetime(value: Value) -> Value:
    """Return a date as the datetime of its midnight."""
    if value.kind != "date":
        return value
    return replace(value, kind="datetime", sql=cast(value.sql, "TIMESTAMP"), raw=None)


def computed(layers: Layers, operator: type[Expr], left: Value, right: Value) -> Value:
    """Add days to a date, take days from it, or count the days between two dates.

    Raises:
        UnfitError: If these two make nothing.
    """
    kinds = (left.kind, right.kind)
    if operator is exp.Sub and kinds == ("date", "date"):
        days = cast(binary(exp.Sub, left.sql, right.sql), "BIGINT")
        return Value("integer", days, 4e6, checks=left.checks + right.checks)
    if operator is exp.Sub and "date" in kinds and "any" in kinds:
        return Value("any", exp.Null(), checks=left.checks + right.checks)
    if operator is exp.Add and right.kind == "date":
        left, right = right, left
    if operator in (exp.Add, exp.Sub) and left.kind == "date" and right.kind in ("integer", "null", "any"):
        return _moved(layers, left, right, operator)
    raise UnfitError(_problem(operator, left, right))


def _problem(operator: type[Expr], left: Value, right: Value) -> str:
    kinds = {left.kind, right.kind}
    if operator not in (exp.Add, exp.Sub):
        return "nothing is multiplied with or divided by a date or time"
    if "time" in kinds or "datetime" in kinds:
        return "`+` and `-` work on dates and whole days; for times use the functions of dates and times"
    if operator is exp.Add and left.kind == right.kind == "date":
        return "two dates cannot be added"
    return "only whole days are added to a date or taken from it"


def _moved(layers: Layers, date: Value, days: Value, operator: type[Expr]) -> Value:
    checks = date.checks + days.checks
    if days.kind in ("null", "any"):
        return Value("date", cast(exp.Null(), "DATE"), checks=checks)
    near = call("greatest", call("least", days.sql, whole(_FURTHEST)), whole(-_FURTHEST))
    kind = exp.Add if operator is exp.Add else exp.Sub
    steps = case((is_present(days.sql), cast(near, "INTEGER")))
    return within_years(layers, Value("date", binary(kind, date.sql, steps), checks=checks))


def within_years(layers: Layers, value: Value) -> Value:
    """Add the check that a computed date or datetime is within the years that there are."""
    moved = layers.bind(value.sql, "moved")
    fits = exp.Between(this=call("year", moved), low=whole(1), high=whole(9999))
    return replace(
        value, sql=case((fits, moved)), checks=(*value.checks, Check(negated(fits), text(OUTSIDE)))
    )
