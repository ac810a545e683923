"""Sees that every step gives the columns that were told to users, by binding its query over empty tables.

What belongs here: making the tables, asking DuckDB what comes out, and pandera whether that is what was promised. What does not:
the queries (`rules/step_tables.py`), what the report itself gives in a run (promises.py).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.output import check_output
from reportgen_dagster.contracts.types import TEXT, Type
from reportgen_dagster.engine.trying import open_without_files
from reportgen_dagster.errors import ServiceError
from reportgen_dagster.rules.compiling.plan import ROW, ROWS, OutputColumn, Plan, StepTables

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
        _create(connection, name, _empty(columns))
    for table in plan.prepared:
        _create(connection, table.name, table.sql)
    tables = dict(steps.tables)
    for number, told in steps.columns.items():
        if number in steps.values:
            yield from _failures(connection, steps.values[number], told)
        if (name := ROWS.format(number)) in tables:
            _create(connection, name, _numbered(tables[name]) if number == 0 else tables[name])
    if plan.pivot is None:
        yield from _failures(connection, plan.blocks[-1].sql, [("output", column) for column in plan.columns])


def _failures(
    connection: duckdb.DuckDBPyConnection, sql: str, told: Sequence[tuple[str, OutputColumn]]
) -> Iterator[tuple[str, str]]:
    """Judge the columns of a query, all at once, each after the step that made it: it stays as it is after the following ones."""
    given = connection.sql(sql)  # bound, and not run
    columns = {
        f"{step}, column {column.name}, {place}": replace(column, type=_binding(column.type))
        for place, (step, column) in enumerate(told)
    }
    cells = ", ".join(
        f"CAST(NULL AS {type_}) AS {exp.to_identifier(name, quoted=True).sql('duckdb')}"
        for name, type_ in zip(columns, given.types, strict=False)
    )
    named = [replace(column, name=name) for name, column in columns.items()]
    for failure in check_output(connection.sql(f"SELECT {cells}"), named).failures:
        yield failure.column, failure.message


def _binding(type_: Type) -> Type:
    """Return the type that a database has for a column; one of nothing or of anything is text there."""
    return TEXT if type_.name in ("any", "cell", "null") else type_


def _empty(columns: Sequence[str]) -> str:
    nothing = exp.Cast(this=exp.Null(), to=exp.DataType.build("VARCHAR"))
    cells = [exp.alias_(nothing.copy(), name, quoted=True) for name in columns]
    return exp.select(*cells).where(exp.false()).sql("duckdb")


def _numbered(sql: str) -> str:
    """Return the rows of the first block with their numbers, which the engine gives them in a run."""
    number = exp.alias_(exp.Cast(this=exp.Null(), to=exp.DataType.build("BIGINT")), ROW, quoted=True)
    return f"SELECT *, {number.sql('duckdb')} FROM ({sql}) AS rows"  # noqa: S608 - SQL of the compiler's making


def _create(connection: duckdb.DuckDBPyConnection, name: str, sql: str) -> None:
    table = exp.Table(this=exp.to_identifier(name, quoted=True)).sql("duckdb")
    connection.execute(f"CREATE TABLE {table} AS {sql}")
