"""References keep their contracts before any row of the input moves.

What belongs here: which references are checked against what. What does not: checking itself (`contracts/`), keys that lookups
need (keys.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.contract import Contract, misfits
from reportgen_dagster.contracts.types import Type
from reportgen_dagster.errors import ContractError, Problem
from reportgen_dagster.rules.compiling.plan import INPUT, Asked, TableShape


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

    contracts = {name: _typed(shape) for name, shape in tables.items()}
    relations = {name: _named_as_fields(connection, shape) for name, shape in tables.items()}
    typed = {name: typed_relation(relations[name], contracts[name]) for name in tables}
    facts: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, contract in contracts.items():
        if contract is None:
            continue
        if unfit := [message for field in contract.fields for message in misfits(field, field.type)]:
            problems += [Problem(message, source=name) for message in unfit]
            continue
        report = validate_file(relations[name], contract, name=name, references=typed)
        facts[name] = report.to_json()
        problems += [
            Problem(failure.message, path=failure.column, source=name)
            for failure in report.failures
            if failure.severity == "error"
        ]
    if problems:
        raise ContractError(problems=problems)
    return facts


def untyped_columns(shape: TableShape) -> dict[str, frozenset[Asked]]:
    """Return the columns that a contract judges by the type that is found in the file, to be asked for."""
    fields = shape.contract.fields if shape.contract is not None else ()
    return {
        field.name: frozenset[Asked](("type",))
        for field in fields
        if field.type.name == "any" and field.constraints and field.name in (shape.columns or ())
    }


def _typed(shape: TableShape) -> Contract | None:
    """Return a reference's contract, in which fields without a type have the type that the file's columns have."""
    if shape.contract is None:
        return None
    fields = []
    for field in shape.contract.fields:
        kind = shape.kinds.get(field.name) if field.type.name == "any" else None
        if kind is not None and kind.type == "null":
            fields.append(replace(field, constraints=()))  # there is nothing to judge
        else:
            fields.append(field if kind is None else replace(field, type=Type(kind.type)))
    return replace(shape.contract, fields=tuple(fields))


def _named_as_fields(connection: duckdb.DuckDBPyConnection, shape: TableShape) -> duckdb.DuckDBPyRelation:
    """Return the reference's rows; a column that is a field but for its case gets the field's name."""
    relation = connection.table(exp.to_identifier(shape.relation, quoted=True).sql("duckdb"))
    if shape.contract is None or not shape.contract.ignores_case:
        return relation
    fields = {field.name.lower(): field.name for field in shape.contract.fields}
    columns = [
        exp.alias_(exp.column(name, quoted=True), fields.get(name.lower(), name), quoted=True).sql("duckdb")
        for name in relation.columns
    ]
    return relation.project(", ".join(columns))
