"""pandera's backend for DuckDB relations: every check of a schema in one aggregate query, with exact counts and a few samples.

Names, order and types are read off the relation without running it; a schema without checks on cells therefore never
costs a pass over the data. No error keeps a relation: one that is alive when the process ends makes DuckDB's binding
print warnings.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
from pandera.backends.base import BaseSchemaBackend
from pandera.config import ValidationDepth, get_config_context
from pandera.errors import (
    FailureCaseMetadata,
    SchemaDefinitionError,
    SchemaError,
    SchemaErrorReason,
    SchemaErrors,
    SchemaWarning,
)
from sqlglot import exp

from reportgen_dagster.contracts.conditions import Condition, Finding, find
from reportgen_dagster.contracts.contract import REQUIRED
from reportgen_dagster.contracts.dtypes import is_accepted, type_of_dtype
from reportgen_dagster.contracts.schema_checks import (
    check_name,
    facts_of,
    row_checks,
    severity_of,
    unique_columns,
)

if TYPE_CHECKING:
    import pandera.pandas as pa


_TOLD_SAMPLES = 3


class NoTable:
    """Stands in errors for the relation that was checked."""


class TableError(SchemaError):
    """pandera's error for a table that breaks its schema.

    Attributes:
        told: What is wrong, without the column, which stands beside it wherever it is shown.
    """

    def __init__(
        self,
        schema: pa.DataFrameSchema,
        column: str | None,
        check: str,
        told: str,
        reason: SchemaErrorReason,
        cases: Sequence[Any] = (),
    ) -> None:
        """Describe what is wrong."""
        super().__init__(  # type: ignore[no-untyped-call] # pandera gives it no types
            schema,
            None,
            f"column {column!r}: {told}" if column else told,
            check=check,
            failure_cases=list(cases),
            reason_code=reason,
            column_name=column,
        )
        self.told = told


class CellError(TableError):
    """The error for a check that cells break, with how many rows do.

    Attributes:
        finding: What was found.
    """

    def __init__(self, schema: pa.DataFrameSchema, finding: Finding) -> None:
        """Describe what was found."""
        condition = finding.condition
        reason = SchemaErrorReason[condition.reason]
        super().__init__(
            schema, condition.column or None, condition.check, _told(finding), reason, finding.samples
        )
        self.finding = finding


class DuckDBBackend(BaseSchemaBackend):
    """Validates a DuckDB relation against pandera's schema of a frame."""

    def validate(self, check_obj: Any, schema: Any, *, lazy: bool = False, **_: Any) -> Any:
        """Return the relation if it keeps the schema; checks that only warn, and what is within a threshold, give a warning.

        Raises:
            SchemaError: The first failure, unless lazy.
            SchemaErrors: Every failure, if lazy.
        """
        found = all_errors(check_obj, schema)
        errors: list[SchemaError] = [
            error for error in found if not isinstance(error, CellError) or error.finding.is_failure
        ]
        for error in found:
            if error not in errors:
                warnings.warn(str(error), SchemaWarning, stacklevel=3)
        if errors and not lazy:
            raise errors[0]
        if errors:
            raise SchemaErrors(schema, errors, NoTable())
        return check_obj

    def failure_cases_metadata(
        self, schema_name: str, schema_errors: list[SchemaError]
    ) -> FailureCaseMetadata:
        """Describe the failures for pandera's report: one row and one message each."""
        return failure_cases(schema_name, schema_errors)


def failure_cases(schema_name: str, schema_errors: list[SchemaError]) -> FailureCaseMetadata:
    """Describe the failures for pandera's report: one row and one message each."""
    rows = [
        {
            "column": error.column_name,
            "check": str(error.check),
            "failure_case": ", ".join(map(str, error.failure_cases or ())),
            "message": str(error),
        }
        for error in schema_errors
    ]
    reasons = Counter(error.reason_code.name for error in schema_errors if error.reason_code)
    return FailureCaseMetadata(pd.DataFrame(rows), {str(schema_name): rows}, dict(reasons))


def _told(finding: Finding) -> str:
    """Say what is broken, without its column: the rule, on how many rows of how many, a few samples and where they are."""
    rows = "row" if finding.row_count == 1 else "rows"
    samples = zip_longest(
        finding.samples[:_TOLD_SAMPLES], finding.places[: len(finding.samples)][:_TOLD_SAMPLES]
    )
    shown = ", ".join(f"{shown_value(value)}{f' ({place})' if place else ''}" for value, place in samples)
    count = f"{finding.count:,} of {finding.row_count:,} {rows}"
    return f"{finding.condition.check} fails on {count}{f', e.g. {shown}' if shown else ''}"


def shown_value(value: Any) -> str:
    """Return a sample as a person reads it: null as `null`, texts in quotes, all others as they are written."""
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"({', '.join(map(shown_value, value))})"
    return repr(value[:100]) if isinstance(value, str) else str(value)


def all_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[TableError]:
    """Return everything that a relation breaks, also what only warns; cells are left alone at depth SCHEMA_ONLY."""
    errors = shape_errors(relation, schema)
    if get_config_context().validation_depth is ValidationDepth.SCHEMA_ONLY:
        return errors
    wrong = {error.column_name for error in errors}
    conditions = [
        condition
        for condition in conditions_of(schema)
        if condition.column not in wrong and set(condition.shown) <= set(relation.columns) - wrong
    ]
    return errors + [CellError(schema, finding) for finding in find(relation, conditions)]


def shape_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[TableError]:
    """Return what is wrong with a relation's names, order and types."""
    present = list(relation.columns)
    wanted = {str(name): column for name, column in schema.columns.items()}
    errors = [
        TableError(
            schema,
            name,
            "column_in_dataframe",
            "the column is missing",
            SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME,
        )
        for name, column in wanted.items()
        if column.required and name not in present
    ]
    if schema.strict:
        errors += [
            TableError(
                schema,
                name,
                "column_in_schema",
                "the column is not in the schema",
                SchemaErrorReason.COLUMN_NOT_IN_SCHEMA,
            )
            for name in present
            if name not in wanted
        ]
    expected = [name for name in wanted if name in present]
    actual = [name for name in present if name in wanted]
    if schema.ordered and expected != actual:
        message = f"columns are in the order {actual}, not {expected}"
        errors.append(
            TableError(schema, None, "column_ordered", message, SchemaErrorReason.COLUMN_NOT_ORDERED)
        )
    return errors + _type_errors(relation, schema)


def _type_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[TableError]:
    types = dict(zip(relation.columns, relation.types, strict=True))
    errors: list[TableError] = []
    for name, column in schema.columns.items():
        if name not in types or column.dtype is None or is_accepted(column.dtype, types[name]):
            continue
        expected = type_of_dtype(column.dtype) or column.dtype
        message = f"the column has type {types[name]}, expected {expected}"
        check = f"dtype('{column.dtype}')"
        errors.append(
            TableError(schema, name, check, message, SchemaErrorReason.WRONG_DATATYPE, [str(types[name])])
        )
    return errors


def conditions_of(schema: pa.DataFrameSchema) -> list[Condition]:
    """Return what makes a row of typed columns break a schema.

    Raises:
        SchemaDefinitionError: If a check is not one of pandera's own.
    """
    columns = {str(name): exp.column(exp.to_identifier(str(name), quoted=True)) for name in schema.columns}
    found = [
        Condition(
            check.column,
            check.rule,
            (check.column,),
            check.broken,
            check.severity,
            check.threshold,
            "SERIES_CONTAINS_NULLS" if check.rule == REQUIRED else "DATAFRAME_CHECK",
        )
        for check in row_checks(schema, columns, {})
    ]
    for name, column in schema.columns.items():
        if column.unique:
            severity, threshold = facts_of(column)
            reason = "SERIES_CONTAINS_DUPLICATES"
            found.append(
                Condition(str(name), "field_uniqueness", (str(name),), None, severity, threshold, reason)
            )
    return found + _joint(schema)


def _joint(schema: pa.DataFrameSchema) -> list[Condition]:
    found = []
    for check in schema.checks:
        columns = unique_columns(check)
        if columns is None:
            raise SchemaDefinitionError(f"check {check_name(check)!r} of the whole table is not available")
        column = columns[0] if len(columns) == 1 else ""
        threshold = check.statistics["threshold"]
        found.append(
            Condition(
                column, check_name(check), tuple(columns), None, severity_of(check), threshold, "DUPLICATES"
            )
        )
    own = [schema.unique] if isinstance(schema.unique, str) else schema.unique
    if own:
        found.append(Condition("", "multiple_fields_uniqueness", tuple(own), None, reason="DUPLICATES"))
    return found
