"""pandera schemas written in Python as contracts.

What belongs here: reading them, and refusing by name what no contract has. What does not: rendering contracts (rendering.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandera.pandas as pa
from pandera.errors import SchemaDefinitionError

from reportgen_dagster.contracts.constraints import Constraint, shortened
from reportgen_dagster.contracts.contract import UNIQUE, Contract, ContractField, UniqueRule
from reportgen_dagster.contracts.dtypes import type_of_dtype
from reportgen_dagster.contracts.predicates import AVAILABLE
from reportgen_dagster.contracts.schema_checks import check_name, facts_of, severity_of, unique_columns

_TWICE = "is there more than once"


def contract_of_schema(schema: pa.DataFrameSchema) -> Contract:
    """Return the contract that a pandera schema means.

    Args:
        schema: Columns with types and pandera's built-in checks.

    Raises:
        SchemaDefinitionError: If it has what no contract has; the message names all of it.
    """
    problems = list(_refused(schema))
    if problems:
        raise SchemaDefinitionError("; ".join(problems))
    fields = tuple(_field(str(name), column) for name, column in schema.columns.items())
    return Contract(
        fields, tuple(_unique_rules(schema)), strict=bool(schema.strict), ordered=bool(schema.ordered)
    )


def _refused(schema: pa.DataFrameSchema) -> Iterator[str]:
    whole = {
        "parsers": schema.parsers,
        "an index": schema.index,
        "a type for all columns": schema.dtype,
        "`strict='filter'`": schema.strict == "filter",
        "`add_missing_columns`": schema.add_missing_columns,
        "`drop_invalid_rows`": schema.drop_invalid_rows,
    }
    yield from (f"a contract has no {what.removeprefix('an ')}" for what, given in whole.items() if given)
    for check in schema.checks:
        if unique_columns(check) is None:
            yield f"the check {check_name(check)!r} of the whole table is not available"
    for name, column in schema.columns.items():
        yield from _refused_of_column(str(name), column)


def _refused_of_column(name: str, column: pa.Column) -> Iterator[str]:
    if type_of_dtype(column.dtype) is None:
        yield f"column {name!r}: the type {column.dtype} is not available"
    given = {"a pattern of names": column.regex, "parsers": column.parsers, "a default": column.default}
    for what, value in given.items():
        if value:
            yield f"column {name!r}: a contract has no {what.removeprefix('a ')}"
    for check in column.checks:
        if check.name not in AVAILABLE or check.groupby is not None:
            yield f"column {name!r}: the check {check_name(check)!r} is not one of pandera's own"


def _field(name: str, column: pa.Column) -> ContractField:
    type_ = type_of_dtype(column.dtype)
    if type_ is None:
        raise SchemaDefinitionError(f"column {name!r}: the type {column.dtype} is not available")
    severity, threshold = facts_of(column)
    constraints: dict[str, Constraint] = {}
    for check in column.checks:
        one = _constraint(check, threshold)
        constraints.setdefault(one.rule, one)
    return ContractField(
        name,
        type_,
        required=not column.nullable,
        constraints=tuple(constraints.values()),
        severity=severity,
        threshold=threshold,
        optional=not column.required,
    )


def _constraint(check: pa.Check, threshold: float | None) -> Constraint:
    statistics: dict[str, Any] = {
        name: value for name, value in (check.statistics or {}).items() if value is not None
    }
    told = shortened(", ".join(f"{name}={value}" for name, value in statistics.items()))
    rule = str(check.error or f"{check.name}: {told}")
    reason = check.description or f"breaks {rule}"
    return Constraint(rule, reason, str(check.name), statistics, severity_of(check), threshold)


def _unique_rules(schema: pa.DataFrameSchema) -> Iterator[UniqueRule]:
    for name, column in schema.columns.items():
        if column.unique:
            severity, threshold = facts_of(column)
            yield UniqueRule((str(name),), UNIQUE, _TWICE, severity, threshold)
    together = [schema.unique] if isinstance(schema.unique, str) else schema.unique
    if together:
        yield UniqueRule(tuple(together), f"uniqueKeys: {', '.join(together)}", _TWICE)
    for check in schema.checks:
        columns = unique_columns(check)
        if columns:
            threshold = check.statistics["threshold"]
            yield UniqueRule(tuple(columns), check_name(check), _TWICE, severity_of(check), threshold)
