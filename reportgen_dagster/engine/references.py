"""References keep their contracts before any row of the input moves.

What belongs here: which references are checked against what. What does not: checking itself (`contracts/`), keys that lookups
need (keys.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import duckdb
from sqlglot import exp

from reportgen_dagster.contracts.conditions import Positions
from reportgen_dagster.contracts.contract import Contract, ContractField, misfits
from reportgen_dagster.contracts.types import Type
from reportgen_dagster.engine.limits import Deadline
from reportgen_dagster.engine.rejects import lines_of
from reportgen_dagster.engine.text_files import TextFile
from reportgen_dagster.errors import ContractError, Problem
from reportgen_dagster.rules.compiling.plan import INPUT, Asked, TableShape

_ROW_ID = "rowid"  # DuckDB: where a row of a table is; tables are loaded in the order of the file


def check_references(
    connection: duckdb.DuckDBPyConnection,
    shapes: Mapping[str, TableShape],
    files: Mapping[str, TextFile],
    deadline: Deadline,
) -> dict[str, dict[str, Any]]:
    """Check each loaded reference that has a contract.

    Args:
        connection: Where references are tables of texts.
        shapes: All files.
        files: The references' files, for the lines of rows.
        deadline: When to give up.

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
    named = {name: _position_name(shape) for name, shape in tables.items()}
    relations = {name: _named_as_fields(connection, shape, named[name]) for name, shape in tables.items()}
    typed = {name: typed_relation(relations[name], contracts[name]) for name in tables}
    facts: dict[str, dict[str, Any]] = {}
    problems: list[Problem] = []
    for name, contract in contracts.items():
        if contract is None:
            continue
        if unfit := [message for field in contract.fields for message in misfits(field, field.type)]:
            problems += [Problem(message, source=name) for message in unfit]
            continue
        positions = (
            Positions(column, partial(_lines, files[name], deadline)) if (column := named[name]) else None
        )
        report = validate_file(relations[name], contract, name=name, references=typed, positions=positions)
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
    return {
        field.name: frozenset[Asked](("type",))
        for field in _fields(shape)
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


def _named_as_fields(
    connection: duckdb.DuckDBPyConnection, shape: TableShape, position: str | None
) -> duckdb.DuckDBPyRelation:
    """Return the reference's rows, with their positions; a column that is a field but for its case gets the field's name."""
    relation = connection.table(exp.to_identifier(shape.relation, quoted=True).sql("duckdb"))
    ignores_case = shape.contract is not None and shape.contract.ignores_case
    fields = {field.name.lower(): field.name for field in _fields(shape)} if ignores_case else {}
    columns = [
        exp.alias_(exp.column(name, quoted=True), fields.get(name.lower(), name), quoted=True)
        for name in relation.columns
    ]
    if position is not None:
        columns.append(exp.alias_(exp.column(_ROW_ID), position, quoted=True))
    return relation.project(", ".join(column.sql("duckdb") for column in columns))


def _fields(shape: TableShape) -> Sequence[ContractField]:
    return shape.contract.fields if shape.contract is not None else ()


def _position_name(shape: TableShape) -> str | None:
    """Return a name that no column and no field has; None where a column hides the positions of the rows."""
    taken = {name.lower() for name in (*(shape.columns or ()), *(field.name for field in _fields(shape)))}
    if _ROW_ID in taken:
        return None
    return next(name for name in (f"position_{number}" for number in count()) if name not in taken)


def _lines(file: TextFile, deadline: Deadline, rows: Collection[int]) -> dict[int, str]:
    """Say on which physical lines of a reference rows begin; all of its rows can be read."""
    return {row: f"line {line}" for row, line in lines_of(file, rows, deadline).items()}
