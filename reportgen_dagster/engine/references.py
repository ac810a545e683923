"""References keep their contracts before any row of the input moves.

What belongs here: which references are checked against what. What does not: checking itself (`contracts/`), keys that lookups
need (keys.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.errors import ContractError, Problem
from reportgen_dagster.rules.plan import INPUT, TableShape


def check_references(
    connection: duckdb.DuckDBPyConnection, shapes: Mapping[str, TableShape]
) -> dict[str, dict[str, Any]]:
    """Check each loaded reference that has a contract.

    Args:
        connection: Where references are tables of texts.
        shapes: All files.

    Returns:
        What `contracts.validation.ContractReport` says of each, as plain data.

    Raises:
        ContractError: Names everything that is broken and does not only warn.
    """
    tables = {name: shape for name, shape in shapes.items() if name != INPUT}
    if not any(shape.contract for shape in tables.values()):
        return {}
    from reportgen_dagster.contracts.validation import typed_relation, validate_file  # loads pandera

    relations = {name: _named_as_fields(connection, shape) for name, shape in tables.items()}
    typed = {name: typed_relation(relations[name], shape.contract) for name, shape in tables.items()}
    facts, problems = {}, []
    for name, shape in tables.items():
        if shape.contract is None:
            continue
        report = validate_file(relations[name], shape.contract, name=name, references=typed)
        facts[name] = report.to_json()
        problems += [
            Problem(failure.message, path=failure.column, source=name)
            for failure in report.failures
            if failure.severity == "error"
        ]
    if problems:
        raise ContractError(problems=problems)
    return facts


def _named_as_fields(connection: duckdb.DuckDBPyConnection, shape: TableShape) -> duckdb.DuckDBPyRelation:
    """Return the reference's rows; a column that is a field but for its case gets the field's name."""
    relation = connection.table(shape.relation)
    if shape.contract is None or not shape.contract.ignores_case:
        return relation
    fields = {field.name.lower(): field.name for field in shape.contract.fields}
    columns = [
        exp.alias_(exp.column(name, quoted=True), fields.get(name.lower(), name), quoted=True).sql("duckdb")
        for name in relation.columns
    ]
    return relation.project(", ".join(columns))
