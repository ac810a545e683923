"""Keys of references that must be unique: each combination of values at most once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.errors import DuplicateKeyError, Problem
from reportgen_dagster.rules.compiling.plan import Reference, TableShape

SAMPLES = 5


def refuse_duplicates(
    connection: duckdb.DuckDBPyConnection, references: Iterable[Reference], shapes: Mapping[str, TableShape]
) -> None:
    """Look for keys that are there twice in loaded references; a key with a blank cell is none.

    Columns that a contract types are compared by value, others as text.

    Raises:
        DuplicateKeyError: Names every such key with a few of its values.
    """
    problems = [
        problem
        for reference in references
        for key in reference.unique
        for problem in _problems(connection, shapes[reference.name], reference.name, key)
    ]
    if problems:
        raise DuplicateKeyError(problems=problems)


def _problems(
    connection: duckdb.DuckDBPyConnection, shape: TableShape, name: str, key: Sequence[str]
) -> Iterator[Problem]:
    values = [exp.Alias(this=_value(shape, column), alias=f"key{place}") for place, column in enumerate(key)]
    names = [exp.column(f"key{place}") for place in range(len(key))]
    table = exp.Table(this=exp.to_identifier(shape.relation, quoted=True))
    keys = exp.select(*values).from_(table)
    repeated = exp.select(*names, exp.alias_(exp.Count(this=exp.Star()), "times")).from_(
        keys.subquery("keys")
    )
    for one in names:
        repeated = repeated.where(exp.Not(this=exp.Is(this=one.copy(), expression=exp.null())), copy=False)
    repeated = repeated.group_by(*names).having("count(*) > 1", dialect="duckdb")
    query = (
        exp.select(*names, "times", "count(*) OVER ()", dialect="duckdb")
        .from_(repeated.subquery("repeated"))
        .order_by(*names)
        .limit(SAMPLES)
    )
    rows = connection.execute(query.sql("duckdb")).fetchall()
    if rows:
        shown = ", ".join(f"{_told(row[: len(key)])} ({row[-2]} times)" for row in rows)
        more = f" and {rows[0][-1] - len(rows):,} more" if rows[0][-1] > len(rows) else ""
        told = ", ".join(key)
        message = f"the lookup key `{told}` holds values more than once: {shown}{more}"
        yield Problem(message, path=told, source=name)


def _value(shape: TableShape, column: str) -> Expr:
    raw = exp.column(column, quoted=True)
    field = shape.contract.field(column) if shape.contract else None
    return raw if field is None else field.cast(raw).value


def _told(values: Sequence[Any]) -> str:
    told = [repr(value) if isinstance(value, str) else str(value) for value in values]
    return told[0] if len(told) == 1 else f"({', '.join(told)})"
