"""Sees that every step gives the columns that were told to users, by binding its query over empty tables.

What belongs here: making the tables, asking DuckDB what comes out, and pandera whether that is what was promised. What does not:
the queries (`rules/step_tables.py`), what the report itself gives in a run (promises.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import lru_cache

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.output import check_output
from reportgen_dagster.contracts.types import TEXT, Type
from reportgen_dagster.engine.trying import open_without_files
from reportgen_dagster.errors import ServiceError
from reportgen_dagster.rules.compiling.plan import ROW, ROWS, OutputColumn, Plan, StepTables

_CELL = "VARCHAR"
_NUMBER = "BIGINT"
_log = logging.getLogger(__name__)


def refuse_other_results(plan: Plan) -> None:
    """Validate the columns of every step, and those of the report, schema only; nothing if the plan does not have them.

    Raises:
        ServiceError: If a query gives other columns than were told, or none; the log says how.
    """
    if plan.step_tables is None:
        return
    with closing(open_without_files()) as connection:
        try:
            wrong = [*_wrong(connection, plan, plan.step_tables)]
        except duckdb.Error as error:
            wrong = [("a query", str(error))]
    if wrong:
        _log.error("Columns are not as promised: %s", "; ".join(": ".join(one) for one in wrong))
        raise ServiceError(f"{wrong[0][0]} is not what was promised for these rules")


def _wrong(connection: duckdb.DuckDBPyConnection, plan: Plan, steps: StepTables) -> Iterator[tuple[str, str]]:
    """Yield columns that are wrong, each with the step that makes it, and how."""
    for name, columns in steps.files.items():
        _create(connection, name, [(column, _CELL) for column in columns])
    for table in plan.prepared:
        given = connection.sql(table.sql)
        _create(connection, table.name, [*zip(given.columns, given.types, strict=True)])
    seen: set[tuple[Type, str]] = set()
    for number, told in steps.columns.items():
        given = connection.sql(steps.values[number])  # bound, and not run
        yield from _failures(connection, told, given.types, seen)
        left = [*zip(given.columns, given.types, strict=True)][len(told) :]
        numbers = [(ROW, _NUMBER)] if number == 0 else []
        _create(connection, ROWS.format(number), [*left, *numbers])


def _failures(
    connection: duckdb.DuckDBPyConnection,
    told: Sequence[tuple[str, OutputColumn]],
    types: Sequence[object],
    seen: set[tuple[Type, str]],
) -> Iterator[tuple[str, str]]:
    """Judge the columns of a query, each after the step that made it: it stays as it is after the following ones.

    What is told and given of one was judged already with another is not judged again.
    """
    columns: dict[str, tuple[OutputColumn, str]] = {}
    for (step, column), type_ in zip(told, types, strict=False):
        pair = (_binding(column.type), str(type_))
        if pair not in seen:
            seen.add(pair)
            name = f"{step}, column {column.name}, {len(columns)}"
            columns[name] = (replace(column, name=name, type=pair[0]), pair[1])
    if not columns:
        return
    cells = ", ".join(f"CAST(NULL AS {type_}) AS {_quoted(name)}" for name, (_, type_) in columns.items())
    named = [column for column, _ in columns.values()]
    for failure in check_output(connection.sql(f"SELECT {cells}"), named).failures:
        yield failure.column, failure.message


def _binding(type_: Type) -> Type:
    """Return the type that a database has for a column; one of nothing or of anything is text there."""
    return TEXT if type_.name in ("any", "cell", "null") else type_


def _create(connection: duckdb.DuckDBPyConnection, name: str, columns: Sequence[tuple[str, object]]) -> None:
    """Create an empty table; one made of a query would cost running that."""
    cells = ", ".join(f"{_quoted(column)} {type_}" for column, type_ in columns or [("nothing", "BOOLEAN")])
    connection.execute(f"CREATE TABLE {_quoted(name)} ({cells})")


@lru_cache(maxsize=4096)  # most tables have the columns of the one before
def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("duckdb")
