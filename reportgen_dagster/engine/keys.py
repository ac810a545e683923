"""Lookup keys of references: each value at most once."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb
from sqlglot import exp

from reportgen_dagster.errors import DuplicateKeyError, Problem
from reportgen_dagster.rules.compile import LookupKey

SAMPLES = 5


def refuse_duplicates(connection: duckdb.DuckDBPyConnection, lookups: Iterable[LookupKey]) -> None:
    """Look for values that are there twice in the key columns of loaded references; blank cells are no values.

    Raises:
        DuplicateKeyError: Names every such key with a few of its values.
    """
    problems = [problem for lookup in lookups for problem in _problems(connection, lookup)]
    if problems:
        raise DuplicateKeyError(problems=problems)


def _problems(connection: duckdb.DuckDBPyConnection, lookup: LookupKey) -> list[Problem]:
    key = exp.column(lookup.key, quoted=True)
    repeated = (
        exp.select(exp.alias_(key, "value"), exp.alias_(exp.Count(this=exp.Star()), "times"))
        .from_(exp.Table(this=exp.to_identifier(lookup.reference, quoted=True)))
        .where(exp.Not(this=exp.Is(this=key.copy(), expression=exp.null())))
        .group_by(key.copy())
        .having("count(*) > 1", dialect="duckdb")
    )
    query = (
        exp.select("value", "times", "count(*) OVER ()", dialect="duckdb")
        .from_(repeated.subquery("repeated"))
        .order_by("value")
        .limit(SAMPLES)
    )
    rows = connection.execute(query.sql("duckdb")).fetchall()
    if not rows:
        return []
    shown = ", ".join(f"{value!r} ({times} times)" for value, times, _ in rows)
    more = f" and {rows[0][2] - len(rows):,} more" if rows[0][2] > len(rows) else ""
    message = f"the lookup key `{lookup.key}` holds values more than once: {shown}{more}"
    return [Problem(message, path=lookup.key, source=lookup.reference)]
