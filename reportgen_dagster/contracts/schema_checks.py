"""The checks of a pandera schema, as conditions on rows and as names for people.

What belongs here: reading a schema that was rendered from a contract or written in Python. What does not: rendering one
(rendering.py), checking tables (duckdb_backend.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandera.pandas as pa
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.contract import REQUIRED, RowCheck
from reportgen_dagster.contracts.models import Severity
from reportgen_dagster.contracts.predicates import holds

UNIQUE_CHECK = "unique_together"


def severity_of(check: pa.Check) -> Severity:
    """Return what a broken check means."""
    return "warn" if check.raise_warning else "error"


def facts_of(column: pa.Column) -> tuple[Severity, float | None]:
    """Return severity and threshold of a column of a rendered schema; of any other schema: an error, none."""
    facts: Mapping[str, Any] = column.metadata or {}
    return facts.get("severity", "error"), facts.get("threshold")


def row_checks(
    schema: pa.DataFrameSchema, columns: Mapping[str, Expr], raw: Mapping[str, Expr]
) -> list[RowCheck]:
    """Return what a schema's columns keep as conditions on a row.

    Args:
        schema: The schema.
        columns: Typed values by column.
        raw: The texts that they were read from; a value is missing where its text is.

    Raises:
        SchemaDefinitionError: If a check is not one of pandera's own.
    """
    checks = []
    for name, column in schema.columns.items():
        if name not in columns:
            continue
        severity, threshold = facts_of(column)
        if not column.nullable:
            missing = exp.Is(this=raw.get(name, columns[name]).copy(), expression=exp.Null())
            checks.append(RowCheck(name, REQUIRED, "is missing", missing, severity, threshold))
        for check in column.checks:
            broken = exp.Not(this=exp.paren(holds(columns[name].copy(), check)))
            rule = check_name(check)
            reason = check.description or f"breaks {rule}"
            checks.append(RowCheck(name, rule, reason, broken, severity_of(check), threshold))
    return checks


def check_name(check: pa.Check) -> str:
    """Return what a check is called in reports: how its user wrote it, if it was rendered from a contract."""
    return str(check.error or check.name)


def unique_columns(check: pa.Check) -> Sequence[str] | None:
    """Return the columns that a check of a whole table keeps unique together, if it is such a one."""
    return list(check.statistics["columns"]) if check.name == UNIQUE_CHECK and check.statistics else None
