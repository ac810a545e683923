"""Tries conditions that no column is in, to find what cannot work on any row: a cast, a pattern, a format.

What belongs here: asking DuckDB. What does not: which conditions there are and what they mean (`Plan.constant_checks`).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import duckdb

from reportgen_dagster.engine.connection import MAX_DEPTH
from reportgen_dagster.errors import Problem
from reportgen_dagster.rules.compiling.plan import Plan

_BATCH = 200  # one SELECT with thousands of expressions takes DuckDB longer than many small ones
_MEMORY = "256MB"


def failing_constants(plan: Plan) -> list[Problem]:
    """Return the problems of a plan's constants: what would fail on every row."""
    held = which_hold([condition for condition, _ in plan.constant_checks])
    return [problem for (_, problem), wrong in zip(plan.constant_checks, held, strict=True) if wrong]


def which_hold(conditions: Sequence[str]) -> list[bool]:
    """Return for each condition whether it is true; one that DuckDB cannot even compute counts as true.

    Args:
        conditions: SQL of the compiler's making, each of one row without a table.
    """
    if not conditions:
        return []
    with closing(open_without_files()) as connection:
        held: list[bool] = []
        for first in range(0, len(conditions), _BATCH):
            held += _tried(connection, conditions[first : first + _BATCH])
        return held


def open_without_files() -> duckdb.DuckDBPyConnection:
    """Open a small in-memory database that can read no file at all."""
    connection = duckdb.connect(
        config={
            "threads": 1,
            "max_expression_depth": MAX_DEPTH,
            "memory_limit": _MEMORY,
            "temp_directory": "",
            "python_enable_replacements": False,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
        }
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _tried(connection: duckdb.DuckDBPyConnection, conditions: Sequence[str]) -> list[bool]:
    try:
        row = connection.execute("SELECT " + ", ".join(f"({sql})" for sql in conditions)).fetchall()[0]
    except duckdb.Error:
        if len(conditions) == 1:
            return [True]
        return [held for sql in conditions for held in _tried(connection, [sql])]
    return [value is True for value in row]
