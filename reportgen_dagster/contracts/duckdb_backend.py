"""pandera's backend for DuckDB relations: every check of a schema in one aggregate query, with exact counts and a few samples.

Names, order and types are read off the relation without running it; a schema without checks on cells therefore never
costs a pass over the data. No error keeps a relation: one that is alive when the process ends makes DuckDB's binding
print warnings.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import pandas as pd
from pandera import dtypes
from pandera.backends.base import BaseSchemaBackend
from pandera.config import ValidationDepth, get_config_context
from pandera.errors import FailureCaseMetadata, SchemaError, SchemaErrorReason, SchemaErrors
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.predicates import holds

if TYPE_CHECKING:
    import pandera.pandas as pa

SAMPLES = 5

_INTEGERS = {"tinyint", "smallint", "integer", "bigint", "hugeint"} | {
    "utinyint",
    "usmallint",
    "uinteger",
    "ubigint",
    "uhugeint",
}
# From narrow to wide: the first class that a pandera type belongs to decides which DuckDB types are accepted.
_ACCEPTED: tuple[tuple[type[dtypes.DataType], frozenset[str]], ...] = (
    (dtypes.Bool, frozenset({"boolean"})),
    (dtypes.Int, frozenset(_INTEGERS)),
    (dtypes.Decimal, frozenset({"decimal"})),
    (dtypes.Float, frozenset({"double", "float", "decimal"})),
    (dtypes.Timestamp, frozenset({"timestamp", "timestamp with time zone"})),
    (dtypes.Date, frozenset({"date"})),
    (dtypes.String, frozenset({"varchar"})),
)


@dataclass(frozen=True, slots=True)
class _Check:
    """A condition on cells: which rows break it, and what to call it."""

    column: str
    name: str
    broken: Expr
    reason: SchemaErrorReason


class NoTable:
    """Stands in errors for the relation that was checked."""


class DuckDBBackend(BaseSchemaBackend):
    """Validates a DuckDB relation against pandera's schema of a frame."""

    def validate(self, check_obj: Any, schema: Any, *, lazy: bool = False, **_: Any) -> Any:
        """Return the relation if it keeps the schema.

        Raises:
            SchemaError: The first failure, unless lazy.
            SchemaErrors: Every failure, if lazy.
        """
        errors = [*_shape_errors(check_obj, schema), *_cell_errors(check_obj, schema)]
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


def _error(
    schema: pa.DataFrameSchema,
    column: str | None,
    check: str,
    message: str,
    reason: SchemaErrorReason,
    cases: list[Any] | None = None,
) -> SchemaError:
    return SchemaError(
        schema, None, message, check=check, failure_cases=cases or [], reason_code=reason, column_name=column
    )


def _shape_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[SchemaError]:
    present = list(relation.columns)
    wanted = {str(name): column for name, column in schema.columns.items()}
    errors = [
        _error(
            schema,
            name,
            "column_in_dataframe",
            f"column {name!r} is missing",
            SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME,
        )
        for name, column in wanted.items()
        if column.required and name not in present
    ]
    if schema.strict:
        errors += [
            _error(
                schema,
                name,
                "column_in_schema",
                f"column {name!r} is not in the schema",
                SchemaErrorReason.COLUMN_NOT_IN_SCHEMA,
            )
            for name in present
            if name not in wanted
        ]
    expected = [name for name in wanted if name in present]
    actual = [name for name in present if name in wanted]
    if schema.ordered and expected != actual:
        message = f"columns are in the order {actual}, not {expected}"
        errors.append(_error(schema, None, "column_ordered", message, SchemaErrorReason.COLUMN_NOT_ORDERED))
    return errors + _type_errors(relation, schema)


def _type_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[SchemaError]:
    types = dict(zip(relation.columns, relation.types, strict=True))
    errors = []
    for name, column in schema.columns.items():
        if name not in types or column.dtype is None or types[name].id in _accepted(column.dtype):
            continue
        message = f"column {name!r} has type {types[name]}, expected {column.dtype}"
        check = f"dtype('{column.dtype}')"
        errors.append(
            _error(schema, name, check, message, SchemaErrorReason.WRONG_DATATYPE, [str(types[name])])
        )
    return errors


def _accepted(dtype: dtypes.DataType) -> frozenset[str]:
    return next((names for kind, names in _ACCEPTED if isinstance(dtype, kind)), frozenset())


def _cell_errors(relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema) -> list[SchemaError]:
    """Count what breaks each check in one query, then fetch samples for those that are broken."""
    if get_config_context().validation_depth is ValidationDepth.SCHEMA_ONLY:
        return []
    checks = [check for check in _checks(schema) if check.column in relation.columns]
    if not checks:
        return []
    counts = relation.aggregate(", ".join(_count(check).sql("duckdb") for check in checks)).fetchall()[0]
    return [
        _cell_error(relation, schema, check, count)
        for check, count in zip(checks, counts, strict=True)
        if count
    ]


def _checks(schema: pa.DataFrameSchema) -> list[_Check]:
    found = []
    for name, column in schema.columns.items():
        cell = exp.column(name, quoted=True)
        if not column.nullable:
            null = exp.Is(this=cell.copy(), expression=exp.null())
            found.append(_Check(name, "not_nullable", null, SchemaErrorReason.SERIES_CONTAINS_NULLS))
        if column.unique:
            found.append(_Check(name, "field_uniqueness", cell, SchemaErrorReason.SERIES_CONTAINS_DUPLICATES))
        for check in column.checks:
            broken = exp.Not(this=exp.paren(holds(cell.copy(), check)))
            found.append(_Check(name, check.error or check.name, broken, SchemaErrorReason.DATAFRAME_CHECK))
    return found


def _count(check: _Check) -> Expr:
    if check.reason is SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
        every = exp.Count(this=check.broken.copy())
        distinct = exp.Count(this=exp.Distinct(expressions=[check.broken.copy()]))
        return exp.Sub(this=every, expression=distinct)
    return exp.CountIf(this=check.broken)


def _cell_error(
    relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema, check: _Check, count: int
) -> SchemaError:
    cell = exp.column(check.column, quoted=True).sql("duckdb")
    if check.reason is SchemaErrorReason.SERIES_CONTAINS_DUPLICATES:
        grouped = relation.aggregate(f"{cell} AS cell, count({cell}) AS times", cell)
        samples = grouped.filter("times > 1").limit(SAMPLES).fetchall()
    else:
        samples = relation.filter(check.broken.sql("duckdb")).project(cell).limit(SAMPLES).fetchall()
    cases = [row[0] for row in samples]
    message = f"column {check.column!r}: {check.name} fails on {count:,} rows, e.g. {cases}"
    return _error(schema, check.column, check.name, message, check.reason, cases)
