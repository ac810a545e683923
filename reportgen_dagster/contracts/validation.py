"""Checking whole tables against contracts: what pandera finds, as a report.

What belongs here: tables that are checked apart from the pass over the input (references, results of steps) and failures that the
pass counted. What does not: judging the input's rows (the compiled rules do), deciding what a failure does to a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import duckdb
import pandera.pandas as pa
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrors
from sqlglot import exp
from sqlglot.expressions import Expr

from reportgen_dagster.contracts.conditions import Condition, Finding, Positions, RuleCount, find
from reportgen_dagster.contracts.contract import Contract, ContractField, ForeignKeyRule
from reportgen_dagster.contracts.duckdb_backend import (
    CellError,
    NoTable,
    TableError,
    all_errors,
    conditions_of,
    shape_errors,
    shown_value,
)
from reportgen_dagster.contracts.models import Severity
from reportgen_dagster.contracts.rendering import table_schema

_DIALECT = "duckdb"


@dataclass(frozen=True, slots=True)
class ContractFailure:
    """A check that a table breaks.

    Attributes:
        column: The column; empty if it is none.
        check: What is broken, as `minimum: 0`.
        message: For people, without the column, which stands beside it wherever it is shown.
        count: On how many rows, exactly; 0 if it is not a matter of rows.
        samples: A few of the values, as people read them.
        severity: `warn` if the table does not fail by it: it only warns, or is within its threshold.
    """

    column: str
    check: str
    message: str
    count: int = 0
    samples: tuple[str, ...] = ()
    severity: Severity = "error"


@dataclass(frozen=True, slots=True)
class ContractReport:
    """How a table keeps its contract.

    Attributes:
        passed: Nothing of severity `error` is broken.
        failures: What is broken.
    """

    passed: bool
    failures: tuple[ContractFailure, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            **asdict(self),
            "failures": [{**asdict(one), "samples": list(one.samples)} for one in self.failures],
        }


def report_of(errors: Iterable[SchemaError]) -> ContractReport:
    """Return pandera's errors as a report."""
    failures = tuple(_failure(error) for error in errors)
    return ContractReport(not any(failure.severity == "error" for failure in failures), failures)


def _failure(error: SchemaError) -> ContractFailure:
    column, check = str(error.column_name or ""), str(error.check)
    if not isinstance(error, CellError):
        return ContractFailure(column, check, error.told if isinstance(error, TableError) else str(error))
    finding = error.finding
    samples = tuple(map(shown_value, finding.samples))
    severity: Severity = "error" if finding.is_failure else "warn"
    return ContractFailure(column, check, error.told, finding.count, samples, severity)


def validate_relation(
    relation: duckdb.DuckDBPyRelation, schema: pa.DataFrameSchema, *, cells: bool = True
) -> ContractReport:
    """Check a relation with typed columns.

    Args:
        relation: The table.
        schema: What it keeps.
        cells: Otherwise only names, order and types are checked, without running anything.
    """
    with config_context(validation_depth=None if cells else ValidationDepth.SCHEMA_ONLY):
        return report_of(all_errors(relation, schema))


def validate_file(
    relation: duckdb.DuckDBPyRelation,
    contract: Contract,
    *,
    name: str,
    references: Mapping[str, duckdb.DuckDBPyRelation] | None = None,
    positions: Positions | None = None,
) -> ContractReport:
    """Check a file: types, constraints and keys in one pass, then its foreign keys.

    Args:
        relation: Its columns as texts, null where a value is missing.
        contract: What it keeps.
        name: What it is called in errors.
        references: The tables that foreign keys point to, best by `typed_relation`; a key to any other is not checked.
        positions: Where the relation's rows are, for messages.
    """
    position = positions.column if positions is not None else None
    schema = table_schema(contract, name=name)
    read = _read(relation, contract)
    conditions = [*read.conditions, *(_of_texts(one, read) for one in conditions_of(schema))]
    known = set(read.relation.columns)
    findings = find(read.relation, [one for one in conditions if set(one.shown) <= known], position)
    for rule in contract.foreign_keys:
        finding = foreign_key_finding(read.relation, rule, (references or {}).get(rule.reference), position)
        findings += [finding] if finding is not None else []
    if positions is not None:
        findings = positions.located(findings)
    own = [_column(name).sql(_DIALECT) for name in relation.columns if name != position]
    table = read.relation.project(", ".join(own))
    return report_of([*shape_errors(table, schema), *(CellError(schema, one) for one in findings)])


@dataclass(frozen=True, slots=True)
class _Read:
    """A file read by its contract: typed columns, behind them the texts of columns that may not be of their type."""

    relation: duckdb.DuckDBPyRelation
    raw: Mapping[str, str]
    conditions: Sequence[Condition]


def _column(name: str) -> Expr:
    return exp.column(exp.to_identifier(name, quoted=True))


def _read(relation: duckdb.DuckDBPyRelation, contract: Contract) -> _Read:
    fields = {field.name: field for field in contract.fields}
    taken = {name.lower() for name in relation.columns}
    columns, raws, conditions = [], {}, []
    for name in relation.columns:
        field = fields.get(name)
        if field is None or field.type.name in ("text", "any"):
            columns.append(_column(name))
            continue
        raw = _free(f"raw_{name}", taken)
        raws[name] = raw
        cast = field.cast(_column(name))
        columns += [exp.alias_(cast.value, name, quoted=True), exp.alias_(_column(name), raw, quoted=True)]
        conditions.append(_type_condition(field, raw, cast.rule))
    selected = relation.project(", ".join(column.sql(_DIALECT) for column in columns))
    return _Read(selected, raws, conditions)


def _free(wish: str, taken: set[str]) -> str:
    name, number = wish, 1
    while name.lower() in taken:
        number += 1
        name = f"{wish}_{number}"
    taken.add(name.lower())
    return name


def _type_condition(field: ContractField, raw: str, rule: str) -> Condition:
    missing = exp.Is(this=_column(field.name), expression=exp.Null())
    there = exp.Not(this=exp.Is(this=_column(raw), expression=exp.Null()))
    broken = exp.And(this=there, expression=missing)
    return Condition(field.name, rule, (raw,), broken, threshold=field.threshold, reason="DATATYPE_COERCION")


def _of_texts(condition: Condition, read: _Read) -> Condition:
    """Let a value count as missing only where its text is."""
    raw = read.raw.get(condition.column)
    if condition.reason != "SERIES_CONTAINS_NULLS" or raw is None:
        return condition
    missing = exp.Is(this=_column(raw), expression=exp.Null())
    return Condition(
        condition.column,
        condition.check,
        condition.shown,
        missing,
        condition.severity,
        condition.threshold,
        condition.reason,
    )


def typed_relation(relation: duckdb.DuckDBPyRelation, contract: Contract | None) -> duckdb.DuckDBPyRelation:
    """Return a file's columns with the types of its contract, null where a text is not of its type.

    Args:
        relation: Its columns as texts.
        contract: Its contract; columns without a field stay texts.
    """
    columns = []
    for name in relation.columns:
        field = contract.field(name) if contract is not None else None
        value = _column(name) if field is None else field.cast(_column(name)).value
        columns.append(exp.alias_(value, name, quoted=True).sql(_DIALECT))
    return relation.project(", ".join(columns))


def foreign_key_finding(
    relation: duckdb.DuckDBPyRelation,
    rule: ForeignKeyRule,
    reference: duckdb.DuckDBPyRelation | None,
    position: str | None = None,
) -> Finding | None:
    """Return the rows whose key is not in a reference; rows with a missing value in the key are not judged.

    Args:
        relation: The table with the key.
        rule: The key.
        reference: The table that it points to, of the same connection; columns of different types are compared as texts.
        position: A column of the relation with the position of each row.
    """
    if reference is None or not set(rule.columns) <= set(relation.columns):
        return None
    types = [dict(zip(table.columns, table.types, strict=True)) for table in (relation, reference)]
    pairs = list(zip(rule.columns, rule.reference_columns, strict=True))
    same = [
        _equal(left, right, as_text=str(types[0][left]) != str(types[1].get(right))) for left, right in pairs
    ]
    present = [exp.Not(this=exp.Is(this=_column(left), expression=exp.Null())) for left, _ in pairs]
    there = relation.filter(exp.and_(*present).sql(_DIALECT)).set_alias("child")
    missing = there.join(reference.set_alias("parent"), exp.and_(*same).sql(_DIALECT), how="anti")
    condition = Condition(
        pairs[0][0] if len(pairs) == 1 else "", rule.rule, rule.columns, exp.true(), reason="DATAFRAME_CHECK"
    )
    found = find(missing, [condition], position)
    if not found:
        return None
    row_count = relation.aggregate("count(*)").fetchall()[0][0]
    return replace(found[0], row_count=row_count)


def _equal(left: str, right: str, *, as_text: bool) -> Expr:
    sides: list[Expr] = [
        exp.column(exp.to_identifier(name, quoted=True), table=table)
        for name, table in ((left, "child"), (right, "parent"))
    ]
    if as_text:
        sides = [exp.cast(side, "VARCHAR") for side in sides]
    return exp.EQ(this=sides[0], expression=sides[1])


def errors_from_counts(
    schema: pa.DataFrameSchema, counts: Iterable[RuleCount], row_count: int
) -> SchemaErrors | None:
    """Return what a pass over the rows counted as the error that pandera raises for it; None if nothing fails.

    Args:
        schema: The schema of the table.
        counts: What was counted.
        row_count: Rows of the table, for thresholds that are shares.
    """
    errors: list[SchemaError] = [
        error for error in _counted(schema, counts, row_count) if error.finding.is_failure
    ]
    return SchemaErrors(schema, errors, NoTable()) if errors else None


def report_from_counts(
    schema: pa.DataFrameSchema, counts: Iterable[RuleCount], row_count: int
) -> ContractReport:
    """Return what a pass over the rows counted as a report; the arguments are those of `errors_from_counts`."""
    return report_of(_counted(schema, counts, row_count))


def _counted(schema: pa.DataFrameSchema, counts: Iterable[RuleCount], row_count: int) -> list[CellError]:
    return [
        CellError(
            schema,
            Finding(
                Condition(one.column, one.rule, (), None, one.severity, one.threshold),
                one.count,
                one.samples,
                row_count,
                one.places,
            ),
        )
        for one in counts
        if one.count
    ]
