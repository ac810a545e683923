"""The contract of a report: its columns, their order and their types, as the compiled rules promise them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import duckdb
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from reportgen_dagster.contracts.table_schema import TableSchema

_TYPES: dict[str, Any] = {
    "text": str,
    "integer": pd.Int64Dtype(),
    "number": pd.Float64Dtype(),
    "boolean": pd.BooleanDtype(),
}


class OutputColumn(Protocol):
    """A column of a report, as compiled rules describe it."""

    @property
    def name(self) -> str:
        """What the column is called."""

    @property
    def type(self) -> str:
        """`text`, `integer`, `number` or `boolean`."""


def output_schema(columns: Sequence[OutputColumn]) -> TableSchema:
    """Return the schema of a report with these columns: exactly these, in this order, each cell of its type or null."""
    return TableSchema(
        {column.name: pa.Column(_TYPES[column.type], nullable=True) for column in columns},
        name="report",
        strict=True,
        ordered=True,
    )


def check_output(relation: duckdb.DuckDBPyRelation, columns: Sequence[OutputColumn]) -> dict[str, Any]:
    """Check a typed relation against the contract of the report, without running it.

    Returns:
        `passed`, and in `failures` what is wrong, one mapping with `column`, `check` and `message` each.
    """
    try:
        output_schema(columns).validate(relation, lazy=True)
    except SchemaErrors as error:
        failures = [
            {"column": one.column_name or "", "check": str(one.check), "message": str(one)}
            for one in error.schema_errors
        ]
        return {"passed": False, "failures": failures}
    return {"passed": True, "failures": []}
