"""Totals of columns over all rows of a report.

What belongs here: computing them. What does not: how they are written (content.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.engine.pages.rows import Rows, column, source
from reportgen_dagster.engine.pages.sums import Sum, average
from reportgen_dagster.rules.reading.presentation import Total


def totals_of(rows: Rows, told: Mapping[str, Total], sums: Mapping[str, Sum]) -> dict[str, Any]:
    """Return what is told of columns; None if there is no value, or if it has more than 38 digits.

    Args:
        rows: The report.
        told: The columns with what is told of them.
        sums: How the columns are added up.
    """
    if not told:
        return {}
    try:
        return _computed(rows, told, sums)
    except duckdb.OutOfRangeException:
        if len(told) == 1:
            return dict.fromkeys(told)
    return {name: value for one in told for name, value in totals_of(rows, {one: told[one]}, sums).items()}


def _computed(rows: Rows, told: Mapping[str, Total], sums: Mapping[str, Sum]) -> dict[str, Any]:
    wanted: list[Expr] = []
    for name, total in told.items():
        wanted += [_asked(name, total, sums), exp.Count(this=column(name))]
    named = [exp.alias_(part, f"v{number}") for number, part in enumerate(wanted)]
    with rows.query(exp.select(*named).from_(source()), told) as found:
        (values,) = found.fetchall()
    given = iter(values)
    return {name: _read(name, total, next(given), next(given), sums) for name, total in told.items()}


def _asked(name: str, total: Total, sums: Mapping[str, Sum]) -> Expr:
    if total == "minimum":
        return exp.Min(this=column(name))
    if total == "maximum":
        return exp.Max(this=column(name))
    return exp.Count(this=column(name)) if total == "count" else sums[name].total.copy()


def _read(name: str, total: Total, value: Any, count: int, sums: Mapping[str, Sum]) -> Any:
    if total not in ("sum", "average"):
        return value
    added = sums[name].read(value)
    return added if total == "sum" else average(added, count)
