"""The contract of a report: its columns, their order and their types, as the compiled rules promise them.

What belongs here: the schema of a report or of a step's result. What does not: what its user's own contract adds
(`contract.output_contract`); its failures are counted in the pass over the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import duckdb

from reportgen_dagster.contracts.contract import Contract, ContractField
from reportgen_dagster.contracts.rendering import table_schema
from reportgen_dagster.contracts.table_schema import TableSchema
from reportgen_dagster.contracts.types import Type
from reportgen_dagster.contracts.validation import ContractReport, validate_relation


class OutputColumn(Protocol):
    """A column of a report, as compiled rules describe it."""

    @property
    def name(self) -> str:
        """What the column is called."""

    @property
    def type(self) -> Type:
        """What it holds."""


def output_schema(columns: Sequence[OutputColumn], *, name: str = "report") -> TableSchema:
    """Return the schema of a table with these columns: exactly these, in this order, each cell of its type or null.

    Args:
        columns: The columns.
        name: What the table is called in errors.
    """
    fields = tuple(ContractField(column.name, column.type) for column in columns)
    return table_schema(Contract(fields, strict=True, ordered=True), name=name)


def check_output(
    relation: duckdb.DuckDBPyRelation, columns: Sequence[OutputColumn], *, name: str = "report"
) -> ContractReport:
    """Check a typed relation against what the rules promise of it, without running it.

    Args:
        relation: The table, best an empty one.
        columns: The columns that it is to have.
        name: What it is called in errors.
    """
    return validate_relation(relation, output_schema(columns, name=name), cells=False)
