"""Functions of what lies between two dates, and of working days.

What belongs here: counting days, months, years, hours. What does not: moving by a unit (dates.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.rules.functions.given import (
    whole_number,
)
from reportgen_dagster.rules.functions.moments import (
    Read,
    in_years,
    is_moment,
    read_date,
    read_datetime,
)
from reportgen_dagster.rules.functions.table import DAY_UNITS, Build, Function, scalar
from reportgen_dagster.rules.values import floors, temporal
from reportgen_dagster.rules.values.layers import Layers
from reportgen_dagster.rules.values.typed import (
    Check,
    Value,
    binary,
    call,
    case,
    cast,
    negated,
    text,
    whole,
)

_FURTHEST = 4_000_000  # days; more than there are between the years 1 and 9999
_MONDAY = "0001-01-01"  # a Monday, as far back as dates go


def _working(date: Expr) -> Expr:
    """Count the days from Monday to Friday before a date, from the first Monday on."""
    days = exp.Paren(this=binary(exp.Sub, date, cast(text(_MONDAY), "DATE")))
    weeks = binary(exp.Mul, exp.Paren(this=exp.IntDiv(this=days, expression=whole(7))), whole(5))
    return binary(exp.Add, weeks, call("least", exp.Mod(this=days, expression=whole(7)), whole(5)))


def workdays_between(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the days from Monday to Friday from one date up to, not with, another."""
    (first, before), (last, after) = (read_date(layers, value) for value in values)
    first, last = layers.bind(first), layers.bind(last)
    count = binary(exp.Sub, _working(last), _working(first))
    return Value("integer", cast(count, "BIGINT"), 4e6, checks=before + after)


def add_workdays(layers: Layers, values: Sequence[Value]) -> Value:
    """Move a date by days from Monday to Friday; from a weekend it goes on from the working day on its other side."""
    date, before = read_date(layers, values[0])
    amount, checks = whole_number(layers, values[1], temporal.OUTSIDE)
    date = layers.bind(date)
    day = layers.bind(call("isodow", date), "day")
    ahead = binary(exp.GTE, amount, whole(0))
    position = case((binary(exp.LTE, day, whole(5)), day), (ahead, whole(5)), default=whole(6))
    total = binary(exp.Add, binary(exp.Sub, position, whole(1)), amount)
    near = exp.Between(this=total, low=whole(-_FURTHEST), high=whole(_FURTHEST))
    total = layers.bind(case((near, total)), "total")
    rest = layers.bind(floors.floor_integers(layers, total, whole(5), quotient=False), "rest")
    weeks = exp.Paren(this=exp.IntDiv(this=exp.Paren(this=binary(exp.Sub, total, rest)), expression=whole(5)))
    days = binary(
        exp.Add, binary(exp.Mul, weeks, whole(7)), binary(exp.Sub, rest, binary(exp.Sub, day, whole(1)))
    )
    days = case((binary(exp.EQ, amount, whole(0)), whole(0)), default=days)
    moved = binary(exp.Add, cast(date, "TIMESTAMP"), call("to_days", cast(days, "INTEGER")))
    inside, outside = in_years(layers, moved)
    far = Check(negated(near), text(temporal.OUTSIDE))
    return Value("date", cast(inside, "DATE"), checks=(*before, *checks, far, outside))


# spans


def days_between(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the days from one date to another."""
    (first, before), (last, after) = (read_date(layers, value) for value in values)
    return Value("integer", cast(binary(exp.Sub, last, first), "BIGINT"), 4e6, checks=before + after)


def full_units_between(unit: str) -> Build:
    """Count the full units from one date or moment to another; negative where the other is earlier."""
    coarse = unit in DAY_UNITS

    def build(layers: Layers, values: Sequence[Value]) -> Value:
        read: Callable[[Layers, Value], Read] = (
            read_date if coarse and not is_moment(values) else read_datetime
        )
        (first, before), (last, after) = (read(layers, value) for value in values)
        made = call("date_sub", text(unit), first, last)
        return Value("integer", cast(made, "BIGINT"), 4e11, checks=before + after)

    return build


def age_in_years(layers: Layers, values: Sequence[Value]) -> Value:
    """Count the full years from a date to another, or to the run's date."""
    return full_units_between("year")(layers, [values[0], values[1]])


_ENTRIES = scalar(
    "dates and times",
    (
        ("add_workdays", "date:date days:number", "date",
         "The date so many days from Monday to Friday later; holidays are not known.",
         "add_workdays('2024-02-02', 1)", "2024-02-05", add_workdays),
        ("days_between", "from:date to:date", "integer",
         "How many days lie between two dates; negative where the second is earlier.",
         "days_between('2024-01-31', '2024-03-01')", "30", days_between),
        ("workdays_between", "from:date to:date", "integer",
         "How many days from Monday to Friday there are from the first date up to, not with, the second.",
         "workdays_between('2024-02-01', '2024-02-08')", "5", workdays_between),
        ("weeks_between", "from:date to:date", "integer",
         "How many full weeks lie between two dates.",
         "weeks_between('2024-01-31', '2024-03-01')", "4", full_units_between("week")),
        ("months_between", "from:date to:date", "integer",
         "How many full months lie between two dates; the end of a month counts as in `add_months`.",
         "months_between('2024-01-31', '2024-02-29')", "1", full_units_between("month")),
        ("years_between", "from:date to:date", "integer",
         "How many full years lie between two dates.",
         "years_between('2000-02-29', '2024-02-28')", "23", full_units_between("year")),
        ("hours_between", "from:datetime to:datetime", "integer",
         "How many full hours lie between two moments.",
         "hours_between('2024-01-31T10:30:00', '2024-02-01T10:00:00')", "23", full_units_between("hour")),
        ("minutes_between", "from:datetime to:datetime", "integer",
         "How many full minutes lie between two moments.",
         "minutes_between('2024-01-31T10:30:00', '2024-01-31T11:00:00')", "30", full_units_between("minute")),
        ("seconds_between", "from:datetime to:datetime", "integer",
         "How many full seconds lie between two moments.",
         "seconds_between('2024-01-31T10:30:00', '2024-01-31T10:31:00')", "60", full_units_between("second")),
        ("age_in_years", "birth:date on:date?", "integer",
         "How many full years lie between a date and another one, or the date of the run.",
         "age_in_years('2000-02-29', '2024-02-28')", "23", age_in_years),
    ),
)  # fmt: skip
ENTRIES: tuple[Function, ...] = tuple(
    replace(entry, uses_run_date=entry.name == "age_in_years") for entry in _ENTRIES
)
