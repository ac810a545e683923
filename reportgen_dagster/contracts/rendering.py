"""Contracts as pandera schemas.

What belongs here: rendering. What does not: reading a schema's checks (schema_checks.py), checking tables (validation.py). The
pandera schema is the one model of what a contract means: both the compiled rules and the checks of whole tables are made from it.
"""

from __future__ import annotations

import pandas as pd
import pandera.pandas as pa

from reportgen_dagster.contracts.constraints import Constraint
from reportgen_dagster.contracts.contract import Contract, ContractField, UniqueRule
from reportgen_dagster.contracts.dtypes import pandera_type
from reportgen_dagster.contracts.schema_checks import UNIQUE_CHECK
from reportgen_dagster.contracts.table_schema import TableSchema


def table_schema(contract: Contract, *, name: str = "table") -> TableSchema:
    """Return the pandera schema of a contract; it validates pandas frames and DuckDB relations with typed columns.

    Args:
        contract: The contract.
        name: What is called so in errors: `input`, `report` or the reference's name.
    """
    return TableSchema(
        {field.name: _column(field) for field in contract.fields},
        checks=[_unique(rule) for rule in contract.unique],
        name=name,
        strict=contract.strict,
        ordered=contract.ordered,
    )


def _column(field: ContractField) -> pa.Column:
    return pa.Column(
        pandera_type(field.type),
        [_check(constraint) for constraint in field.constraints],
        nullable=not field.required,
        required=not field.optional,
        metadata={"severity": field.severity, "threshold": field.threshold},
    )


def _check(constraint: Constraint) -> pa.Check:
    build = getattr(pa.Check, constraint.check)
    check: pa.Check = build(
        **constraint.statistics,
        error=constraint.rule,
        description=constraint.reason,
        raise_warning=constraint.severity == "warn",
    )
    return check


def _unique(rule: UniqueRule) -> pa.Check:
    """Return a check of the whole table; pandera's own take missing values for equal."""
    columns = list(rule.columns)

    def first_of_its_key(frame: pd.DataFrame) -> pd.Series:
        present = frame[columns].dropna()
        return ~present.duplicated().reindex(frame.index, fill_value=False)

    return pa.Check(
        first_of_its_key,
        name=UNIQUE_CHECK,
        error=rule.rule,
        description=rule.reason,
        raise_warning=rule.severity == "warn",
        ignore_na=False,
        statistics={"columns": columns, "threshold": rule.threshold},
    )
